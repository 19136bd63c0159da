package plan

import (
	"math"
	"math/bits"
	"strings"
	"testing"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
)

func TestPlanGumbel(t *testing.T) {
	const out, draw = 1, 2
	key := philox.Key{3, 4}
	loc, scale := math.Float64bits(0.5), math.Float64bits(2)
	for n, blocks := range map[int]int{1: 1, 1024: 1, 1025: 2, 1 << 40: 1 << 30} {
		want := Launch{"gumbel_sample.gumbel_f32", blocks, 256, 0, Params{out, draw, uint64(n), loc, scale, 3 | 4<<32}}
		equalLaunch(t, Gumbel(Float32, out, draw, key, n, 0.5, 2), want)
	}
}

func sampleOf(f Float, outer, classes, inner int) Sample {
	return Sample{
		Dims: kernel.Dims{Outer: outer, Classes: classes, Inner: inner}, Float: f,
		Out: 1, Logits: 2, Tau: 3, Draw: 4, Noise: 5, Grad: 6, Status: 7, Scratch: 8, Key: philox.Key{9, 0},
	}
}

func TestPlanSample(t *testing.T) {
	for _, test := range []struct {
		got  Launch
		want Launch
	}{
		// 25 distributions, as 32, for whole groups of noise, would be more than 256 elements.
		{sampleOf(Float32, 128, 10, 1).Soft(),
			Launch{"gumbel_sample.soft_tiles_f32", 6, 32, 2 * 4 * (250 + 7), Params{1, 0, 2, 3, 4, 5, 6, 128, 10, 1, 6, 25, 2, 9, 7}}},
		{sampleOf(Float64, 1<<20, 10, 1).Hard(),
			Launch{"gumbel_sample.hard_tiles_f64", 5462, 256, 2 * 8 * (1920 + 120), Params{1, 0, 2, 3, 4, 5, 6, 1 << 20, 10, 1, 5462, 192, 2, 9, 7}}},
		// Whole outer indices of 35 distributions.
		{sampleOf(Float32, 3, 4, 35).GradLogits(),
			Launch{"gumbel_sample.grad_logits_tiles_f32", 3, 32, 2 * 4 * (140 + 4), Params{1, 0, 2, 3, 4, 5, 6, 3, 4, 35, 3, 35, 1, 9, 7}}},
		// Of 10000 distributions 192 beside each other, or 64.
		{sampleOf(Float32, 32, 10, 10000).Soft(),
			Launch{"gumbel_sample.soft_tiles_f32", 32 * 53, 256, 2 * 4 * (1920 + 60), Params{1, 0, 2, 3, 4, 5, 6, 32, 10, 10000, 32 * 53, 192, 2, 9, 7}}},
		{sampleOf(Float32, 1, 80, 100).Soft(),
			Launch{"gumbel_sample.soft_tiles_f32", 2, 512, 2 * 4 * (5120 + 160), Params{1, 0, 2, 3, 4, 5, 6, 1, 80, 100, 2, 64, 16, 9, 7}}},
		// Up to 272 threads for 1000 classes, wherever they begin.
		{sampleOf(Float32, 64, 1000, 1).Soft(),
			Launch{"gumbel_sample.soft_rows_f32", 64, 128, 3 * 128 * 4, Params{1, 0, 2, 3, 4, 5, 6, 64, 1000, 1, 9, 7}}},
		{sampleOf(Float32, 64, 32768, 1).Hard(),
			Launch{"gumbel_sample.hard_rows_f32", 64, 1024, 8 * 1024 * 4, Params{1, 0, 2, 3, 4, 5, 6, 64, 32768, 1, 9, 7}}},
		{sampleOf(Float64, 64, 32768, 1).Soft(),
			Launch{"gumbel_sample.soft_multipass_f64", 64, 512, 0, Params{1, 0, 2, 3, 4, 5, 6, 64, 32768, 1, 64, 9, 7}}},
		{sampleOf(Float32, 8, 8192, 1024).GradLogits(),
			Launch{"gumbel_sample.grad_logits_multipass_f32", 128, 512, 0, Params{1, 0, 2, 3, 4, 5, 6, 8, 8192, 1024, 128, 9, 7}}},
	} {
		equalLaunch(t, test.got, test.want)
	}
}

