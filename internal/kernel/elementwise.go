package kernel

// eachLogit sets dst to f of each logit and target, both of which have to be
// finite, times grad unless that is nil. simd does it all for a part of the
// arrays, or returns false.
func eachLogit[T Float](dst, logits, targets, grad []T, simd func(dst, logits, targets, grad []T) bool, f func(x, z T) T) error {
	d := Dims{len(logits), 1, 1}
	return eachTile(d, costOf[T](costNoise), func(t *tile[T], _ int) error {
		x, z, out := t.direct(logits), t.direct(targets), t.direct(dst)
		var g []T
		if grad != nil {
			g = t.direct(grad)
		}
		if simd(out, x, z, g) {
			return nil
		}
		for i := range x {
			if !(x[i]-x[i] == 0) {
				return &InputError{t.index(i, 0), BadFirst, float64(x[i])}
			}
			if !(z[i]-z[i] == 0) {
				return &InputError{t.index(i, 0), BadSecond, float64(z[i])}
			}
			out[i] = f(x[i], z[i])
			if g != nil {
				out[i] *= g[i]
			}
		}
		return nil
	})
}

// Add adds src to dst.
func Add[T Float](dst, src []T) {
	for i, v := range src {
		dst[i] += v
	}
}
