//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/cuda/tool/device"
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
	"github.com/gumbel-go/gumbel/internal/plan"
)

var sampleKey = philox.DeriveKey(3, 4)

func TestGumbelBits(t *testing.T) {
	t.Run("float32", testGumbelBits[float32])
	t.Run("float64", testGumbelBits[float64])
}

func testGumbelBits[T kernel.Float](t *testing.T) {
	d := device.Open(t)
	for _, key := range []philox.Key{{}, {1, 0}, sampleKey, {math.MaxUint32, math.MaxUint32}} {
		for _, draw := range [][]int64{{0, 0}, {1, 7}, {2, 1 << 40}, {1<<40 + 5, 12345}} {
			for _, n := range []int{1, 15, 16, 63, 64, 65, 1000, 100_001} {
				want, out := make([]T, n), device.Alloc[T](d, n)
				s := kernel.Stream{Key: key, Draw: uint64(draw[0]), First: uint64(draw[1])}
				for _, law := range [][2]float64{{0, 1}, {-3, 0.7}} {
					kernel.Gumbel(want, s, law[0], law[1])
					d.Run(plan.Gumbel(plan.FloatOf[T](), out, device.Upload(d, draw), key, n, law[0], law[1]))
					if got := device.Download[T](d, out, n); !slices.Equal(got, want) {
						t.Fatalf("key %v, draw %d, %d numbers, location and scale %v: other bits than the CPU's", key, draw, n, law)
					}
				}
			}
		}
	}
}

// sampleDims reach every kernel and every branch in it, for either type.
var sampleDims = []kernel.Dims{
	{Outer: 1, Classes: 1, Inner: 1}, {Outer: 7, Classes: 3, Inner: 1}, {Outer: 300, Classes: 10, Inner: 1},
	{Outer: 41, Classes: 33, Inner: 1}, {Outer: 9, Classes: 512, Inner: 1}, // tiles of whole outer indices
	{Outer: 3, Classes: 2, Inner: 7}, {Outer: 5, Classes: 4, Inner: 40}, {Outer: 2, Classes: 1000, Inner: 2},
	{Outer: 1, Classes: 3, Inner: 5000}, {Outer: 2, Classes: 40, Inner: 200}, {Outer: 1, Classes: 1, Inner: 9000}, // and of inner ones
	{Outer: 3, Classes: 513, Inner: 1}, {Outer: 5, Classes: 1000, Inner: 1}, {Outer: 2, Classes: 3000, Inner: 1},
	{Outer: 1, Classes: 16384, Inner: 1}, {Outer: 1, Classes: 32768, Inner: 1}, // rows
	{Outer: 2, Classes: 40001, Inner: 1}, {Outer: 1, Classes: 65536, Inner: 1},
	{Outer: 1, Classes: 100, Inner: 150}, {Outer: 2, Classes: 700, Inner: 40}, {Outer: 1, Classes: 3000, Inner: 3}, // multipass
}

// normals returns n normal numbers times scale.
func normals[T kernel.Float](n int, scale float64, seed uint64) []T {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]T, n)
	for i := range x {
		x[i] = T(r.NormFloat64() * scale)
	}
	return x
}

// maskedLogits returns normals, every 29th of them -Inf unless it is class 0.
func maskedLogits[T kernel.Float](d kernel.Dims, scale float64, seed uint64) []T {
	x := normals[T](d.Size(), scale, seed)
	for i := range x {
		if i%29 == 28 && i/d.Inner%d.Classes > 0 {
			x[i] = T(math.Inf(-1))
		}
	}
	return x
}

// A sampleCase is a sampler's input on the CPU and on the device.
type sampleCase[T kernel.Float] struct {
	cpu    kernel.Sampler[T]
	device plan.Sample
	noise  []T // zeros if there is none
}

