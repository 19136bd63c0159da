package solver

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
)

// codec writes an Adam and reads it back, into an Adam that was not made.
type codec struct {
	name      string
	roundTrip func(t *testing.T, a *Adam) *Adam
}

// saved has an Adam as a program's checkpoint may have it.
type (
	pointerField struct {
		Before string
		Adam   *Adam
		After  []int
	}
	valueField struct {
		Before string
		Adam   Adam
		After  []int
	}
)

func codecs() []codec {
	throughGob := func(t *testing.T, in, out any) {
		t.Helper()
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(in); err != nil {
			t.Fatal(err)
		}
		if err := gob.NewDecoder(&b).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	throughJSON := func(t *testing.T, in, out any) {
		t.Helper()
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatal(err)
		}
	}
	all := []codec{{"MarshalBinary", func(t *testing.T, a *Adam) *Adam {
		data, err := a.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		b := &Adam{}
		if err := b.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		return b
	}}}
	for name, through := range map[string]func(t *testing.T, in, out any){"gob": throughGob, "json": throughJSON} {
		all = append(all, codec{name + ", alone", func(t *testing.T, a *Adam) *Adam {
			b := &Adam{}
			through(t, a, b)
			return b
		}}, codec{name + ", pointer field", func(t *testing.T, a *Adam) *Adam {
			var out pointerField
			through(t, pointerField{"x", a, []int{1}}, &out)
			if out.Before != "x" || !slices.Equal(out.After, []int{1}) {
				t.Errorf("the other fields became %+v", out)
			}
			return out.Adam
		}}, codec{name + ", value field", func(t *testing.T, a *Adam) *Adam {
			var out valueField
			through(t, valueField{"x", *a, []int{1}}, &out) // the struct is no pointer, so the field has no address
			if out.Before != "x" || !slices.Equal(out.After, []int{1}) {
				t.Errorf("the other fields became %+v", out)
			}
			return &out.Adam
		}}, codec{name + ", in a map", func(t *testing.T, a *Adam) *Adam {
			out := map[string]Adam{}
			through(t, map[string]Adam{"solver": *a}, &out)
			b := out["solver"]
			return &b
		}})
	}
	return all
}

// trained is an Adam after some steps of a model of all kinds of tensors, and a
// function that takes further steps, always the same, from the weights as they
// were then.
func trained(t *testing.T, opts ...Option) (a *Adam, goOn func(t *testing.T, a *Adam, steps int) []float64) {
	t.Helper()
	type model struct {
		single, double *param
		float          *param
	}
	r := rand.New(rand.NewPCG(3, 4))
	start := model{newParam(normal[float32](r, 37)...), newParam(normal[float64](r, 5)...), &param{"s", G.NewF32(0.5), G.NewF32(0)}}
	advance := func(t *testing.T, m model, a *Adam, first, steps int) {
		t.Helper()
		for s := range steps {
			r := rand.New(rand.NewPCG(5, uint64(first+s)))
			copy(elementsOf[float32](t, m.single.grad), gradients[float32](r, 37))
			copy(elementsOf[float64](t, m.double.grad), gradients[float64](r, 5))
			m.float.grad = G.NewF32(float32(r.NormFloat64()))
			step(t, a, m.single, m.double, m.float)
		}
	}
	clone := func(m model) model {
		return model{
			newParam(elementsOf[float32](t, m.single.value)...), newParam(elementsOf[float64](t, m.double.value)...),
			&param{"s", G.NewF32(elementsOf[float32](t, m.float.value)[0]), nil},
		}
	}
	a = newAdam(t, opts...)
	advance(t, start, a, 0, 7)
	return a, func(t *testing.T, a *Adam, steps int) []float64 {
		t.Helper()
		m := clone(start)
		advance(t, m, a, 7, steps)
		var all []float64
		for _, v := range append(elementsOf[float32](t, m.single.value), elementsOf[float32](t, m.float.value)...) {
			all = append(all, float64(v))
		}
		return append(all, elementsOf[float64](t, m.double.value)...)
	}
}

