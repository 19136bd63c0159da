package anneal

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var dtypes = []tensor.Dtype{tensor.Float32, tensor.Float64}

func newTemperature(t *testing.T, g *G.ExprGraph, dt tensor.Dtype, s Schedule) *Temperature {
	t.Helper()
	temp, err := NewTemperature(g, dt, s)
	if err != nil {
		t.Fatal(err)
	}
	return temp
}

// held is what the node of temp holds, as a float64.
func held(t *testing.T, temp *Temperature) float64 {
	t.Helper()
	switch v := temp.Node().Value().Data().(type) {
	case float64:
		return v
	case float32:
		return float64(v)
	default:
		t.Fatalf("the node holds a %T", v)
		return 0
	}
}

// rounded is v as a node of dtype dt holds it.
func rounded(dt tensor.Dtype, v float64) float64 {
	if dt == tensor.Float32 {
		return float64(float32(v))
	}
	return v
}

func TestTemperatureFollowsItsSchedule(t *testing.T) {
	s := Jang(0.1, 3)
	for _, dt := range dtypes {
		temp := newTemperature(t, G.NewGraph(), dt, s)
		if n := temp.Node(); !n.IsScalar() || n.Dtype() != dt {
			t.Errorf("%v: the node is %v of %v", dt, n.Shape(), n.Dtype())
		}
		for step := range 12 {
			if temp.Value() != s(step) {
				t.Errorf("%v: step %d: value %v, want %v", dt, step, temp.Value(), s(step))
			}
			if got, want := held(t, temp), rounded(dt, s(step)); got != want {
				t.Errorf("%v: step %d: the node holds %v, want %v", dt, step, got, want)
			}
			if err := temp.Step(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A machine multiplies a vector by the temperature, and sees each step.
func TestTemperatureInAGraph(t *testing.T) {
	s := Exponential(2, 0.3)
	for _, dt := range dtypes {
		g := G.NewGraph()
		temp := newTemperature(t, g, dt, s)
		ones := G.NewVector(g, dt, G.WithName("ones"), G.WithShape(3), G.WithValue(tensor.Ones(dt, 3)))
		product, err := G.Mul(ones, temp.Node())
		if err != nil {
			t.Fatal(err)
		}
		var out G.Value
		G.Read(product, &out)

		m := G.NewTapeMachine(g)
		defer m.Close()
		run := func(step int) {
			t.Helper()
			if err := m.RunAll(); err != nil {
				t.Fatal(err)
			}
			m.Reset()
			want := tensor.New(tensor.Of(dt), tensor.WithShape(3))
			if err := want.Memset(asDtype(dt, s(step))); err != nil {
				t.Fatal(err)
			}
			if got := out.(tensor.Tensor); !want.Eq(got) {
				t.Errorf("%v: step %d: got %v, want %v", dt, step, got, want)
			}
		}
		for step := range 5 {
			run(step)
			if err := temp.Step(); err != nil {
				t.Fatal(err)
			}
		}
		if err := temp.UnmarshalJSON([]byte(`{"step":2}`)); err != nil {
			t.Fatal(err)
		}
		run(2)
	}
}

func asDtype(dt tensor.Dtype, v float64) any {
	if dt == tensor.Float32 {
		return float32(v)
	}
	return v
}

// Gorgonia makes one node of two inputs of the same name.
func TestTemperaturesDoNotMerge(t *testing.T) {
	g := G.NewGraph()
	a := newTemperature(t, g, tensor.Float64, Constant(1))
	b := newTemperature(t, g, tensor.Float64, Constant(2))
	if a.Node() == b.Node() || held(t, a) != 1 || held(t, b) != 2 {
		t.Errorf("two temperatures in one graph hold %v and %v, want 1 and 2", held(t, a), held(t, b))
	}
}

func TestStepOverwritesLet(t *testing.T) {
	temp := newTemperature(t, G.NewGraph(), tensor.Float64, Linear(2, 1, 4))
	if err := G.Let(temp.Node(), 9.0); err != nil {
		t.Fatal(err)
	}
	if err := temp.Step(); err != nil {
		t.Fatal(err)
	}
	if held(t, temp) != 1.75 {
		t.Errorf("the node holds %v, want 1.75", held(t, temp))
	}
}

func TestNewTemperatureErrors(t *testing.T) {
	g, f32, f64 := G.NewGraph(), tensor.Float32, tensor.Float64
	tests := []struct {
		g    *G.ExprGraph
		dt   tensor.Dtype
		s    Schedule
		want string
	}{
		{nil, f64, Constant(1), "the graph is nil"},
		{g, tensor.Int, Constant(1), "the dtype is int, want float32 or float64"},
		{g, tensor.Dtype{}, Constant(1), "the dtype is <nil>, want float32 or float64"},
		{g, f64, nil, "the schedule is nil"},
		{g, f64, Schedule(nil).AtLeast(1).Every(10), "the schedule is nil"},
		{g, f64, Constant(0), "at step 0 the schedule is 0, want a finite temperature above 0"},
		{g, f64, Constant(-2), "at step 0 the schedule is -2, want a finite temperature above 0"},
		{g, f64, Constant(math.NaN()), "at step 0 the schedule is NaN, want a finite temperature above 0"},
		{g, f64, Constant(math.Inf(1)), "at step 0 the schedule is +Inf, want a finite temperature above 0"},
		{g, f32, Constant(1e-60), "at step 0 the schedule is 1e-60, which is 0 in float32, want a finite temperature above 0"},
		{g, f32, Constant(1e60), "at step 0 the schedule is 1e+60, which is +Inf in float32, want a finite temperature above 0"},
	}
	for _, test := range tests {
		temp, err := NewTemperature(test.g, test.dt, test.s)
		if want := "anneal: NewTemperature: " + test.want; temp != nil || err == nil || err.Error() != want {
			t.Errorf("\n got %v\nwant %s", err, want)
		}
	}
	if n := len(g.AllNodes()); n != 0 {
		t.Errorf("failed calls left %d nodes in the graph", n)
	}
	for _, v := range []float64{1e-60, 1e60} {
		newTemperature(t, g, f64, Constant(v))
	}
}

func TestStepErrors(t *testing.T) {
	for bad, want := range map[float64]string{
		0:           "0",
		-1:          "-1",
		math.Inf(1): "+Inf",
		math.NaN():  "NaN",
		1e-60:       "1e-60, which is 0 in float32",
	} {
		s := must(Join([]int{2}, Linear(3, 2, 2), Constant(bad)))
		temp := newTemperature(t, G.NewGraph(), tensor.Float32, s)
		if err := temp.Step(); err != nil {
			t.Fatal(err)
		}
		want = "anneal: Temperature.Step: at step 2 the schedule is " + want + ", want a finite temperature above 0"
		for range 2 { // the second shows that the step stayed
			if err := temp.Step(); err == nil || err.Error() != want {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
			checkState(t, temp, 1, 2.5)
		}
	}
}

func TestStepStopsAtTheLastInt(t *testing.T) {
	temp := newTemperature(t, G.NewGraph(), tensor.Float64, Linear(2, 1, 10))
	if err := temp.moveTo(math.MaxInt); err != nil {
		t.Fatal(err)
	}
	if err := temp.Step(); err == nil || !strings.Contains(err.Error(), "is the last") {
		t.Errorf("got %v, want an error that the step is the last", err)
	}
	checkState(t, temp, math.MaxInt, 1)
}

func checkState(t *testing.T, temp *Temperature, step int, value float64) {
	t.Helper()
	if temp.step != step || temp.Value() != value || held(t, temp) != value {
		t.Errorf("step %d, value %v, node %v, want step %d and %v", temp.step, temp.Value(), held(t, temp), step, value)
	}
}

// A run is stopped at each step in turn, and another goes on to the end.
func TestResume(t *testing.T) {
	const last = 40
	for _, dt := range dtypes {
		var values, nodes []float64
		var states [][]byte
		whole := newTemperature(t, G.NewGraph(), dt, Jang(0.02, 3))
		for range last + 1 {
			state, err := json.Marshal(whole)
			if err != nil {
				t.Fatal(err)
			}
			values, nodes, states = append(values, whole.Value()), append(nodes, held(t, whole)), append(states, state)
			if err := whole.Step(); err != nil {
				t.Fatal(err)
			}
		}
		for stop := range last + 1 {
			resumed := newTemperature(t, G.NewGraph(), dt, Jang(0.02, 3))
			if err := json.Unmarshal(states[stop], resumed); err != nil {
				t.Fatal(err)
			}
			for step := stop; step <= last; step++ {
				if resumed.Value() != values[step] || held(t, resumed) != nodes[step] {
					t.Errorf("%v: stopped at %d: step %d: value %v, node %v, want %v and %v",
						dt, stop, step, resumed.Value(), held(t, resumed), values[step], nodes[step])
				}
				if err := resumed.Step(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// A checkpoint holds the temperature among other things.
func TestResumeFromACheckpoint(t *testing.T) {
	type checkpoint struct {
		Tau  *Temperature
		Loss float64
	}
	first := checkpoint{newTemperature(t, G.NewGraph(), tensor.Float64, DALLE()), 99.5}
	for range 7 {
		if err := first.Tau.Step(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"Tau":{"step":7},"Loss":99.5}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	second := checkpoint{Tau: newTemperature(t, G.NewGraph(), tensor.Float64, DALLE())}
	if err := json.Unmarshal(text, &second); err != nil {
		t.Fatal(err)
	}
	checkState(t, second.Tau, 7, DALLE()(7))
}

func TestUnmarshalErrors(t *testing.T) {
	const whole = ", want a whole number from 0 to "
	s := must(Join([]int{100}, Linear(3, 1, 50), Constant(0)))
	tests := []struct{ text, want string }{
		{`{"step":-1}`, "step is -1" + whole},
		{`{"step":1.0}`, "step is 1.0" + whole},
		{`{"step":1e2}`, "step is 1e2" + whole},
		{`{"step":99999999999999999999}`, "step is 99999999999999999999" + whole},
		{`{"step":"5"}`, `step is "5"` + whole},
		{`{"step":null}`, "step is null" + whole},
		{`{"step":true}`, "step is true" + whole},
		{`{"step":[5]}`, "step is [5]" + whole},
		{`{}`, "step is missing"},
		{`null`, "step is missing"},
		{`{"STEP":5}`, `field "STEP" is unknown, want step alone`},
		{`{"step":5,"value":1}`, `field "value" is unknown, want step alone`},
		{`5`, `the state is not of the form {"step":N}: `},
		{`[5]`, `the state is not of the form {"step":N}: `},
		{`{"step":5`, `the state is not of the form {"step":N}: `},
		{`{"step":5}{}`, `the state is not of the form {"step":N}: `},
		{``, `the state is not of the form {"step":N}: `},
		{`{"step":100}`, "at step 100 the schedule is 0, want a finite temperature above 0"},
	}
	for _, test := range tests {
		temp := newTemperature(t, G.NewGraph(), tensor.Float64, s)
		if err := temp.Step(); err != nil {
			t.Fatal(err)
		}
		err := temp.UnmarshalJSON([]byte(test.text))
		if want := "anneal: Temperature.UnmarshalJSON: " + test.want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", test.text, err, want)
		}
		checkState(t, temp, 1, 2.96)
	}
}

func TestUnmadeTemperature(t *testing.T) {
	var temp Temperature
	_, marshal := temp.MarshalJSON()
	for name, err := range map[string]error{
		"Step":          temp.Step(),
		"MarshalJSON":   marshal,
		"UnmarshalJSON": temp.UnmarshalJSON([]byte(`{"step":1}`)),
	} {
		want := "anneal: Temperature." + name + ": it has no node: create it with NewTemperature"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Every codec carries the step, of a pointer and of a copy, into a Temperature of
// the same schedule.
func TestTemperatureCodecs(t *testing.T) {
	type pointer struct{ T *Temperature }
	type copied struct{ T Temperature }
	encodeGob := func(v any) (*bytes.Buffer, error) {
		var b bytes.Buffer
		return &b, gob.NewEncoder(&b).Encode(v)
	}
	for name, codec := range map[string]func(from, to *Temperature) error{
		"binary": func(from, to *Temperature) error {
			data, err := from.MarshalBinary()
			return errors.Join(err, to.UnmarshalBinary(data))
		},
		"JSON": func(from, to *Temperature) error {
			data, err := json.Marshal(pointer{from})
			return errors.Join(err, json.Unmarshal(data, &pointer{to}))
		},
		"JSON of a copy": func(from, to *Temperature) error {
			data, err := json.Marshal(copied{*from})
			return errors.Join(err, json.Unmarshal(data, &pointer{to}))
		},
		"gob": func(from, to *Temperature) error {
			data, err := encodeGob(pointer{from})
			return errors.Join(err, gob.NewDecoder(data).Decode(&pointer{to}))
		},
		"gob of a copy": func(from, to *Temperature) error {
			data, err := encodeGob(copied{*from})
			return errors.Join(err, gob.NewDecoder(data).Decode(&pointer{to}))
		},
	} {
		s := Exponential(1, 0.01)
		from, to := newTemperature(t, G.NewGraph(), tensor.Float32, s), newTemperature(t, G.NewGraph(), tensor.Float32, s)
		for range 7 {
			if err := from.Step(); err != nil {
				t.Fatal(err)
			}
		}
		if err := codec(from, to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if to.step != 7 || held(t, to) != held(t, from) {
			t.Errorf("%s: step %d, node %v; want 7, %v", name, to.step, held(t, to), held(t, from))
		}
	}
}

func TestTemperatureBadBinary(t *testing.T) {
	temp := newTemperature(t, G.NewGraph(), tensor.Float64, Linear(1, 0, 10))
	good, err := temp.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	late, negative := bytes.Clone(good), bytes.Clone(good)
	late[len(late)-8] = 10
	negative[len(negative)-1] = 0x80
	for name, data := range map[string][]byte{
		"nil": nil, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0), "foreign": append([]byte("x"), good[1:]...),
		"a step without a temperature": late, "a negative step": negative,
	} {
		if err := temp.UnmarshalBinary(data); err == nil || !strings.HasPrefix(err.Error(), "anneal: Temperature.UnmarshalBinary: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if temp.step != 0 {
		t.Errorf("a bad state moved to step %d", temp.step)
	}
	var unmade Temperature
	if _, err := unmade.MarshalBinary(); err == nil {
		t.Error("a Temperature without a node marshals")
	}
	if err := unmade.UnmarshalBinary(good); err == nil {
		t.Error("a Temperature without a node unmarshals")
	}
}