// newSample returns the case of a draw number, which may be negative, or of given
// noise.
func newSample[T kernel.Float](d device.Device, dims kernel.Dims, logits []T, draw int64, given []T, tau float64) sampleCase[T] {
	first := int64(7 * dims.Classes * dims.Inner) // the array begins at row 7 of the draw
	c := sampleCase[T]{
		cpu: kernel.Sampler[T]{Dims: dims, Logits: logits, Tau: float64(T(tau))},
		device: plan.Sample{
			Dims: dims, Float: plan.FloatOf[T](),
			Logits: device.Upload(d, logits), Tau: device.Upload(d, []T{T(tau)}), Draw: device.Upload(d, []int64{draw, first}),
			Out: device.Alloc[T](d, dims.Size()), Status: device.Upload(d, []int64{0}), Key: sampleKey,
		},
		noise: make([]T, dims.Size()),
	}
	if given != nil {
		c.device.Noise = device.Upload(d, given)
	}
	switch {
	case draw < 0:
	case given != nil:
		c.noise = given
		c.cpu.Noise.Given = given
	default:
		c.cpu.Noise.Stream = &kernel.Stream{Key: sampleKey, Draw: uint64(draw), First: uint64(first)}
		kernel.Gumbel(c.noise, *c.cpu.Noise.Stream, 0, 1)
	}
	return c
}

func (c sampleCase[T]) status(d device.Device) int64 {
	return device.Download[int64](d, c.device.Status, 1)[0]
}

// noises are the kinds of noise: drawn, given and none.
func noises[T kernel.Float](dims kernel.Dims) map[string]struct {
	draw  int64
	given []T
} {
	return map[string]struct {
		draw  int64
		given []T
	}{
		"drawn": {5, nil},
		"given": {0, normals[T](dims.Size(), 2, 9)},
		"none":  {-1, nil},
	}
}

func TestHardBits(t *testing.T) {
	t.Run("float32", testHardBits[float32])
	t.Run("float64", testHardBits[float64])
}

func testHardBits[T kernel.Float](t *testing.T) {
	for _, dims := range sampleDims {
		n := dims.Size()
		ties := make([]T, n)
		for i := range ties {
			ties[i] = T(i * 7 % 3)
		}
		// Sums that differ only in what rounding loses.
		rough := maskedLogits[T](dims, 2, 6)
		for i := range rough {
			rough[i] = T(math.Trunc(float64(rough[i])))*T(math.Ldexp(1, 30)) + rough[i]
		}
		for name, logits := range map[string][]T{"normal": maskedLogits[T](dims, 1, 1), "ties": ties, "rough": rough} {
			for kind, noise := range noises[T](dims) {
				if n > 20_000 && (name == "ties") != (kind == "none") {
					continue
				}
				d := device.Open(t)
				c := newSample(d, dims, logits, noise.draw, noise.given, 1)
				want := make([]T, n)
				if err := c.cpu.Hard(want, nil); err != nil {
					t.Fatal(err)
				}
				d.Run(c.device.Hard())
				got := device.Download[T](d, c.device.Out, n)
				if !slices.Equal(got, want) || c.status(d) != 0 {
					t.Errorf("%v, %s logits, %s noise: status %d, other samples than the CPU's", dims, name, kind, c.status(d))
				}
			}
		}
	}
}

// A block takes several distributions in turn if the grid is too small. The planner
// makes such grids only for arrays that are too large for a test.
func TestFewBlocks(t *testing.T) {
	for _, dims := range []kernel.Dims{
		{Outer: 300, Classes: 10, Inner: 1}, {Outer: 5, Classes: 1000, Inner: 1}, {Outer: 4, Classes: 700, Inner: 80},
	} {
		d := device.Open(t)
		n := dims.Size()
		s := newSample(d, dims, maskedLogits[float32](dims, 1, 1), 5, nil, 0.7).device
		s.Grad = device.Upload(d, normals[float32](n, 1, 2))
		for _, launch := range []plan.Launch{s.Soft(), s.Hard(), s.GradLogits()} {
			if launch.Blocks < 3 {
				t.Fatalf("%s has %d blocks", launch.Kernel, launch.Blocks)
			}
			d.Run(launch)
			want := device.Download[float32](d, s.Out, n)
			launch.Blocks = 2
			d.Run(launch)
			if got := device.Download[float32](d, s.Out, n); !slices.Equal(got, want) {
				t.Errorf("%s of %v: other values with two blocks", launch.Kernel, dims)
			}
		}
	}
}

