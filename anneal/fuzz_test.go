package anneal

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// FuzzParse holds every text to this: an error that names the call, or a
// schedule that is finite at step 0, takes negative steps as 0, is the same
// when read again, and goes on in the grammar.
func FuzzParse(f *testing.F) {
	for _, spec := range []string{
		"", "0.5", "constant(0.5)", "exp(1,3e-5).every(1000).atleast(0.5)", "exp(0,-1e300)",
		"linear(1,0.1,100)", "cosine(1, 0.0625, 150000)", "poly(1,0,-3e300,9) . every ( 3 )",
		"linear(1e308,-1e308,10)", "constant(NaN)", "exp(1)", "poly(,)", "every(2)", "constant(1).x", "τ(\xff",
	} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := Parse(spec)
		if err != nil {
			if s != nil || !strings.HasPrefix(err.Error(), "anneal: Parse(") {
				t.Fatalf("%q: schedule is nil: %v, error %v", spec, s == nil, err)
			}
			return
		}
		if v := s(0); math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%q: %v at step 0", spec, v)
		}
		if s(-1) != s(0) {
			t.Errorf("%q: %v at step -1, %v at step 0", spec, s(-1), s(0))
		}
		again := reparse(t, spec)
		floored := reparse(t, spec+" . every ( 1 ) .atleast(0.5)")
		stairs := reparse(t, spec+".every(250)")
		for _, step := range []int{0, 1, 1000, math.MaxInt} {
			v := s(step)
			if !same(again(step), v) {
				t.Errorf("%q: step %d: %v, read again %v", spec, step, v, again(step))
			}
			if !same(floored(step), max(v, 0.5)) {
				t.Errorf("%q: step %d: %v, with a floor of 0.5 %v", spec, step, v, floored(step))
			}
			if !same(stairs(step), s(step-step%250)) {
				t.Errorf("%q: step %d: %v, in a staircase of 250 %v", spec, step, s(step-step%250), stairs(step))
			}
		}
	})
}

func reparse(t *testing.T, spec string) Schedule {
	t.Helper()
	s, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// same is equality that holds for NaN too.
func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// FuzzTemperatureJSON holds every text to this: an error and no change, or a
// step that marshals back to itself.
func FuzzTemperatureJSON(f *testing.F) {
	for _, text := range []string{
		`{"step":3}`, ` { "step" : 0 } `, `{"step":-1}`, `{"step":1e3}`, `{"step":9223372036854775807}`,
		`{"Step":3}`, `{"step":3,"tau":1}`, `{}`, `null`, `[3]`, `3`, ``, `{"step":"3"}`, `{"step":null}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		temp, err := NewTemperature(G.NewGraph(), tensor.Float64, Jang(1e-4, 1000))
		if err != nil {
			t.Fatal(err)
		}
		failed := temp.UnmarshalJSON(text)
		out, err := json.Marshal(temp)
		if err != nil {
			t.Fatal(err)
		}
		if failed != nil {
			if string(out) != `{"step":0}` || temp.Value() != 1 {
				t.Fatalf("%q: error %v, and it left %s, %v", text, failed, out, temp.Value())
			}
			return
		}
		again, err := NewTemperature(G.NewGraph(), tensor.Float64, Jang(1e-4, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, again); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if again.step != temp.step || again.Value() != temp.Value() {
			t.Fatalf("%q: step %d at %v, through %s step %d at %v", text, temp.step, temp.Value(), out, again.step, again.Value())
		}
	})
}