// A solver that was saved and read goes on bit for bit.
func TestResume(t *testing.T) {
	opts := []Option{WithLearningRate(0.02), WithBetas(0.8, 0.95), WithEpsilon(1e-5), WithGradientCheck()}
	for _, c := range codecs() {
		t.Run(c.name, func(t *testing.T) {
			a, goOn := trained(t, opts...)
			b := c.roundTrip(t, a)
			if b == nil || b.Steps() != 7 || b.LearningRate() != 0.02 || len(b.Shapes()) != 3 {
				t.Fatalf("the solver became %+v", b)
			}
			if state0(t, a) != state0(t, b) {
				t.Error("the state differs")
			}
			if got, want := goOn(t, b, 5), goOn(t, a, 5); !slices.Equal(got, want) {
				t.Errorf("resumed: %v, want %v", got, want)
			}
			wantError(t, b.Step([]G.ValueGrad{newParam(1.0)}), "solver: Adam.Step: ", "the model has 1 tensors, want 3")
		})
	}
}

// Before its first step a solver has no tensors, and takes any model after it
// was read.
func TestResumeFromStart(t *testing.T) {
	for _, c := range codecs() {
		t.Run(c.name, func(t *testing.T) {
			b := c.roundTrip(t, newAdam(t, WithLearningRate(0.5)))
			if b.Steps() != 0 || b.Shapes() != nil || b.LearningRate() != 0.5 {
				t.Errorf("%d steps, shapes %v, rate %v", b.Steps(), b.Shapes(), b.LearningRate())
			}
			step(t, b, newParam(1.0, 2))
		})
	}
}

func halving(step int) float64 { return 0.1 / float64(step+1) }

// A schedule is not saved: it has to be set again, and then goes on at its step.
func TestResumeSchedule(t *testing.T) {
	for _, c := range codecs() {
		t.Run(c.name, func(t *testing.T) {
			a, goOn := trained(t, WithSchedule(halving))
			b := c.roundTrip(t, c.roundTrip(t, a)) // that it is missing is saved too
			if !math.IsNaN(b.LearningRate()) {
				t.Errorf("the rate is %v", b.LearningRate())
			}
			wantError(t, b.Step([]G.ValueGrad{newParam(1.0)}), "solver: Adam.Step: ", "call SetSchedule or SetLearningRate")
			constant := c.roundTrip(t, b)
			if err := constant.SetLearningRate(0.5); err != nil {
				t.Fatal(err)
			}
			goOn(t, constant, 1)
			if err := b.SetSchedule(halving); err != nil {
				t.Fatal(err)
			}
			if got, want := goOn(t, b, 5), goOn(t, a, 5); !slices.Equal(got, want) {
				t.Errorf("resumed: %v, want %v", got, want)
			}
		})
	}
}

// Unmarshalling takes all but the schedule from the state.
func TestUnmarshalInto(t *testing.T) {
	a, goOn := trained(t, WithSchedule(halving))
	b := newAdam(t, WithSchedule(halving), WithBetas(0, 0))
	shared := *b
	if err := b.UnmarshalBinary([]byte(state0(t, a))); err != nil {
		t.Fatal(err)
	}
	if shared.Steps() != 7 {
		t.Error("the copy has another state")
	}
	if got, want := goOn(t, b, 5), goOn(t, a, 5); !slices.Equal(got, want) {
		t.Errorf("resumed: %v, want %v", got, want)
	}
	unscheduled, _ := trained(t, WithLearningRate(0.25))
	if err := b.UnmarshalBinary([]byte(state0(t, unscheduled))); err != nil || b.LearningRate() != halving(7) {
		t.Errorf("the rate is %v, error %v", b.LearningRate(), err)
	}
	plain := newAdam(t, WithLearningRate(0.5))
	if err := plain.UnmarshalBinary([]byte(state0(t, unscheduled))); err != nil || plain.LearningRate() != 0.25 {
		t.Errorf("the rate is %v, error %v", plain.LearningRate(), err)
	}
}

