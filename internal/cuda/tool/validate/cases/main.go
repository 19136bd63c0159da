// Command cases writes cases.json for validate.py: launches as internal/plan computes
// them, how to fill their arrays, and hashes of what the CPU computes.
//
//	go generate ./internal/cuda
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// A Case is some arrays and the launches on them. Kind names the function of validate.py
// that checks it.
type Case struct {
	Name, Kind string
	Sizes      map[string]int
	Arrays     []Array
	Launches   []Launch
	Hashes     map[string]string `json:",omitempty"` // SHA-256 of arrays after all launches
	Timed      bool              `json:",omitempty"`
}

// An Array is one on the device. Its elements are numbers of Fill, or arbitrary without
// it.
type Array struct {
	Name, Type string
	Length     int
	Fill       *Fill `json:",omitempty"`
}

// A Fill computes element i as Value + i·Step or, if Scale is not 0, as a pseudorandom number
// between -Scale/2 and Scale/2: see element. Every Mask-th class but class 0 is -Inf if
// Mask is not 0, and element NaN is NaN if it is not 0.
type Fill struct {
	Value, Step, Scale float64 `json:",omitempty"`
	Seed               int     `json:",omitempty"`
	Mask, NaN          int     `json:",omitempty"`
}

// A Launch has its parameters in hexadecimal, or as @ and the name of an array whose address
// it takes.
type Launch struct {
	Name, Kernel            string
	Blocks, Threads, Shared int
	Params                  []string
}

// element returns element i of a fill. The 16 bits make it exact in float32.
func (f *Fill) element(i, class int) float64 {
	switch {
	case f.NaN != 0 && i == f.NaN:
		return math.NaN()
	case f.Mask != 0 && class != 0 && i%f.Mask == f.Mask-1:
		return math.Inf(-1)
	case f.Scale == 0:
		return f.Value + float64(i)*f.Step
	}
	hash := uint32(i)*2654435761 + uint32(f.Seed)*2246822519
	hash ^= hash >> 15
	hash *= 2246822519
	return (float64(hash>>16)/65536 - 0.5) * f.Scale
}

// tag marks the addresses of arrays among the parameters. No size, number or key of a
// case has these bits.
const tag = 0xA77A << 48

// cases collects all cases.
type cases []*Case

func (all *cases) add(kind, format string, args ...any) *Case {
	c := &Case{Name: fmt.Sprintf(format, args...), Kind: kind, Sizes: map[string]int{}, Hashes: map[string]string{}}
	*all = append(*all, c)
	return c
}

// array adds an array and returns its address.
func (c *Case) array(name, kind string, length int, fill *Fill) plan.Pointer {
	c.Arrays = append(c.Arrays, Array{name, kind, length, fill})
	return plan.Pointer(tag | uint64(len(c.Arrays)-1))
}

// draw adds a draw: its number, and the index in it of an array's first element.
func (c *Case) draw(number, first int) plan.Pointer {
	return c.array("draw", "i64", 2, &Fill{Value: float64(number), Step: float64(first - number)})
}

func (c *Case) status() plan.Pointer { return c.array("status", "i64", 1, &Fill{}) }

func (c *Case) launch(name string, launches ...plan.Launch) {
	for _, l := range launches {
		params := make([]string, len(l.Params))
		for i, p := range l.Params {
			if p>>48 == tag>>48 {
				params[i] = "@" + c.Arrays[p&^(0xFFFF<<48)].Name
			} else {
				params[i] = strconv.FormatUint(p, 16)
			}
		}
		c.Launches = append(c.Launches, Launch{name, l.Kernel, l.Blocks, l.Threads, l.Shared, params})
	}
}

func hash[T any](c *Case, array string, x []T) {
	h := sha256.New()
	if err := binary.Write(h, binary.LittleEndian, x); err != nil {
		log.Fatal(err) // T has no fixed size
	}
	c.Hashes[array] = fmt.Sprintf("%x", h.Sum(nil))
}

