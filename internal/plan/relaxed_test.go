package plan

import "testing"

func TestPlanRelaxedDensity(t *testing.T) {
	const out, logits, value, tau, grad, status, scratch = 1, 2, 3, 4, 5, 6, 7
	d := RelaxedDensity{Float32, 257, out, logits, value, tau, grad, status, scratch}
	equalLaunch(t, d.Log(), Launch{"gumbel_relaxed.relaxed_density_f32", 2, 256, 0, Params{out, logits, value, tau, grad, 257, status}})
	equalLaunch(t, d.GradValue(), Launch{"gumbel_relaxed.relaxed_grad_density_value_f32", 2, 256, 0, Params{out, logits, value, tau, grad, 257, status}})
	launches := d.GradTau()
	if len(launches) != 2 {
		t.Fatalf("%d launches, want 2", len(launches))
	}
	equalLaunch(t, launches[0], Launch{"gumbel_relaxed.relaxed_tau_density_f32", 2, 256, 0, Params{scratch, logits, value, tau, grad, 257, status}})
	equalLaunch(t, launches[1], Launch{"gumbel_sample.add_tau_f32", 1, 256, 0, Params{out, scratch, tau, 257}})
}