// NaN moments, denormal ones and −0 are saved as they are.
func TestResumeOddNumbers(t *testing.T) {
	p := newParam[float32](1, 1, 1, 1)
	copy(elementsOf[float32](t, p.grad), []float32{float32(math.NaN()), 1e-44, float32(math.Copysign(0, -1)), 3e38})
	a := newAdam(t)
	step(t, a, p)
	for _, c := range codecs() {
		if b := c.roundTrip(t, a); state0(t, a) != state0(t, b) {
			t.Errorf("%s: the state differs", c.name)
		}
	}
}

// An unmade solver is not saved as an empty one.
func TestMarshalUnmade(t *testing.T) {
	if text, err := json.Marshal(valueField{}); err == nil {
		t.Errorf("an unmade solver was written as %s", text)
	}
	if err := gob.NewEncoder(&bytes.Buffer{}).Encode(Adam{}); err == nil {
		t.Error("gob wrote an unmade solver")
	}
}

// sealed gives data a right checksum.
func sealed(data []byte) []byte {
	return binary.LittleEndian.AppendUint32(slices.Clone(data), crc32.Checksum(data, castagnoli))
}

func changed(data []byte, at int, by ...byte) []byte {
	data = slices.Clone(data)
	copy(data[at:], by)
	return data
}

// small is the state of a solver of one vector of two elements, unsealed, and
// where its parts are.
func small(t testing.TB) []byte {
	t.Helper()
	a := newAdam(t)
	step(t, a, newParam(1.0, 2))
	data := state0(t, a)
	return []byte(data[:len(data)-crcSize])
}

const (
	atFlags  = len(adamMagic)
	atRate   = atFlags + 1
	atBeta1  = atRate + 8
	atBeta2  = atBeta1 + 8
	atEps    = atBeta2 + 8
	atSteps  = atEps + 8
	atCount  = atSteps + 8
	atTensor = atCount + 8
	atShape  = atTensor + 2
	atMean   = atShape + 8
	atSquare = atMean + 2*8
)

func float(v float64) []byte { return appendFloats(nil, []float64{v}) }

