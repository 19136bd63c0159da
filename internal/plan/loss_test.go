package plan

import (
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

func TestPlanElementwise(t *testing.T) {
	for _, test := range []struct {
		got  Launch
		want Launch
	}{
		{BCE(Float32, 1, 2, 3, 257, 4), Launch{"gumbel_loss.bce_f32", 2, 256, 0, Params{1, 2, 3, 257, 4}}},
		{GradBCELogits(Float64, 1, 2, 3, 4, 256, 5), Launch{"gumbel_loss.grad_bce_logits_f64", 1, 256, 0, Params{1, 2, 3, 4, 256, 5}}},
		{GradBCETargets(Float32, 1, 2, 3, 4, 1, 5), Launch{"gumbel_loss.grad_bce_targets_f32", 1, 256, 0, Params{1, 2, 3, 4, 1, 5}}},
		{BernoulliKL(Float32, 1, 2, 3, 257, 4), Launch{"gumbel_loss.bernoulli_kl_f32", 2, 256, 0, Params{1, 2, 3, 0, 257, 4}}},
		{GradBernoulliKLQ(Float64, 1, 2, 0, 4, 256, 5), Launch{"gumbel_loss.grad_bernoulli_kl_q_f64", 1, 256, 0, Params{1, 2, 0, 4, 256, 5}}},
		{GradBernoulliKLP(Float32, 1, 2, 3, 4, 1, 5), Launch{"gumbel_loss.grad_bernoulli_kl_p_f32", 1, 256, 0, Params{1, 2, 3, 4, 1, 5}}},
	} {
		equalLaunch(t, test.got, test.want)
	}
}

func equalLaunch(t *testing.T, got, want Launch) {
	t.Helper()
	params := slices.Equal(got.Params, want.Params)
	if got.Params, want.Params = nil, nil; !params || got.Kernel != want.Kernel || got.Blocks != want.Blocks || got.Threads != want.Threads || got.Shared != want.Shared {
		t.Errorf("planned %+v, want %+v (same parameters: %v)", got, want, params)
	}
}

func TestPlanKL(t *testing.T) {
	const out, q, p, grad, status = 1, 2, 3, 4, 5
	for _, test := range []struct {
		got  Launch
		want Launch
	}{
		// Ten classes: four threads each, 32 distributions a block.
		{KL(Float32, out, q, p, kernel.Dims{Outer: 128, Classes: 10, Inner: 1}, status),
			Launch{"gumbel_loss.kl_f32", 4, 128, 2 * 3 * 128 * 4, Params{out, q, p, 0, 128, 10, 1, 4, 3, status}}},
		{GradKLQ(Float64, out, q, 0, grad, kernel.Dims{Outer: 3, Classes: 10, Inner: 11}, status),
			Launch{"gumbel_loss.grad_kl_q_f64", 2, 128, 3 * 128 * 8, Params{out, q, 0, grad, 33, 10, 11, 4, 3, status}}},
		{GradKLP(Float32, out, q, p, grad, kernel.Dims{Outer: 3, Classes: 1, Inner: 1}, status),
			Launch{"gumbel_loss.grad_kl_p_f32", 1, 128, 2 * 128 * 4, Params{out, q, p, grad, 3, 1, 1, 1, 1, status}}},
		// Too long for shared memory.
		{KL(Float64, out, q, p, kernel.Dims{Outer: 3, Classes: 4096, Inner: 1}, status),
			Launch{"gumbel_loss.kl_f64", 3, 1024, 0, Params{out, q, p, 0, 3, 4096, 1, 1024, 0, status}}},
	} {
		equalLaunch(t, test.got, test.want)
	}
}

// Tau is the last parameter, and the gradient to it is summed in a second launch.
func TestPlanConcrete(t *testing.T) {
	c := Concrete{kernel.Dims{Outer: 128, Classes: 10, Inner: 1}, Float32, 1, 2, 3, 4, 5, 6, 7}
	equalLaunch(t, c.GradValue(), Launch{"gumbel_loss.grad_concrete_value_f32", 4, 128, 2 * 3 * 128 * 4, Params{1, 2, 3, 5, 128, 10, 1, 4, 3, 6, 4}})
	tau := c.GradTau()
	equalLaunch(t, tau[0], Launch{"gumbel_loss.grad_concrete_tau_f32", 4, 128, 2 * 3 * 128 * 4, Params{7, 2, 3, 5, 128, 10, 1, 4, 3, 6, 4}})
	equalLaunch(t, tau[1], Launch{"gumbel_sample.add_tau_f32", 1, 256, 0, Params{1, 7, 4, 128}})
}

// Whatever the number of classes, the threads reach all of them, and a block stays
// within what a device has.
func TestPlanKLSizes(t *testing.T) {
	for classes := 1; classes <= 1<<16; classes += 1 + classes/7 {
		for _, f := range []Float{Float32, Float64} {
			for _, p := range []Pointer{0, 1} {
				d := kernel.Dims{Outer: 5, Classes: classes, Inner: 7}
				l := KL(f, 1, 1, p, d, 1)
				width, slots := int(l.Params[7]), int(l.Params[8])
				perBlock := l.Threads / width
				switch {
				case l.Threads%32 != 0 || l.Threads > 1024 || l.Shared > 48<<10:
					t.Fatalf("%d classes: %d threads, %d bytes", classes, l.Threads, l.Shared)
				case width&(width-1) != 0 || width > 32 && width != l.Threads:
					t.Fatalf("%d classes: teams of %d of %d threads", classes, width, l.Threads)
				case l.Blocks*perBlock < d.Rows() || (l.Blocks-1)*perBlock >= d.Rows():
					t.Fatalf("%d classes: %d blocks of %d distributions for %d", classes, l.Blocks, perBlock, d.Rows())
				case slots != 0 && (slots*width < classes || l.Shared < slots*l.Threads*f.Size()), slots == 0 && l.Shared != 0:
					t.Fatalf("%d classes: %d slots of %d threads, %d bytes", classes, slots, width, l.Shared)
				}
			}
		}
	}
}