var key = philox.DeriveKey(3, 4)

// The samples are those of rows 7 and later of draw 5.
const draw, row = 5, 7

func first(d kernel.Dims) int { return row * d.Classes * d.Inner }

// noise is that of the kernels for noise alone, bit for bit.
func noise[T kernel.Float](all *cases) {
	f := plan.FloatOf[T]()
	for _, key := range []philox.Key{{}, key, {math.MaxUint32, math.MaxUint32}} {
		for _, draw := range [][2]int{{0, 0}, {1<<40 + 5, 12345}} {
			for _, n := range []int{1, 15, 65, 100_001} {
				for _, law := range [][2]float64{{0, 1}, {-3, 0.7}} {
					c := all.add("noise", "noise %s n=%d draw=%d key=%v law=%v", f, n, draw[0], key, law)
					out := c.array("out", string(f), n, nil)
					c.launch("noise", plan.Gumbel(f, out, c.draw(draw[0], draw[1]), key, n, law[0], law[1]))
					want := make([]T, n)
					kernel.Gumbel(want, kernel.Stream{Key: key, Draw: uint64(draw[0]), First: uint64(draw[1])}, law[0], law[1])
					hash(c, "out", want)
				}
			}
		}
	}
}

// shapes reach every kernel and every branch in it, for either type.
var shapes = []kernel.Dims{
	{Outer: 1, Classes: 1, Inner: 1}, {Outer: 7, Classes: 3, Inner: 1}, {Outer: 300, Classes: 10, Inner: 1},
	{Outer: 41, Classes: 33, Inner: 1}, {Outer: 9, Classes: 512, Inner: 1}, // tiles of whole outer indices
	{Outer: 3, Classes: 2, Inner: 7}, {Outer: 5, Classes: 4, Inner: 40}, {Outer: 2, Classes: 1000, Inner: 2},
	{Outer: 1, Classes: 3, Inner: 2000}, {Outer: 2, Classes: 40, Inner: 100}, // and of inner ones
	{Outer: 3, Classes: 513, Inner: 1}, {Outer: 5, Classes: 1000, Inner: 1}, {Outer: 2, Classes: 3000, Inner: 1},
	{Outer: 1, Classes: 16384, Inner: 1}, {Outer: 1, Classes: 32768, Inner: 1}, // rows
	{Outer: 1, Classes: 33001, Inner: 1}, {Outer: 1, Classes: 100, Inner: 150}, {Outer: 1, Classes: 3000, Inner: 3}, // multipass
}

// sampler adds the arrays of a sampler.
func sampler(c *Case, f plan.Float, d kernel.Dims, logits *Fill) plan.Sample {
	c.Sizes = map[string]int{"outer": d.Outer, "classes": d.Classes, "inner": d.Inner}
	return plan.Sample{
		Dims: d, Float: f, Key: key,
		Logits: c.array("logits", string(f), d.Size(), logits),
		Grad:   c.array("grad", string(f), d.Size(), &Fill{Scale: 4, Seed: 2}),
		Tau:    c.array("tau", string(f), 1, &Fill{Value: 0.625}),
		Draw:   c.draw(draw, first(d)),
	}
}

// steps adds a launch for each result of a sampler, with an array of its name.
func steps(c *Case, s plan.Sample) {
	f, n := string(s.Float), s.Dims.Size()
	s.Status = c.status()
	c.launch("noise", plan.Gumbel(s.Float, c.array("noise", f, n, nil), s.Draw, s.Key, n, 0, 1))
	for _, step := range []struct {
		name   string
		launch func(plan.Sample) plan.Launch
	}{{"hard", plan.Sample.Hard}, {"soft", plan.Sample.Soft}, {"gradient", plan.Sample.GradLogits}} {
		s.Out = c.array(step.name, f, n, nil)
		c.launch(step.name, step.launch(s))
	}
	s.Out, s.Scratch = c.array("tau_gradient", f, 1, nil), c.array("scratch", "f64", s.TauScratch()/8, nil)
	c.launch("tau_gradient", s.GradTau()...)
}