// A straight-through sample has neither a draw nor a temperature.
func TestHardAlone(t *testing.T) {
	d := device.Open(t)
	dims := kernel.Dims{Outer: 50, Classes: 7, Inner: 1}
	c := newSample(d, dims, maskedLogits[float32](dims, 1, 1), -1, nil, 1)
	c.device.Draw, c.device.Tau = 0, 0
	want := make([]float32, dims.Size())
	if err := c.cpu.Hard(want, nil); err != nil {
		t.Fatal(err)
	}
	d.Run(c.device.Hard())
	if !slices.Equal(device.Download[float32](d, c.device.Out, dims.Size()), want) || c.status(d) != 0 {
		t.Error("other samples than the CPU's")
	}
}

// An exact sample has the results of the formulas in float64, and the errors that are
// allowed: accuracy·(8 + |log y|)·y for a sample y, and for gradients what follows from
// that, and some roundings.
type exact struct {
	soft, softError       []float64
	grad, gradError       []float64
	gradTau, gradTauError float64
}

// truly computes the differences to the peak with twice float64's accuracy, so that it
// is accurate for logits of any size.
func truly[T kernel.Float](c sampleCase[T], upstream []T) exact {
	d, n := c.cpu.Dims, c.cpu.Size()
	accuracy, slope, least := 0x1p-23, 1.0, 0x1p-149
	if plan.FloatOf[T]() == plan.Float64 {
		accuracy, slope, least = 0x1p-52, 2, 0x1p-1062 // because math.Exp and the differences lose some
	}
	w := exact{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), 0, 0}
	x := make([]float64, d.Classes)
	for row := range d.Rows() {
		at := func(c int) int { return (row/d.Inner*d.Classes+c)*d.Inner + row%d.Inner }
		top := 0
		for k := range x {
			if difference(c, at(k), at(top)) > 0 {
				top = k
			}
		}
		var sum, lost, mean, size, meanError float64
		for k := range x {
			x[k] = difference(c, at(k), at(top)) / c.cpu.Tau
			var rest float64
			sum, rest = twoSum(sum, math.Exp(x[k]))
			lost += rest
		}
		sum += lost
		units := make([]float64, d.Classes)
		for k := range x {
			i := at(k)
			w.soft[i] = math.Exp(x[k]) / sum
			units[k] = accuracy * (8 + slope*math.Abs(x[k]-math.Log(sum)))
			if w.soft[i] == 0 {
				units[k], x[k] = 0, 0
			}
			w.softError[i] = units[k]*w.soft[i] + least
			mean += w.soft[i] * float64(upstream[i])
			size += w.soft[i] * math.Abs(float64(upstream[i]))
			meanError += (units[k] + accuracy) * w.soft[i] * math.Abs(float64(upstream[i]))
		}
		for k := range x {
			i := at(k)
			g := float64(upstream[i])
			w.grad[i] = w.soft[i] * (g - mean) / c.cpu.Tau
			w.gradError[i] = w.soft[i] * ((units[k]+4*accuracy)*(math.Abs(g)+size) + meanError) / c.cpu.Tau
			w.gradTau -= x[k] * w.grad[i]
			w.gradTauError += (1+math.Abs(x[k]))*w.gradError[i] + least
			w.gradError[i] += least * (1 + (1+math.Abs(g)+size)/c.cpu.Tau) // products lose what is smaller
		}
	}
	return w
}

// difference returns sum i minus sum j, where a sum is a logit and its noise.
func difference[T kernel.Float](c sampleCase[T], i, j int) float64 {
	a, b := float64(c.cpu.Logits[i]), float64(c.cpu.Logits[j])
	if math.IsInf(a, -1) || math.IsInf(b, -1) {
		return a - b
	}
	l, l0 := twoSum(a, -b)
	g, g0 := twoSum(float64(c.noise[i]), -float64(c.noise[j]))
	d, d0 := twoSum(l, g)
	return d + (l0 + g0 + d0)
}

