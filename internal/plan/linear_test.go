package plan

import (
	"testing"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

func TestPlanLinear(t *testing.T) {
	const batch, in, out = 65, 100, 32
	for _, test := range []struct {
		got  Launch
		want Launch
	}{
		{Linear(Float32, 1, 2, 3, 4, batch, in, out, kernel.Tanh),
			Launch{"gumbel_linear.linear_small_f32", 3, 256, 0, Params{1, 2, 3, 4, batch, in, out, 2}}},
		{GradLinearZ(Float64, 1, 2, 3, 4, 5, batch, in, out, kernel.ReLU),
			Launch{"gumbel_linear.grad_linear_z_small_f64", 3, 256, 0, Params{1, 2, 3, 4, 5, batch, in, out, 1}}},
		{GradLinearX(Float32, 1, 2, 3, batch, in, out),
			Launch{"gumbel_linear.grad_linear_x_small_f32", 3 * 4, 256, 0, Params{1, 2, 3, batch, in, out}}},
		{GradLinearW(Float64, 1, 2, 3, batch, in, out),
			Launch{"gumbel_linear.grad_linear_w_small_f64", 4, 256, 0, Params{1, 2, 3, batch, in, out}}},
		// 16 × 16 tiles of 64 × 64.
		{Linear(Float64, 1, 2, 3, 4, 961, in, 1024, kernel.Identity),
			Launch{"gumbel_linear.linear_large_f64", 256, 256, 0, Params{1, 2, 3, 4, 961, in, 1024, 0}}},
		{Linear(Float64, 1, 2, 3, 4, 960, in, 1024, kernel.Identity),
			Launch{"gumbel_linear.linear_small_f64", 960, 256, 0, Params{1, 2, 3, 4, 960, in, 1024, 0}}},
		{GradLinearB(Float32, 1, 2, batch, out), Launch{"gumbel_linear.grad_linear_b_f32", 1, 9 * 32, 0, Params{1, 2, batch, out}}},
		{GradLinearB(Float64, 1, 2, 0, 33), Launch{"gumbel_linear.grad_linear_b_f64", 2, 32, 0, Params{1, 2, 0, 33}}},
		{GradLinearB(Float64, 1, 2, 1<<20, 33), Launch{"gumbel_linear.grad_linear_b_f64", 2, 1024, 0, Params{1, 2, 1 << 20, 33}}},
		{Zero(Float32, 1, 1000), Launch{"gumbel_linear.zero_f32", 4, 256, 0, Params{1, 1000}}},
	} {
		equalLaunch(t, test.got, test.want)
	}
}
