package plan

import (
	"testing"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

func perplexityOf(f Float, blocks, outer, classes, inner int) Perplexity {
	return Perplexity{
		Dims: kernel.Dims{Outer: outer, Classes: classes, Inner: inner}, Float: f, Blocks: blocks,
		Out: 1, Logits: 2, Grad: 3, Scratch: 4, Status: 5,
	}
}

func TestPlanPerplexity(t *testing.T) {
	// Ten classes have four threads, so a block has 32 teams. 100 distributions of three
	// blocks are 13 parts of eight.
	few := perplexityOf(Float32, 3, 300, 10, 1)
	if n := few.ScratchSize(); n != 8*13*3*10 {
		t.Errorf("scratch memory of %d bytes", n)
	}
	for i, want := range []Launch{
		{"gumbel_loss.sum_softmax_f32", 2, 128, 3 * 128 * 4, Params{4, 2, 300, 10, 1, 4, 3, 3, 8, 13, 5}},
		{"gumbel_loss.perplexity_f32", 3, 256, 8 * 256, Params{1, 4, 3, 10, 100, 13, 16, 5}},
	} {
		equalLaunch(t, few.Value()[i], want)
	}
	// A million distributions along an axis, with 320 classes: a team of 128 threads.
	many := perplexityOf(Float64, 1, 1000, 320, 1000)
	for i, want := range []Launch{
		{"gumbel_loss.sum_softmax_f64", 512, 128, 3 * 128 * 8, Params{4, 2, 1e6, 320, 1000, 128, 3, 1, 1954, 512, 5}},
		{"gumbel_loss.perplexity_f64", 1, 256, 8 * 256, Params{0, 4, 3, 320, 1e6, 512, 256, 5}},
		{"gumbel_loss.grad_perplexity_f64", 1e6, 128, 3 * 128 * 8, Params{1, 2, 4, 1e6, 320, 1000, 128, 3, 1, 5}},
	} {
		equalLaunch(t, many.GradLogits()[i], want)
	}
	alone := perplexityOf(Float32, 7, 7, 10, 1)
	if n := alone.ScratchSize(); n != 0 {
		t.Errorf("scratch memory of %d bytes", n)
	}
	equalLaunch(t, alone.Value()[0], Launch{"gumbel_loss.perplexity_alone_f32", 1, 128, 3 * 128 * 4, Params{1, 2, 0, 0, 7, 10, 1, 4, 3, 5}})
	equalLaunch(t, alone.GradLogits()[0], Launch{"gumbel_loss.grad_perplexity_alone_f32", 1, 128, 3 * 128 * 4, Params{1, 2, 0, 3, 7, 10, 1, 4, 3, 5}})
}

// Whatever the shape, the parts have all distributions, and the sums take less memory
// than the logits.
func TestPlanPerplexitySizes(t *testing.T) {
	for _, classes := range []int{1, 2, 3, 10, 64, 320, 4096, 65536} {
		for _, blocks := range []int{1, 2, 3, 100} {
			for _, batch := range []int{2, 7, 8, 9, 100, 1e4, 1e6 + 1} {
				for _, f := range []Float{Float32, Float64} {
					p := perplexityOf(f, blocks, batch*blocks, classes, 1)
					each, parts := p.parts()
					teams := p.sumSoftmax().Threads / teamsFor(f, 0, p.Dims).width
					switch l := p.sumSoftmax(); {
					case each*parts < batch || each*(parts-1) >= batch:
						t.Fatalf("%d blocks of %d: %d parts of %d", blocks, batch, parts, each)
					case l.Blocks*teams < parts*blocks || (l.Blocks-1)*teams >= parts*blocks:
						t.Fatalf("%d blocks of %d: %d blocks of %d teams for %d parts", blocks, batch, l.Blocks, teams, parts)
					case p.ScratchSize() > f.Size()*p.Dims.Size():
						t.Fatalf("%d blocks of %d: scratch memory of %d bytes, logits of %d", blocks, batch, p.ScratchSize(), f.Size()*p.Dims.Size())
					}
				}
			}
		}
	}
}