func twoSum(a, b float64) (sum, lost float64) {
	sum = a + b
	bb := sum - a
	return sum, (a - (sum - bb)) + (b - bb)
}

func compare[T kernel.Float](t *testing.T, what string, got []T, want, off []float64) {
	t.Helper()
	for i := range got {
		if !(math.Abs(float64(got[i])-want[i]) <= off[i]) {
			t.Errorf("%s: element %d is %v, want %v within %.2g", what, i, got[i], want[i], off[i])
			return
		}
	}
}

func TestSoft(t *testing.T) {
	t.Run("float32", testSoft[float32])
	t.Run("float64", testSoft[float64])
}

func testSoft[T kernel.Float](t *testing.T) {
	for _, dims := range sampleDims {
		for _, tau := range []float64{0.05, 0.7, 10} {
			for kind, noise := range noises[T](dims) {
				if dims.Size() > 20_000 && kind != "drawn" {
					continue
				}
				// Some classes are close to the peak, and some are far from it.
				checkSample(t, fmt.Sprintf("%v tau %v, %s noise", dims, tau, kind), func(d device.Device) sampleCase[T] {
					return newSample(d, dims, maskedLogits[T](dims, 2*(1+20*tau), 1), noise.draw, noise.given, tau)
				})
			}
		}
	}
}

// Shares of the rows have the samples and gradients of the whole, bit for bit.
func TestShares(t *testing.T) {
	t.Run("float32", testShares[float32])
	t.Run("float64", testShares[float64])
}

func testShares[T kernel.Float](t *testing.T) {
	d := device.Open(t)
	for _, dims := range sampleDims {
		if dims.Outer == 1 {
			dims.Outer = 2
		}
		n, row := dims.Size(), dims.Classes*dims.Inner
		logits, upstream := maskedLogits[T](dims, 2, 1), normals[T](n, 1, 2)
		rows := func(lo, hi int) (results [3][]T) {
			share := dims
			share.Outer = hi - lo
			s := plan.Sample{
				Dims: share, Float: plan.FloatOf[T](), Key: sampleKey,
				Logits: device.Upload(d, logits[lo*row:hi*row]), Grad: device.Upload(d, upstream[lo*row:hi*row]),
				Tau: device.Upload(d, []T{0.7}), Draw: device.Upload(d, []int64{5, int64(lo * row)}),
				Out: device.Alloc[T](d, share.Size()), Status: device.Upload(d, []int64{0}),
			}
			for i, launch := range []plan.Launch{s.Soft(), s.Hard(), s.GradLogits()} {
				d.Run(launch)
				results[i] = device.Download[T](d, s.Out, share.Size())
			}
			return results
		}
		whole, first, rest := rows(0, dims.Outer), rows(0, 1), rows(1, dims.Outer)
		for i, name := range []string{"soft sample", "hard sample", "gradient"} {
			if !slices.Equal(slices.Concat(first[i], rest[i]), whole[i]) {
				t.Errorf("%v: the %s of rows 0 and 1 to %d differ from the whole's", dims, name, dims.Outer-1)
			}
		}
	}
}

