package kernel

import "math"

// Activation is the elementwise function at the end of a linear layer.
type Activation int

const (
	Identity Activation = iota
	ReLU
	Tanh
	Sigmoid
)

// cost is that of Activate, in nanoseconds per element.
func (a Activation) cost() int {
	if a == Tanh || a == Sigmoid {
		return costNoise
	}
	return costLight
}

// Activate replaces z by y = a(z + bias), the bias added to each row. Unless kept is
// nil, it sets kept to y as well.
func Activate[T Float](a Activation, z, bias, kept []T) {
	if len(z) == 0 {
		return
	}
	width := len(bias)
	split(len(z)/width, width, a.cost(), func(lo, hi int) {
		for i := lo * width; i < hi*width; i += width {
			row := z[i : i+width]
			activate(a, row, bias)
			if kept != nil {
				copy(kept[i:], row)
			}
		}
	})
}

func activate[T Float](a Activation, row, bias []T) {
	bias = bias[:len(row)] // removes the bounds checks
	switch a {
	case ReLU:
		for i, z := range row {
			row[i] = max(z+bias[i], 0)
		}
	case Tanh:
		for i, z := range row {
			row[i] = T(math.Tanh(float64(z + bias[i])))
		}
	case Sigmoid:
		for i, z := range row {
			row[i] = T(1 / (1 + math.Exp(-float64(z+bias[i]))))
		}
	default:
		for i, z := range row {
			row[i] = z + bias[i]
		}
	}
}

// GradActivate sets dst to the gradient to z, given y = a(z) and the gradient to y. The
// derivative of ReLU at 0 is 0.
func GradActivate[T Float](a Activation, dst, y, grad []T) {
	split(len(dst), 1, costOf[T](costLight), func(lo, hi int) { gradActivate(a, dst[lo:hi], y[lo:hi], grad[lo:hi]) })
}

func gradActivate[T Float](a Activation, dst, y, grad []T) {
	y, grad = y[:len(dst)], grad[:len(dst)]
	switch a {
	case ReLU:
		gradReLU(dst, y, grad)
	case Tanh:
		for i, g := range grad {
			dst[i] = g * ((1 - y[i]) * (1 + y[i]))
		}
	case Sigmoid:
		for i, g := range grad {
			dst[i] = g * (y[i] * (1 - y[i]))
		}
	default:
		copy(dst, grad)
	}
}

// gradReLUGo selects bits, which Go compiles to a conditional move. For floats it would
// compile a branch, which would be mispredicted half of the time.
func gradReLUGo[T Float](dst, y, grad []T) {
	if dst, ok := any(dst).([]float32); ok {
		grad := any(grad).([]float32)
		for i, v := range any(y).([]float32) {
			bits := math.Float32bits(grad[i])
			if v <= 0 {
				bits = 0
			}
			dst[i] = math.Float32frombits(bits)
		}
		return
	}
	for i, v := range y {
		if dst[i] = grad[i]; v <= 0 {
			dst[i] = 0
		}
	}
}

// SumRows sets dst to the sum of the rows of m, which are as long as dst. The sums are
// compensated (Kahan, Further remarks on reducing truncation errors, 1965), so that
// their error does not grow with the number of rows.
func SumRows[T Float](dst, m []T) {
	clear(dst)
	width := len(dst)
	if len(m) == 0 || width == 0 {
		return
	}
	pool := bufferPool[T]()
	buffers := pool.Get().(*[maxArrays][]T)
	defer pool.Put(buffers)
	excess := sized(&buffers[0], width)
	clear(excess)
	for row := m; len(row) >= width; row = row[width:] {
		addRow(dst, excess, row[:width])
	}
	for i, v := range dst {
		if !isFinite(v) { // the compensation makes an infinity NaN
			dst[i] = 0
			for j := i; j < len(m); j += width {
				dst[i] += m[j]
			}
		}
	}
}

// addRowGo adds row to sum. excess is by how much sum is greater than the exact sum.
func addRowGo[T Float](sum, excess, row []T) {
	for i, v := range row {
		y := v - excess[i]
		s := sum[i] + y
		excess[i] = (s - sum[i]) - y
		sum[i] = s
	}
}
