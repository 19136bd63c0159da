package plan

import "github.com/gumbel-go/gumbel/internal/kernel"

// linearModule is the module of linear.cu.
const linearModule = "gumbel_linear."

// Linear sets y, batch × out, to act(x·W + b), where x is batch × in and W is
// in × out.
func Linear(f Float, y, x, w, b Pointer, batch, in, out int, a kernel.Activation) Launch {
	return product("linear", f, batch, out, Pointers(y, x, w, b).Ints(batch, in, out, int(a)))
}

// GradLinearZ sets dz to the gradient to x·W + b, given that to y. It computes the
// product again.
func GradLinearZ(f Float, dz, x, w, b, grad Pointer, batch, in, out int, a kernel.Activation) Launch {
	return product("grad_linear_z", f, batch, out, Pointers(dz, x, w, b, grad).Ints(batch, in, out, int(a)))
}

// GradLinearX sets dx to the gradient to x: dz·Wᵀ.
func GradLinearX(f Float, dx, dz, w Pointer, batch, in, out int) Launch {
	return product("grad_linear_x", f, batch, in, Pointers(dx, dz, w).Ints(batch, in, out))
}

// GradLinearW sets dw to the gradient to W: xᵀ·dz.
func GradLinearW(f Float, dw, x, dz Pointer, batch, in, out int) Launch {
	return product("grad_linear_w", f, in, out, Pointers(dw, x, dz).Ints(batch, in, out))
}

// manyTiles is about two per multiprocessor of a large GPU. A product of fewer large
// tiles is divided into small ones, so that more of the device works on it.
const manyTiles = 256

// product plans a matrix product of rows × columns elements.
func product(name string, f Float, rows, columns int, params Params) Launch {
	size, tile := "large", LargeTile
	if kernel.CeilDiv(rows, tile)*kernel.CeilDiv(columns, tile) < manyTiles {
		size, tile = "small", SmallTile
	}
	return Launch{
		Kernel:  linearModule + name + "_" + size + "_" + string(f),
		Blocks:  kernel.CeilDiv(rows, tile) * kernel.CeilDiv(columns, tile),
		Threads: ProductThreads,
		Params:  params,
	}
}

const (
	sumColumns  = WarpThreads // of a block
	sumRowsEach = 8           // rows per warp, as long as there are fewer than sumWarps
	sumWarps    = 32          // the most warps of a block
)

// GradLinearB sets db to the gradient to b: the sums of dz's columns.
func GradLinearB(f Float, db, dz Pointer, batch, out int) Launch {
	return Launch{
		Kernel:  linearModule + "grad_linear_b_" + string(f),
		Blocks:  kernel.CeilDiv(out, sumColumns),
		Threads: min(max(kernel.CeilDiv(batch, sumRowsEach), 1), sumWarps) * WarpThreads,
		Params:  Pointers(db, dz).Ints(batch, out),
	}
}

// Zero fills an array with 0.
func Zero(f Float, out Pointer, n int) Launch {
	return elementwise(linearModule+"zero_"+string(f), n, Pointers(out).Ints(n))
}
