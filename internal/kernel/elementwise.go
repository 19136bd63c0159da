package kernel

// eachElement sets dst to kernel of x and z, and of grad unless that is nil. Every x
// and every z has to be finite.
func eachElement[T Float](dst, x, z, grad []T, kernel elementKernel[T]) error {
	d := Dims{len(x), 1, 1}
	return eachTile(d, costOf[T](costNoise), func(t *tile[T], _ int) error {
		tx, tz := t.direct(x), t.direct(z)
		var g []T
		if grad != nil {
			g = t.direct(grad)
		}
		if kernel(t.direct(dst), tx, tz, g) {
			return notFinite(t, tx, tz)
		}
		return nil
	})
}

// An elementKernel sets dst to a function of x, z and grad, element by element. It
// reports whether an x or a z is not finite.
type elementKernel[T Float] func(dst, x, z, grad []T) (bad bool)

// notFinite returns the error about the tile's first x or z that is not finite.
func notFinite[T Float](t *tile[T], x, z []T) error {
	for i := range x {
		if !isFinite(x[i]) {
			return &InputError{t.index(i, 0), BadFirst, float64(x[i])}
		}
		if !isFinite(z[i]) {
			return &InputError{t.index(i, 0), BadSecond, float64(z[i])}
		}
	}
	return nil
}

func isFinite[T Float](x T) bool { return x-x == 0 }

// Add adds src to dst.
func Add[T Float](dst, src []T) {
	for i, v := range src {
		dst[i] += v
	}
}
