package main

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func decodePNG(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return m
}

func grey(m image.Image, x, y int) uint8 {
	return color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y
}

// tones returns the number of different greys in a rectangle.
func tones(m image.Image, r image.Rectangle) int {
	seen := map[uint8]bool{}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			seen[grey(m, x, y)] = true
		}
	}
	return len(seen)
}

func untrained(t *testing.T, s settings) *parameters {
	t.Helper()
	s.Hidden, s.Batch, s.Tau, s.LR = [2]int{8, 5}, 1, jangTau, 1e-3
	tr, err := newTrainer(s, numbered(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	p, err := tr.parameters()
	if err != nil {
		t.Fatal(err)
	}
	for i := range values(p.decoder[4]) {
		values(p.decoder[4])[i] *= 20 // for contrast, which training would produce
	}
	return p
}

// A cell takes 60 pixels with the gap after it. The page starts with a gap, and
// there are 10 more pixels between groups of rows.
func TestPictures(t *testing.T) {
	for _, tc := range []struct {
		name                             string
		test                             int
		settings                         settings
		reconstructions, samples, latent image.Point
	}{
		{"few test images", 5, settings{Latents: 2, Classes: 3}, image.Pt(304, 124), image.Pt(844, 484), image.Pt(184, 124)},
		{"a row and a part", 20, settings{Latents: 10, Classes: 2}, image.Pt(844, 254), image.Pt(844, 484), image.Pt(124, 604)},
		{"more than is shown", 50, settings{Latents: 12, Classes: 70}, image.Pt(844, 384), image.Pt(844, 484), image.Pt(3844, 604)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := drawPictures(untrained(t, tc.settings), halves(tc.test), dir); err != nil {
				t.Fatal(err)
			}
			for name, size := range map[string]image.Point{
				"reconstructions": tc.reconstructions, "samples": tc.samples, "latents": tc.latent,
			} {
				m := decodePNG(t, filepath.Join(dir, name+".png"))
				if m.Bounds().Size() != size {
					t.Errorf("%s is of %v pixels, want %v", name, m.Bounds().Size(), size)
				}
				if first := image.Rect(gap, gap, gap+side*zoom, gap+side*zoom); tones(m, first) < 10 {
					t.Errorf("%s starts with a picture of %d greys", name, tones(m, first))
				}
				if corner := grey(m, 0, 0); corner != page.Y {
					t.Errorf("%s has a background of grey %d", name, corner)
				}
			}
		})
	}
}

func TestReconstructionsShowOriginals(t *testing.T) {
	test := halves(16)
	dir := t.TempDir()
	if err := drawPictures(untrained(t, settings{Latents: 2, Classes: 3}), test, dir); err != nil {
		t.Fatal(err)
	}
	m := decodePNG(t, filepath.Join(dir, "reconstructions.png"))
	for i, at := range map[int]image.Point{0: {4, 4}, 13: {784, 4}, 14: {4, 134}, 15: {64, 134}} {
		for y := range side * zoom {
			for x := range side * zoom {
				want := 255 - test.image(i)[y/2*side+x/2]
				if got := grey(m, at.X+x, at.Y+y); got != want {
					t.Fatalf("image %d, pixel (%d, %d): grey %d, want %d", i, x, y, got, want)
				}
			}
		}
	}
}

// Latents are sorted by how much they change the image. The class of the image
// itself has a frame.
func TestLatents(t *testing.T) {
	p := untrained(t, settings{Latents: 3, Classes: 4})
	first := values(p.decoder[0]) // (latents·classes, 5)
	for i := range first {
		first[i] *= []float32{0.1, 10, 0}[i/(4*5)]
	}
	g, err := newGenerator(p)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	s, err := drawLatents(g, []int{2, 1, 3})
	if err != nil {
		t.Fatal(err)
	}
	for row, own := range []int{1, 2, 3} {
		for column := range 4 {
			want := page.Y
			if column == own {
				want = mark.Y
			}
			if got := s.GrayAt(4+60*column-1, 4+60*row-1).Y; got != want {
				t.Errorf("latent %d, class %d: frame of grey %d, want %d", row, column, got, want)
			}
		}
	}
	same := func(a, b image.Rectangle) bool {
		for y := range side * zoom {
			for x := range side * zoom {
				if s.GrayAt(a.Min.X+x, a.Min.Y+y) != s.GrayAt(b.Min.X+x, b.Min.Y+y) {
					return false
				}
			}
		}
		return true
	}
	if !same(s.cell(0, 1), s.cell(2, 3)) {
		t.Error("the framed pictures differ")
	}
	if same(s.cell(0, 0), s.cell(0, 1)) {
		t.Error("the first latent changes nothing")
	}
	if !same(s.cell(2, 0), s.cell(2, 1)) {
		t.Error("a latent without weights changes something")
	}
}

// A code's picture depends neither on the other codes nor on the batch.
func TestGenerator(t *testing.T) {
	p := untrained(t, settings{Latents: 2, Classes: 3})
	g, err := newGenerator(p)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	codes := make([][]int, generatorBatch+7)
	for i := range codes {
		codes[i] = []int{i % 3, i / 3 % 3}
	}
	made, err := g.pictures(codes)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != len(codes) {
		t.Fatalf("%d pictures for %d codes", len(made), len(codes))
	}
	for i, m := range made {
		z := make([]float64, 6)
		z[codes[i][0]], z[3+codes[i][1]] = 1, 1
		for j, a := range perceptronByHand(z, p.decoder) {
			if want := 1 / (1 + math.Exp(-a)); math.Abs(float64(m[j])-want) > 1e-5 {
				t.Fatalf("code %v, pixel %d: %v, want %v", codes[i], j, m[j], want)
			}
		}
	}
}

func TestCurves(t *testing.T) {
	long := make([]record, 300)
	for i := range long {
		long[i] = record{Tau: math.Exp(-float64(i) / 500), Reconstruction: 100 + 400/float64(i+1), KL: 20}
	}
	for name, history := range map[string][]record{"one step": long[:1], "equal steps": {long[0], long[0]}, "long": long} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "curves.png")
			if err := drawCurves(history, path); err != nil {
				t.Fatal(err)
			}
			m := decodePNG(t, path)
			if want := image.Pt(960, 720); m.Bounds().Size() != want {
				t.Errorf("%v pixels, want %v", m.Bounds().Size(), want)
			}
			if n := tones(m, m.Bounds()); n < 10 {
				t.Errorf("%d greys", n)
			}
		})
	}
}

func TestWindow(t *testing.T) {
	values := make([]float64, 100)
	for i := range values {
		values[i] = 120 - float64(i)/5
	}
	values[0] = 540
	low, high := window(values)
	if low < 98 || low > 100.2 || high < 119.7 || high > 122 {
		t.Errorf("window of %v to %v, want slightly more than 100.2 to 119.7", low, high)
	}
	if low, high := window([]float64{7}); !(low < 7 && high > 7) {
		t.Errorf("for one value: window of %v to %v", low, high)
	}
}

func TestTrailingMean(t *testing.T) {
	if got, want := trailingMean([]float64{4, 2, 6, 10}, 2), []float64{4, 3, 4, 8}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