func TestPlanGradTau(t *testing.T) {
	few, many := sampleOf(Float32, 64, 1000, 1), sampleOf(Float64, 5000, 1000, 1)
	if few.TauScratch() != 8*64 || many.TauScratch() != 8*1024 {
		t.Errorf("scratch memory of %d and %d bytes", few.TauScratch(), many.TauScratch())
	}
	got := few.GradTau()
	equalLaunch(t, got[0], Launch{"gumbel_sample.grad_tau_rows_f32", 64, 128, 3 * 128 * 4, Params{0, 8, 2, 3, 4, 5, 6, 64, 1000, 1, 9, 7}})
	equalLaunch(t, got[1], Launch{"gumbel_sample.add_tau_f32", 1, 256, 0, Params{1, 8, 3, 64}})
}

// Whatever the shape, all distributions are reached, and a block stays within what
// a device and the kernels have.
func TestPlanSampleSizes(t *testing.T) {
	for classes := 1; classes <= 1<<16; classes += 1 + classes/9 {
		for _, inner := range []int{1, 2, 3, 16, 40, 63, 64, 65, 128, 1000, 1 << 16} {
			for _, outer := range []int{1, 2, 33, 5000, 1 << 33} {
				for _, f := range []Float{Float32, Float64} {
					checkPlan(t, sampleOf(f, outer, classes, inner))
				}
			}
		}
	}
}

func checkPlan(t *testing.T, s Sample) {
	t.Helper()
	l := s.Soft()
	sizes := l.Params[7 : len(l.Params)-2]
	fail := func(why string) { t.Fatalf("%v of %s: %s, planned %+v", s.Dims, s.Float, why, l) }
	if l.Threads < 32 || bits.OnesCount(uint(l.Threads)) != 1 || l.Shared > 47<<10 || l.Blocks < 1 || l.Blocks > math.MaxInt32 {
		fail("not a block or a grid")
	}
	if scratch := s.TauScratch(); scratch < 8 || scratch > min(8<<10, 8*s.Rows()) || scratch != 8*s.GradTau()[0].Blocks {
		fail("scratch memory")
	}
	count := s.Outer
	switch _, kind, _ := strings.Cut(l.Kernel, "soft_"); kind {
	case "tiles_" + string(s.Float):
		count = int(sizes[3])
		checkTiles(fail, s, l, count, int(sizes[4]), int(sizes[5]))
	case "rows_" + string(s.Float):
		checkRows(fail, s, l)
	case "multipass_" + string(s.Float):
		count = int(sizes[3])
		if count != s.Outer*kernel.CeilDiv(s.Inner, 64) || l.Threads != 512 {
			fail("multipass")
		}
	default:
		fail("unknown kernel")
	}
	if l.Blocks != min(count, math.MaxInt32) {
		fail("blocks")
	}
}

func checkTiles(fail func(string), s Sample, l Launch, count, width, team int) {
	elements := width * s.Classes
	switch pad := 128 / s.Float.Size(); {
	case l.Threads > 512 || l.Threads*8 > max(256, 2*elements):
		fail("threads")
	case team > 32 || team > l.Threads || bits.OnesCount(uint(team)) != 1:
		fail("team")
	case l.Shared < 2*s.Float.Size()*(elements+(elements-1)/pad):
		fail("shared memory")
	case width%s.Inner == 0 && (width*count < s.Rows() || width*(count-1) >= s.Rows()):
		fail("tiles of whole outer indices")
	case width%s.Inner != 0 && (width%64 != 0 || width > s.Inner || count != s.Outer*kernel.CeilDiv(s.Inner, width)):
		fail("tiles of inner ones")
	}
}

func checkRows(fail func(string), s Sample, l Launch) {
	rounds := map[Float]int{Float32: 8, Float64: 4}[s.Float]
	for row := range min(s.Outer, 64) {
		lanes := kernel.CeilDiv(row*s.Classes%64+s.Classes, 64) * 16
		if n := kernel.CeilDiv(lanes, l.Threads); n > rounds || n*l.Threads*s.Float.Size() > l.Shared {
			fail("rounds")
		}
	}
	if s.Inner != 1 || l.Threads > 1024 {
		fail("rows")
	}
}