// samples are those of all shapes. A hard sample has the bits of the CPU's.
func samples[T kernel.Float](all *cases) {
	f := plan.FloatOf[T]()
	for _, d := range shapes {
		c := all.add("sample", "sample %s %d×%d×%d", f, d.Outer, d.Classes, d.Inner)
		logits := &Fill{Scale: 8, Seed: 1, Mask: 29}
		steps(c, sampler(c, f, d, logits))
		x, want := make([]T, d.Size()), make([]T, d.Size())
		for i := range x {
			x[i] = T(logits.element(i, i/d.Inner%d.Classes))
		}
		stream := kernel.Stream{Key: key, Draw: draw, First: uint64(first(d))}
		kernel.Gumbel(want, stream, 0, 1)
		hash(c, "noise", want)
		cpu := kernel.Sampler[T]{Dims: d, Logits: x, Noise: kernel.Noise[T]{Stream: &stream}, Tau: 1}
		if err := cpu.Hard(want, nil); err != nil {
			log.Fatal(err)
		}
		hash(c, "hard", want)

		for _, step := range []string{"hard", "soft", "gradient", "tau_gradient"} {
			refused(all, f, d, step)
		}
	}
}

// refused is a case of a logit that is NaN.
func refused(all *cases, f plan.Float, d kernel.Dims, step string) {
	if d.Size() == 1 {
		return // NaN 0 means none
	}
	c := all.add("refused", "refused %s %s %d×%d×%d", step, f, d.Outer, d.Classes, d.Inner)
	s := sampler(c, f, d, &Fill{Scale: 8, Seed: 1, NaN: d.Size() - 1})
	s.Status, s.Out = c.status(), c.array("out", string(f), d.Size(), nil)
	switch step {
	case "hard":
		c.launch(step, s.Hard())
	case "soft":
		c.launch(step, s.Soft())
	case "gradient":
		c.launch(step, s.GradLogits())
	default:
		s.Scratch = c.array("scratch", "f64", s.TauScratch()/8, nil)
		c.launch(step, s.GradTau()...)
	}
}

// large are the shapes that validate.py times. The CPU is not asked for their hashes.
func large(all *cases) {
	for _, d := range []kernel.Dims{
		{Outer: 1024, Classes: 1000, Inner: 1}, {Outer: 64, Classes: 32000, Inner: 1},
		{Outer: 65536, Classes: 10, Inner: 1}, {Outer: 8192, Classes: 8192, Inner: 1},
	} {
		c := all.add("sample", "large f32 %d×%d", d.Outer, d.Classes)
		c.Timed = true
		steps(c, sampler(c, plan.Float32, d, &Fill{Scale: 8, Seed: 1}))
	}
}

