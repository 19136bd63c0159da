package kernel

// eachElement sets dst to kernel of x and z, and of grad unless that is nil. A nil z is
// 0. If the kernel reports a bad element, check corrects those of the tile or returns
// the error.
func eachElement[T Float](dst, x, z, grad []T, kernel elementKernel[T], check elementCheck[T]) error {
	d := Dims{len(x), 1, 1}
	return eachTile(d, costOf[T](costNoise), func(t *tile[T], _ int) error {
		tx, tz := t.direct(x), t.directOrZero(0, z)
		var g []T
		if grad != nil {
			g = t.direct(grad)
		}
		if kernel(t.direct(dst), tx, tz, g) {
			return check(t, t.direct(dst), tx, tz)
		}
		return nil
	})
}

// An elementKernel sets dst to a function of x, z and grad, element by element. It
// reports whether an x or a z is bad: NaN, or infinite where that is special.
type elementKernel[T Float] func(dst, x, z, grad []T) (bad bool)

// An elementCheck corrects the bad elements of dst.
type elementCheck[T Float] func(t *tile[T], dst, x, z []T) error

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
