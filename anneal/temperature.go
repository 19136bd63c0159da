package anneal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Temperature is a scalar input node that follows a schedule. Create one with
// [NewTemperature], pass its Node to the ops, and call Step after each step of
// training. Its state is the step number. MarshalJSON and MarshalBinary return
// it, and encoding/gob uses the latter.
//
// Like the graph of its node, a Temperature is for one goroutine at a time.
type Temperature struct {
	node     *G.Node
	schedule Schedule
	step     int
	value    float64
}

// nodes numbers the nodes, because Gorgonia merges inputs of equal name.
var nodes atomic.Uint64

var errUnmade = errors.New("it has no node: create it with NewTemperature")

// NewTemperature adds to g a scalar input of dtype dt (tensor.Float32 or
// tensor.Float64) that holds s(0).
//
// It returns an error if g or s is nil, if dt is another dtype, or if s(0) is not
// finite and above 0 in that dtype.
func NewTemperature(g *G.ExprGraph, dt tensor.Dtype, s Schedule) (*Temperature, error) {
	if g == nil {
		return nil, errors.New("anneal: NewTemperature: the graph is nil")
	}
	if dt != tensor.Float32 && dt != tensor.Float64 {
		return nil, fmt.Errorf("anneal: NewTemperature: the dtype is %v, want float32 or float64", dt.Type)
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

// Node returns the scalar node to pass to ops. The next Step overwrites what
// gorgonia.Let has set on it, and so does restoring a state.
func (t *Temperature) Node() *G.Node { return t.node }

// Value returns the schedule's value at the current step. A Float32 node holds
// the rounded value.
func (t *Temperature) Value() float64 { return t.value }

// Step moves to the next step and sets the node's value for the following runs of
// a machine. If the schedule's value there is not finite and above 0 in the node's
// dtype, Step changes nothing and returns an error that names the step and the
// value.
func (t *Temperature) Step() error {
	if t.step == math.MaxInt {
		return fmt.Errorf("anneal: Temperature.Step: step %d is the last", t.step)
	}
	if err := t.moveTo(t.step + 1); err != nil {
		return fmt.Errorf("anneal: Temperature.Step: %w", err)
	}
	return nil
}

// MarshalJSON returns the current step: {"step":3}. The schedule is not part of
// the state: restore it into a Temperature of the same schedule.
func (t Temperature) MarshalJSON() ([]byte, error) {
	if t.node == nil {
		return nil, fmt.Errorf("anneal: Temperature.MarshalJSON: %w", errUnmade)
	}
	return fmt.Appendf(nil, `{"step":%d}`, t.step), nil
}

// UnmarshalJSON restores a state that MarshalJSON returned into a Temperature
// that [NewTemperature] has created: it moves to that step and sets the node's
// value.
//
// It changes nothing and returns an error if the step is missing, negative or not
// a whole number, if there is any other field, or if the schedule's value at the
// step is not finite and above 0 in the node's dtype.
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

// temperatureName starts a binary state; its last byte is the version. The step
// follows, as eight bytes, little-endian.
const temperatureName = "anneal.Temperature\x01"

// MarshalBinary returns the current step in binary form: see MarshalJSON.
func (t Temperature) MarshalBinary() ([]byte, error) {
	if t.node == nil {
		return nil, fmt.Errorf("anneal: Temperature.MarshalBinary: %w", errUnmade)
	}
	return binary.LittleEndian.AppendUint64([]byte(temperatureName), uint64(t.step)), nil
}

// UnmarshalBinary restores a state that MarshalBinary returned: see UnmarshalJSON.
func (t *Temperature) UnmarshalBinary(data []byte) error {
	state, ok := bytes.CutPrefix(data, []byte(temperatureName))
	if !ok || len(state) != 8 {
		return fmt.Errorf("anneal: Temperature.UnmarshalBinary: %d bytes are not the state of a Temperature", len(data))
	}
	step := binary.LittleEndian.Uint64(state)
	if step > math.MaxInt {
		return fmt.Errorf("anneal: Temperature.UnmarshalBinary: the step is %d, want at most %d: the state is damaged", step, math.MaxInt)
	}
	if err := t.moveTo(int(step)); err != nil {
		return fmt.Errorf("anneal: Temperature.UnmarshalBinary: %w", err)
	}
	return nil
}

// readStep reads {"step":N}. It uses a map because a struct would also accept
// "STEP".
func readStep(data []byte) (int, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return 0, fmt.Errorf(`the state is not of the form {"step":N}: %w`, err)
	}
	for name := range fields {
		if name != "step" {
			return 0, fmt.Errorf("field %q is unknown, want step alone", name)
		}
	}
	text, ok := fields["step"]
	if !ok {
		return 0, errors.New("step is missing")
	}
	step, err := strconv.Atoi(string(text))
	if err != nil || step < 0 {
		return 0, fmt.Errorf("step is %s, want a whole number from 0 to %d", text, math.MaxInt)
	}
	return step, nil
}

// moveTo moves to a step, or changes nothing and returns an error.
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

// scalar returns v as a Gorgonia value of dtype dt. It must be a temperature in
// that dtype.
func scalar(dt tensor.Dtype, v float64) (G.Value, error) {
	if !usable(v) {
		return nil, fmt.Errorf("the schedule is %v, want a finite temperature above 0", v)
	}
	if dt == tensor.Float64 {
		return G.NewF64(v), nil
	}
	narrow := float32(v)
	if !usable(float64(narrow)) {
		return nil, fmt.Errorf("the schedule is %v, which is %v in float32, want a finite temperature above 0", v, narrow)
	}
	return G.NewF32(narrow), nil
}

func usable(v float64) bool { return v > 0 && !math.IsInf(v, 1) }
