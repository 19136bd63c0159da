//go:build !purego

package kernel

// updateSIMD is the vector version of update; it returns false where there is
// none.
func (a Adam[T]) updateSIMD(w, grad, mean, square []T) bool {
	if level == levelGo || len(w) == 0 {
		return false
	}
	at := [8]T{a.Beta1, 1 - a.Beta1, a.Beta2, 1 - a.Beta2, a.Epsilon, a.Rate, a.UnbiasMean, a.UnbiasSquare}
	switch w := any(w).(type) {
	case []float32:
		g, m, s, at := any(grad).([]float32), any(mean).([]float32), any(square).([]float32), any(&at).(*[8]float32)
		if level == levelAVX512 {
			adam32AVX512(&w[0], &g[0], &m[0], &s[0], len(w), at)
		} else {
			adam32AVX2(&w[0], &g[0], &m[0], &s[0], len(w), at)
		}
	case []float64:
		g, m, s, at := any(grad).([]float64), any(mean).([]float64), any(square).([]float64), any(&at).(*[8]float64)
		adam64AVX2(&w[0], &g[0], &m[0], &s[0], len(w), at)
	}
	return true
}