func number(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func TestDamage(t *testing.T) {
	good := small(t)
	gobbed := &bytes.Buffer{}
	if err := gob.NewEncoder(gobbed).Encode(map[string][]float64{"m": make([]float64, 100)}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "these 0 bytes are not the state of an Adam"},
		{"foreign", bytes.Repeat([]byte("\x89PNG"), 50), "these 200 bytes are not the state of an Adam"},
		{"a gob", gobbed.Bytes(), "are not the state of an Adam"},
		{"header alone", sealed(good[:atCount]), "are not the state of an Adam"},
		{"version", sealed(changed(good, len(adamMagic)-1, 2)), "the state has version 2, want 1"},
		{"checksum", append(slices.Clone(good), 1, 2, 3, 4), "its checksum differs"},
		{"flags", sealed(changed(good, atFlags, 4)), "flags are 0x4"},
		{"rate", sealed(changed(good, atRate, float(-1)...)), "the learning rate is -1"},
		{"rate NaN", sealed(changed(good, atRate, float(math.NaN())...)), "the learning rate is NaN"},
		{"beta1", sealed(changed(good, atBeta1, float(1)...)), "beta1 is 1"},
		{"beta2", sealed(changed(good, atBeta2, float(-1)...)), "beta2 is -1"},
		{"epsilon", sealed(changed(good, atEps, float(0)...)), "epsilon is 0"},
		{"steps", sealed(changed(good, atSteps, number(math.MaxUint64)...)), "18446744073709551615 steps of 1 tensors"},
		{"no steps", sealed(changed(good, atSteps, number(0)...)), "0 steps of 1 tensors"},
		{"no tensors", sealed(changed(good, atCount, number(0)...)), "1 steps of 0 tensors"},
		{"many tensors", sealed(changed(good, atCount, number(math.MaxUint64)...)), "tensor 1: the data end early"},
		{"width", sealed(changed(good, atTensor, 2)), "tensor 0: 2 bytes per element, want 4 or 8"},
		{"rank", sealed(changed(good, atTensor+1, 255)), "tensor 0: the data end early"},
		{"axis", sealed(changed(good, atShape, number(1<<40)...)), "tensor 0: axis 0 has 1099511627776 elements"},
		{"long axis", sealed(changed(good, atShape, number(3)...)), "tensor 0: the data end early"},
		{"short axis", sealed(changed(good, atShape, number(1)...)), "16 bytes are left over"},
		{"cut", sealed(good[:len(good)-1]), "tensor 0: the data end early"},
		{"longer", sealed(append(slices.Clone(good), 0)), "1 bytes are left over"},
		{"square", sealed(changed(good, atSquare+8, float(-1)...)), "tensor 0: element 1 of the mean square is -1, want at least 0"},
		{"two tensors of one", sealed(changed(good, atCount, number(2)...)), "tensor 1: the data end early"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := trained(t, WithSchedule(halving))
			before := state0(t, a)
			wantError(t, a.UnmarshalBinary(tt.data), "solver: Adam.UnmarshalBinary: ", tt.want)
			if state0(t, a) != before || a.LearningRate() != halving(7) {
				t.Error("the solver has changed")
			}
			unmade := &Adam{}
			if err := unmade.UnmarshalBinary(tt.data); err == nil || unmade.s != nil {
				t.Error("an unmade solver has become one")
			}
		})
	}
	if err := new(Adam).UnmarshalBinary(sealed(good)); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

// No byte can change, and none can be missing, without an error.
func TestEachByteCounts(t *testing.T) {
	good := sealed(small(t))
	for i := range good {
		if err := new(Adam).UnmarshalBinary(changed(good, i, good[i]^0x10)); err == nil {
			t.Errorf("byte %d of %d was changed without an error", i, len(good))
		}
		if err := new(Adam).UnmarshalBinary(good[:i]); err == nil {
			t.Errorf("%d of %d bytes were read without an error", i, len(good))
		}
	}
}

func TestJSONDamage(t *testing.T) {
	for _, text := range []string{`null`, `{}`, `"not base64!"`, `""`, `"Z3VtYmVs"`, `7`, `[1,2]`, `[1,`} {
		a, _ := trained(t)
		before := state0(t, a)
		if err := json.Unmarshal([]byte(text), a); text != `null` && err == nil {
			t.Errorf("%s was read without an error", text)
		}
		var field valueField
		if err := json.Unmarshal([]byte(`{"Adam":`+text+`}`), &field); err == nil {
			t.Errorf("%s was read as a field without an error", text)
		}
		if state0(t, a) != before {
			t.Errorf("%s changed the solver", text)
		}
	}
}

// FuzzAdam finds states that crash, or that take more memory than they have.
func FuzzAdam(f *testing.F) {
	good := small(f)
	f.Add(good)
	f.Add(good[:atTensor])
	f.Add(changed(good, atCount, number(1<<60)...))
	f.Add(changed(good, atTensor, 4, 200))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		// Sealed, it gets further.
		for _, d := range [][]byte{data, sealed(data)} {
			a := &Adam{}
			if err := a.UnmarshalBinary(d); err != nil {
				continue
			}
			again, err := a.MarshalBinary()
			if err != nil || !bytes.Equal(again, d) {
				t.Errorf("a state of %d bytes is written as another of %d (%v)", len(d), len(again), err)
			}
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20+100*uint64(len(data)) {
			t.Errorf("%d bytes of state took %d bytes of memory", len(data), used)
		}
	})
}
