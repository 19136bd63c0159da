package kernel

// eachElement sets dst to kernel of x and z, and of grad unless that is nil. Every z
// has to be finite. An x may be infinite beside the z that matches it: see
// checkInfinite.
func eachElement[T Float](dst, x, z, grad []T, kernel elementKernel[T]) error {
	d := Dims{len(x), 1, 1}
	return eachTile(d, costOf[T](costNoise), func(t *tile[T], _ int) error {
		tx, tz := t.direct(x), t.direct(z)
		var g []T
		if grad != nil {
			g = t.direct(grad)
		}
		if kernel(t.direct(dst), tx, tz, g) {
			return checkInfinite(t, t.direct(dst), tx, tz)
		}
		return nil
	})
}

// An elementKernel sets dst to a function of x, z and grad, element by element. It
// reports whether an x or a z is not finite.
type elementKernel[T Float] func(dst, x, z, grad []T) (bad bool)

// checkInfinite corrects the elements of dst whose x or z is not finite. An infinite
// logit x is a probability of 0 or 1. If z is that probability, the element is 0, and
// otherwise an error. So is NaN.
func checkInfinite[T Float](t *tile[T], dst, x, z []T) error {
	for i, logit := range x {
		probability := T(0)
		if logit > 0 {
			probability = 1
		}
		switch {
		case logit != logit:
			return &InputError{t.index(i, 0), BadFirst, float64(logit)}
		case !isFinite(z[i]):
			return &InputError{t.index(i, 0), BadSecond, float64(z[i])}
		case isFinite(logit):
		case z[i] != probability:
			return &InputError{t.index(i, 0), InfiniteLoss, float64(logit)}
		default:
			dst[i] = 0
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
