package gradcheck

import (
	"fmt"
	"math"
	"strings"
)

// A Mismatch is a derivative that finite differences do not confirm. Check
// returns the worst one of a machine.
type Mismatch struct {
	Machine  string  // "tape machine, dual values", "tape machine, second run" or "lisp machine"
	Input    string  // the name of the input's node
	Index    []int   // the element's coordinates; empty for a scalar
	Value    float64 // the element itself
	Analytic float64 // the derivative that the machine computed
	Numeric  float64 // the central difference; 0 if Value is infinite

	// Tolerance is the most by which Analytic may differ from Numeric.
	Tolerance float64

	// Wrong is how many of the Checked elements of this input differ by more
	// than their tolerance.
	Wrong, Checked int
}

func (m *Mismatch) Error() string {
	element := m.Input
	if len(m.Index) > 0 {
		element += strings.ReplaceAll(fmt.Sprint(m.Index), " ", ",")
	}
	if math.IsInf(m.Value, 0) {
		return fmt.Sprintf("%s: the derivative by %s is %v, want exactly 0 because %s is %v",
			m.Machine, element, m.Analytic, element, m.Value)
	}
	return fmt.Sprintf("%s: the derivative by %s is %v, but finite differences give %v (tolerance %.2g); wrong in %d of the %d elements checked of %s",
		m.Machine, element, m.Analytic, m.Numeric, m.Tolerance, m.Wrong, m.Checked, m.Input)
}

// run is the outcome of one run of a machine.
type run struct {
	name      string
	cost      float64
	gradients [][]float64 // one per input; nil for a run that computed none
}

// mismatch compares the gradients of a run with central differences. It returns
// nil if all are right.
func (r run) mismatch(p *point, want [][]float64, tolerance float64) *Mismatch {
	if r.gradients == nil {
		return nil
	}
	var worst *Mismatch
	most := 0.0
	for i, in := range p.inputs {
		if m := r.masked(in, r.gradients[i]); m != nil {
			return m
		}
		if m, ratio := r.compare(in, r.gradients[i], want[i], tolerance); ratio > most {
			worst, most = m, ratio
		}
	}
	return worst
}

// masked checks that infinite elements have no gradient.
func (r run) masked(in *input, gradient []float64) *Mismatch {
	for _, e := range in.infinite {
		if gradient[e] != 0 {
			return r.at(in, gradient, e)
		}
	}
	return nil
}

// compare finds the worst element of an input, if any is wrong: ratio is its
// difference relative to its tolerance.
func (r run) compare(in *input, gradient, want []float64, tolerance float64) (worst *Mismatch, ratio float64) {
	wrong := 0
	for k, e := range in.checked {
		allowed := tolerance * math.Max(1, math.Abs(want[k]))
		miss := math.Abs(gradient[e]-want[k]) / allowed
		if miss <= 1 {
			continue
		}
		if math.IsNaN(miss) {
			miss = math.Inf(1)
		}
		wrong++
		if miss > ratio {
			worst, ratio = r.at(in, gradient, e), miss
			worst.Numeric, worst.Tolerance = want[k], allowed
		}
	}
	if worst != nil {
		worst.Wrong, worst.Checked = wrong, len(in.checked)
	}
	return worst, ratio
}

func (r run) at(in *input, gradient []float64, e int) *Mismatch {
	return &Mismatch{Machine: r.name, Input: in.name, Index: in.index(e), Value: in.values[e], Analytic: gradient[e]}
}