func losses(all *cases, f plan.Float) {
	const n = 700
	c := all.add("bce", "bce %s", f)
	logits, targets := c.array("logits", string(f), n, &Fill{Scale: 16, Seed: 1}), c.array("targets", string(f), n, &Fill{Scale: 2, Seed: 2})
	grad, status := c.array("grad", string(f), n, &Fill{Scale: 4, Seed: 3}), c.status()
	c.launch("loss", plan.BCE(f, c.array("loss", string(f), n, nil), logits, targets, n, status))
	c.launch("to_logits", plan.GradBCELogits(f, c.array("to_logits", string(f), n, nil), logits, targets, grad, n, status))
	c.launch("to_targets", plan.GradBCETargets(f, c.array("to_targets", string(f), n, nil), logits, targets, grad, n, status))

	for _, d := range []kernel.Dims{
		{Outer: 3, Classes: 1, Inner: 1}, {Outer: 300, Classes: 2, Inner: 1}, {Outer: 41, Classes: 10, Inner: 1},
		{Outer: 2, Classes: 10, Inner: 33}, {Outer: 3, Classes: 130, Inner: 1}, {Outer: 1, Classes: 1000, Inner: 2},
		{Outer: 1, Classes: 7000, Inner: 2},
	} {
		for _, uniform := range []bool{false, true} {
			c := all.add("kl", "kl %s %d×%d×%d uniform=%v", f, d.Outer, d.Classes, d.Inner, uniform)
			c.Sizes = map[string]int{"outer": d.Outer, "classes": d.Classes, "inner": d.Inner}
			q, p := c.array("q", string(f), d.Size(), &Fill{Scale: 8, Seed: 4, Mask: 29}), plan.Pointer(0)
			if !uniform {
				p = c.array("p", string(f), d.Size(), &Fill{Scale: 8, Seed: 5, Mask: 29})
			}
			grad, status := c.array("grad", string(f), d.Rows(), &Fill{Scale: 4, Seed: 6}), c.status()
			c.launch("kl", plan.KL(f, c.array("kl", string(f), d.Rows(), nil), q, p, d, status))
			c.launch("to_q", plan.GradKLQ(f, c.array("to_q", string(f), d.Size(), nil), q, p, grad, d, status))
			if !uniform {
				c.launch("to_p", plan.GradKLP(f, c.array("to_p", string(f), d.Size(), nil), q, p, grad, d, status))
			}
		}
	}
}

func linear(all *cases, f plan.Float) {
	for _, size := range []struct{ batch, in, out int }{{1, 1, 1}, {65, 17, 65}, {100, 70, 3}, {129, 65, 31}, {961, 2, 1023}} {
		batch, in, out := size.batch, size.in, size.out
		for _, a := range []kernel.Activation{kernel.Identity, kernel.ReLU, kernel.Tanh, kernel.Sigmoid} {
			c := all.add("linear", "linear %s %d×%d×%d activation %d", f, batch, in, out, a)
			c.Sizes = map[string]int{"batch": batch, "in": in, "out": out, "activation": int(a)}
			x, w := c.array("x", string(f), batch*in, &Fill{Scale: 4, Seed: 1}), c.array("w", string(f), in*out, &Fill{Scale: 2, Seed: 2})
			b, grad := c.array("b", string(f), out, &Fill{Scale: 2, Seed: 3}), c.array("grad", string(f), batch*out, &Fill{Scale: 4, Seed: 4})
			c.launch("y", plan.Linear(f, c.array("y", string(f), batch*out, nil), x, w, b, batch, in, out, a))
			c.launch("to_z", plan.GradLinearZ(f, c.array("to_z", string(f), batch*out, nil), x, w, b, grad, batch, in, out, a))
			c.launch("to_x", plan.GradLinearX(f, c.array("to_x", string(f), batch*in, nil), grad, w, batch, in, out))
			c.launch("to_w", plan.GradLinearW(f, c.array("to_w", string(f), in*out, nil), x, grad, batch, in, out))
			c.launch("to_b", plan.GradLinearB(f, c.array("to_b", string(f), out, nil), grad, batch, out))
		}
	}
}

// text returns the contents of cases.json, a line for each case.
func text() []byte {
	var all cases
	noise[float32](&all)
	noise[float64](&all)
	samples[float32](&all)
	samples[float64](&all)
	for _, f := range []plan.Float{plan.Float32, plan.Float64} {
		losses(&all, f)
		linear(&all, f)
	}
	large(&all)
	var b bytes.Buffer
	for i, c := range all {
		line, err := json.Marshal(c)
		if err != nil {
			log.Fatal(err)
		}
		b.WriteString(map[bool]string{true: "[\n", false: ",\n"}[i == 0])
		b.Write(line)
	}
	b.WriteString("\n]\n")
	return b.Bytes()
}

func main() {
	log.SetFlags(0)
	if err := os.WriteFile("tool/validate/cases.json", text(), 0o644); err != nil {
		log.Fatal(err)
	}
}
