//go:build !purego

package kernel

// updateSIMD is update, if the level has it.
func (a Adam) updateSIMD(w, grad, mean, square []float32) bool {
	if level == levelGo || len(w) == 0 {
		return false
	}
	at := [8]float32{a.Beta1, 1 - a.Beta1, a.Beta2, 1 - a.Beta2, a.Epsilon, a.Rate, a.UnbiasMean, a.UnbiasSquare}
	if level == levelAVX512 {
		adam32AVX512(&w[0], &grad[0], &mean[0], &square[0], len(w), &at)
	} else {
		adam32AVX2(&w[0], &grad[0], &mean[0], &square[0], len(w), &at)
	}
	return true
}