// checkSample runs all kernels for soft samples.
func checkSample[T kernel.Float](t *testing.T, what string, on func(d device.Device) sampleCase[T]) {
	t.Helper()
	d := device.Open(t)
	c := on(d)
	n := c.cpu.Size()
	upstream := normals[T](n, 1, 2)
	for i, l := range c.cpu.Logits {
		if math.IsInf(float64(l), -1) { // a masked class must not count
			upstream[i] = T(math.Inf(1 - i%2*2))
		}
	}
	finite := slices.Clone(upstream)
	for i, g := range finite {
		if math.IsInf(float64(g), 0) {
			finite[i] = 0
		}
	}
	want := truly(c, finite)
	c.device.Grad = device.Upload(d, upstream)

	d.Run(c.device.Soft())
	compare(t, what+": sample", device.Download[T](d, c.device.Out, n), want.soft, want.softError)
	d.Run(c.device.GradLogits())
	compare(t, what+": gradient", device.Download[T](d, c.device.Out, n), want.grad, want.gradError)
	for i, g := range device.Download[T](d, c.device.Out, n) {
		if math.IsInf(float64(c.cpu.Logits[i]), -1) && g != 0 {
			t.Errorf("%s: gradient %v of the masked element %d", what, g, i)
			break
		}
	}

	bytes := c.device.TauScratch()
	c.device.Scratch, c.device.Out = device.Alloc[byte](d, bytes), device.Alloc[T](d, 1)
	var gradTau []T
	for range 2 {
		d.Run(c.device.GradTau()...)
		gradTau = append(gradTau, device.Download[T](d, c.device.Out, 1)[0])
	}
	compare(t, what+": gradient to tau", gradTau[:1], []float64{want.gradTau}, []float64{want.gradTauError})
	if gradTau[0] != gradTau[1] {
		t.Errorf("%s: two gradients to tau: %v", what, gradTau)
	}
	// The kernels report an infinite gradient, so that the op computes it on the CPU.
	if infinite := !slices.Equal(finite, upstream); (c.status(d) != 0) != infinite {
		t.Errorf("%s: status %d, infinite gradients: %v", what, c.status(d), infinite)
	}
}

// Peaks that are large compared to the temperature, temperatures of any size, and
// classes in an order that always moves a running peak.
func TestSoftExtremes(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testSoftExtremes[float32](t, 30, 1e-44, 3e38) })
	t.Run("float64", func(t *testing.T) { testSoftExtremes[float64](t, 60, 1e-320, 1e307) })
}

func testSoftExtremes[T kernel.Float](t *testing.T, power int, least, most float64) {
	inf := math.Inf(-1)
	for _, dims := range []kernel.Dims{
		{Outer: 9, Classes: 20, Inner: 1}, {Outer: 1, Classes: 7, Inner: 1000}, {Outer: 2, Classes: 2000, Inner: 1},
		{Outer: 1, Classes: 33000, Inner: 1}, {Outer: 1, Classes: 300, Inner: 100},
	} {
		class := func(i int) int { return i / dims.Inner % dims.Classes }
		for name, test := range map[string]struct {
			tau   float64
			draw  int64
			logit func(i int) float64
		}{
			"large":       {0.5, 5, func(i int) float64 { return math.Ldexp(float64(class(i)%3), power) }},
			"larger":      {1e-3, 5, func(i int) float64 { return math.Ldexp(float64(i*i%5-2), power) }},
			"huge":        {0.7, 5, func(i int) float64 { return []float64{1e30, -1e30, inf, 1e30}[class(i)%4] }},
			"least tau":   {least, -1, func(i int) float64 { return float64(i * 7919 % 65537) }},
			"low tau":     {1e-25, 5, func(i int) float64 { return math.Sin(float64(i)) }},
			"high tau":    {1e25, 5, func(i int) float64 { return 1e25 * math.Sin(float64(i)) }},
			"highest tau": {most, 5, func(i int) float64 { return most * math.Sin(float64(i)) }},
			"slow rise":   {0.9, -1, func(i int) float64 { return float64(class(i)) / float64(dims.Classes) }},
			"steep rise":  {0.9, -1, func(i int) float64 { return float64(class(i)) * 1.1 }},
			"fall":        {0.9, -1, func(i int) float64 { return -float64(class(i)) * 0.1 }},
		} {
			checkSample(t, fmt.Sprintf("%v %s", dims, name), func(d device.Device) sampleCase[T] {
				logits := make([]T, dims.Size())
				for i := range logits {
					logits[i] = T(test.logit(i))
				}
				return newSample(d, dims, logits, test.draw, nil, test.tau)
			})
		}
	}
}

// If differences overflow, samples are still numbers.
func TestSoftOverflow(t *testing.T) {
	d := device.Open(t)
	for _, dims := range []kernel.Dims{{Outer: 3, Classes: 4, Inner: 1}, {Outer: 1, Classes: 600, Inner: 1}, {Outer: 1, Classes: 33000, Inner: 1}} {
		logits := make([]float64, dims.Size())
		for i := range logits {
			logits[i] = math.MaxFloat64 * float64(i%3-1)
		}
		c := newSample(d, dims, logits, 5, nil, math.MaxFloat64)
		d.Run(c.device.Soft())
		for i, y := range device.Download[float64](d, c.device.Out, dims.Size()) {
			if !(y >= 0 && y <= 1) {
				t.Fatalf("%v: element %d is %v", dims, i, y)
			}
		}
	}
}

