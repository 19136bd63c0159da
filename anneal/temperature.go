package anneal

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Temperature is a scalar input node that follows a schedule. Make one with
// [NewTemperature], hand its Node to the ops, and call Step after each step of
// training. Its whole state is the step number, which it marshals as JSON.
//
// Like the graph of its node, a Temperature is for one goroutine at a time.
type Temperature struct {
	node     *G.Node
	schedule Schedule
	step     int
	value    float64
}

// nodes counts the nodes made, because Gorgonia merges inputs of one name.
var nodes atomic.Uint64

var errUnmade = errors.New("no node; make the Temperature with NewTemperature")

// NewTemperature adds to g a scalar input of dtype dt (tensor.Float32 or
// tensor.Float64) that holds s(0).
//
// It is an error if g or s is nil, if dt is another dtype, or if s(0) is not
// finite and above 0, as it is or as a float32 where dt is tensor.Float32.
func NewTemperature(g *G.ExprGraph, dt tensor.Dtype, s Schedule) (*Temperature, error) {
	if g == nil {
		return nil, errors.New("anneal: NewTemperature: the graph is nil")
	}
	if dt != tensor.Float32 && dt != tensor.Float64 {
		return nil, fmt.Errorf("anneal: NewTemperature: dtype is %v; want float32 or float64", dt.Type)
	}
	if s == nil {
		return nil, errors.New("anneal: NewTemperature: the schedule is nil")
	}
	v := s(0)
	bound, err := scalar(dt, v)
	if err != nil {
		return nil, fmt.Errorf("anneal: NewTemperature: at step 0 %w", err)
	}
	node := G.NewScalar(g, dt, G.WithName(fmt.Sprintf("Temperature#%d", nodes.Add(1))), G.WithValue(bound))
	return &Temperature{node: node, schedule: s, value: v}, nil
}

// Node returns the scalar node to hand to ops. The next Step, or UnmarshalJSON,
// overwrites what was set on it with gorgonia.Let.
func (t *Temperature) Node() *G.Node { return t.node }

// Value returns the schedule's value at the current step. A Float32 node holds
// it rounded.
func (t *Temperature) Value() float64 { return t.value }

// Step moves to the next step and sets the node's value, for the runs of a
// machine that start after it. If the schedule's value there is not finite and
// above 0, in the node's dtype, the error names the step and the value, and
// nothing changes.
func (t *Temperature) Step() error {
	if t.step == math.MaxInt {
		return fmt.Errorf("anneal: Temperature.Step: step %d is the last", t.step)
	}
	if err := t.moveTo(t.step + 1); err != nil {
		return fmt.Errorf("anneal: Temperature.Step: %w", err)
	}
	return nil
}

// MarshalJSON gives the current step, as {"step":3}. The schedule is not part
// of it: resume with a Temperature made from the same schedule.
func (t *Temperature) MarshalJSON() ([]byte, error) {
	if t.node == nil {
		return nil, fmt.Errorf("anneal: Temperature.MarshalJSON: %w", errUnmade)
	}
	return fmt.Appendf(nil, `{"step":%d}`, t.step), nil
}

// UnmarshalJSON reads what MarshalJSON gave into a Temperature made by
// [NewTemperature], moves to that step and sets the node's value.
//
// It is an error if the step is missing, negative or not a whole number, if
// there is any other field, or if the schedule's value at the step is not
// finite and above 0 in the node's dtype; then nothing changes.
func (t *Temperature) UnmarshalJSON(data []byte) error {
	step, err := readStep(data)
	if err == nil {
		err = t.moveTo(step)
	}
	if err != nil {
		return fmt.Errorf("anneal: Temperature.UnmarshalJSON: %w", err)
	}
	return nil
}

// readStep reads {"step":N}. It goes through a map because a struct would also
// take "STEP".
func readStep(data []byte) (int, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return 0, fmt.Errorf(`not of the form {"step":N}: %w`, err)
	}
	for name := range fields {
		if name != "step" {
			return 0, fmt.Errorf("unknown field %q; only step is known", name)
		}
	}
	text, ok := fields["step"]
	if !ok {
		return 0, errors.New("step is missing")
	}
	step, err := strconv.Atoi(string(text))
	if err != nil || step < 0 {
		return 0, fmt.Errorf("step is %s; want a whole number from 0 to %d", text, math.MaxInt)
	}
	return step, nil
}

// moveTo makes step the current one, or changes nothing and returns an error.
func (t *Temperature) moveTo(step int) error {
	if t.node == nil {
		return errUnmade
	}
	v := t.schedule(step)
	bound, err := scalar(t.node.Dtype(), v)
	if err != nil {
		return fmt.Errorf("at step %d %w", step, err)
	}
	if err := G.Let(t.node, bound); err != nil {
		return fmt.Errorf("at step %d: %w", step, err)
	}
	t.step, t.value = step, v
	return nil
}

// scalar returns v as a Gorgonia value of dtype dt, if it can be a temperature
// there.
func scalar(dt tensor.Dtype, v float64) (G.Value, error) {
	if !usable(v) {
		return nil, fmt.Errorf("the schedule gives %v; want a finite temperature above 0", v)
	}
	if dt == tensor.Float64 {
		return G.NewF64(v), nil
	}
	narrow := float32(v)
	if !usable(float64(narrow)) {
		return nil, fmt.Errorf("the schedule gives %v, as a float32 %v; want a finite temperature above 0", v, narrow)
	}
	return G.NewF32(narrow), nil
}

func usable(v float64) bool { return v > 0 && !math.IsInf(v, 1) }