// A kernel refuses exactly what the CPU's kernel or the op refuses.
func TestSampleRefusals(t *testing.T) {
	t.Run("float32", testSampleRefusals[float32])
	t.Run("float64", testSampleRefusals[float64])
}

func testSampleRefusals[T kernel.Float](t *testing.T) {
	nan, inf, most := math.NaN(), math.Inf(1), float64(math.MaxFloat32)
	if plan.FloatOf[T]() == plan.Float64 {
		most = math.MaxFloat64
	}
	for _, dims := range []kernel.Dims{
		{Outer: 100, Classes: 3, Inner: 1}, {Outer: 1, Classes: 70, Inner: 90}, {Outer: 2, Classes: 600, Inner: 1},
		{Outer: 2, Classes: 33000, Inner: 1}, {Outer: 2, Classes: 300, Inner: 70},
	} {
		last := dims.Size() - 1
		for name, test := range map[string]struct {
			at                int
			logit, noise, tau float64
			refused           bool
		}{
			"good":               {0, 0, 0, 1, false},
			"a mask":             {last, -inf, 0, 1, false},
			"noise of a mask":    {last, -inf, 3, 1, false},
			"noise -Inf":         {0, 0, -inf, 1, false},
			"the least logit":    {last, -most, -most, 1, false},
			"the greatest logit": {last, most, -most, 1, false},
			"NaN":                {last, nan, 0, 1, true},
			"+Inf":               {0, inf, 0, 1, true},
			"noise NaN":          {last / 2, 0, nan, 1, true},
			"mask, noise NaN":    {last / 2, -inf, nan, 1, true},
			"mask, noise +Inf":   {last, -inf, inf, 1, true},
			"overflow":           {last / 3, most, most, 1, true},
			"tau 0":              {0, 0, 0, 0, true},
			"tau negative":       {0, 0, 0, -1, true},
			"tau NaN":            {0, 0, 0, nan, true},
			"tau +Inf":           {0, 0, 0, inf, true},
		} {
			logits, noise := make([]T, dims.Size()), make([]T, dims.Size())
			logits[test.at], noise[test.at] = T(test.logit), T(test.noise)
			checkRefusals(t, fmt.Sprintf("%v %s", dims, name), dims, logits, noise, test.tau, test.refused)
		}
		logits, noise := make([]T, dims.Size()), make([]T, dims.Size())
		for c := range dims.Classes { // of the last distribution
			logits[last-c*dims.Inner] = T(-inf)
		}
		checkRefusals(t, fmt.Sprintf("%v all masked", dims), dims, logits, noise, 1, true)
	}
}

func checkRefusals[T kernel.Float](t *testing.T, what string, dims kernel.Dims, logits, noise []T, tau float64, refused bool) {
	t.Helper()
	d := device.Open(t)
	c := newSample(d, dims, logits, 0, noise, tau)
	c.device.Grad = device.Upload(d, normals[T](dims.Size(), 1, 2))
	c.device.Scratch = device.Alloc[byte](d, c.device.TauScratch())
	gradTau := c.device
	gradTau.Out = device.Alloc[T](d, 1)
	for name, launches := range map[string][]plan.Launch{
		"soft": {c.device.Soft()}, "hard": {c.device.Hard()}, "gradient": {c.device.GradLogits()}, "gradient to tau": gradTau.GradTau(),
	} {
		fresh := device.Upload(d, []int64{0})
		for i := range launches[:1] {
			launches[i].Params[len(launches[i].Params)-1] = uint64(fresh)
		}
		d.Run(launches...)
		if status := device.Download[int64](d, fresh, 1)[0]; (status != 0) != refused {
			t.Errorf("%s, %s: status %d", what, name, status)
		}
	}
}
