package main

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	tr, err := newTrainer(s, numbered(1), alone(t))
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

// A cell takes 60 pixels with the gap after it. There are 10 more pixels between
// groups of rows. Captions are above the pictures; latents.png has labels at the left
// as well.
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
			if err := drawPictures(context.Background(), untrained(t, tc.settings), halves(tc.test), dir, ignore); err != nil {
				t.Fatal(err)
			}
			for name, size := range map[string]image.Point{
				"reconstructions": tc.reconstructions, "samples": tc.samples, "latents": tc.latent,
			} {
				m := decodePNG(t, filepath.Join(dir, name+".png"))
				labels := m.Bounds().Size().Sub(size)
				if size.X >= minWidth && name != "latents" && labels.X != 0 || labels.X < 0 || labels.Y < lineHeight || labels.Y > 8*lineHeight {
					t.Errorf("%s is of %v pixels, want %v and space for labels", name, m.Bounds().Size(), size)
				}
				if first := image.Rect(0, labels.Y+gap, m.Bounds().Dx(), labels.Y+gap+side*zoom); tones(m, first) < 10 {
					t.Errorf("%s starts with pictures of %d greys", name, tones(m, first))
				}
				if caption := image.Rect(0, 0, m.Bounds().Dx(), lineHeight); tones(m, caption) < 10 {
					t.Errorf("%s has a caption of %d greys", name, tones(m, caption))
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
	if err := drawPictures(context.Background(), untrained(t, settings{Latents: 2, Classes: 3}), test, dir, ignore); err != nil {
		t.Fatal(err)
	}
	m := decodePNG(t, filepath.Join(dir, "reconstructions.png"))
	top := m.Bounds().Dy() - 254
	for i, at := range map[int]image.Point{0: {4, 4}, 13: {784, 4}, 14: {4, 134}, 15: {64, 134}} {
		for y := range side * zoom {
			for x := range side * zoom {
				want := 255 - test.image(i)[y/2*side+x/2]
				if got := grey(m, at.X+x, top+at.Y+y); got != want {
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
	s, err := drawLatents(context.Background(), g, []int{2, 1, 3}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	for row, own := range []int{1, 2, 3} {
		for column := range 4 {
			want := page.Y
			if column == own {
				want = mark.Y
			}
			corner := s.cell(row, column).Min
			if got := s.GrayAt(corner.X-1, corner.Y-1).Y; got != want {
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

// An interrupt ends the drawing of latents.png, which may take long. The pictures
// before it are complete.
func TestPicturesStop(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	var reports []int
	err := drawPictures(ctx, untrained(t, settings{Latents: 50, Classes: 2}), halves(5), dir, func(done, total int) {
		reports = append(reports, done, total)
		if done > 20 {
			cancel()
		}
	})
	var missing *pictureError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &missing) || missing.name != "latents.png" {
		t.Errorf("error %v", err)
	}
	// One run of the generator takes the pictures of 16 latents with 2 classes.
	if want := []int{16, 50, 32, 50}; !slices.Equal(reports, want) {
		t.Errorf("reports %v, want %v", reports, want)
	}
	if got, want := slices.Sorted(maps.Keys(files(t, dir))), []string{"reconstructions.png", "samples.png"}; !slices.Equal(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
}

// The labels of latents.png name each row, each column and the frame.
func TestLatentLabels(t *testing.T) {
	l := latentLabels([]sweep{{latent: 7, made: make([][]float32, 2)}, {latent: 12, made: make([][]float32, 2)}}, 2)
	if want := []string{"latent 7", "latent 12"}; !slices.Equal(l.rows, want) {
		t.Errorf("rows %v, want %v", l.rows, want)
	}
	if want := []string{"class 0", "class 1"}; !slices.Equal(l.columns, want) {
		t.Errorf("columns %v, want %v", l.columns, want)
	}
	for _, part := range []string{"Row: ", "Column: ", "Frame: "} {
		if !strings.Contains(l.caption, part) {
			t.Errorf("the caption %q does not explain %q", l.caption, part)
		}
	}
	if part := latentLabels([]sweep{{made: make([][]float32, 64)}}, 70).caption; !strings.HasSuffix(part, " Only the first 64 of 70 classes are shown.") {
		t.Errorf("caption of a part: %q", part)
	}
}

func TestWrap(t *testing.T) {
	const text = "some words that do not fit in one line"
	lines := wrap(text, 80)
	if len(lines) < 3 || strings.Join(lines, " ") != text {
		t.Errorf("lines %q", lines)
	}
	for _, line := range lines {
		if textWidth(line) > 80 {
			t.Errorf("%q is %d pixels wide", line, textWidth(line))
		}
	}
	if got := wrap("unbreakable", 5); !slices.Equal(got, []string{"unbreakable"}) {
		t.Errorf("lines %q", got)
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
	// A few values are all shown.
	if low, high := window([]float64{540, 500, 400}); low > 400 || high < 540 {
		t.Errorf("for three values: window of %v to %v", low, high)
	}
	if low, high := window([]float64{7}); !(low < 7 && high > 7) {
		t.Errorf("for one value: window of %v to %v", low, high)
	}
}

func TestMovingMean(t *testing.T) {
	if got, want := movingMean([]float64{4, 2, 6, 10}, 2), []float64{3, 4, 8}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for steps, want := range map[int]int{1: 0, 19: 1, 30: 3, 300: 30, 1000: 100, 5000: 100} {
		if got := meanOver(steps); got != want {
			t.Errorf("%d steps: a mean over %d, want %d", steps, got, want)
		}
	}
}

// The mean of a falling curve lies among its values, however short the run is.
func TestMeanLiesInTheData(t *testing.T) {
	for _, steps := range []int{20, 30, 99, 100, 150, 300, 5000} {
		values := make([]float64, steps)
		for i := range values {
			values[i] = 100 + 400*math.Exp(-float64(i)/20)
		}
		n := meanOver(steps)
		m := means(values, n)
		if len(m) < steps/2 {
			t.Errorf("%d steps: %d means", steps, len(m))
		}
		for _, p := range m {
			if at := values[int(p.X)-1]; math.Abs(p.Y/at-1) > 0.05 {
				t.Fatalf("%d steps: the mean at step %v is %v, the data %v", steps, p.X, p.Y, at)
			}
		}
	}
}

func TestRoundTicks(t *testing.T) {
	for _, tc := range []struct {
		low, high, smallest float64
		want                []string
	}{
		{0, 1, 1, []string{"0", "1"}},
		{0, 7, 1, []string{"0", "1", "2", "3", "4", "5", "6", "7"}},
		{0, 30, 1, []string{"0", "5", "10", "15", "20", "25", "30"}},
		{0, 300, 1, []string{"0", "50", "100", "150", "200", "250", "300"}},
		{0, 5000, 1, []string{"0", "1000", "2000", "3000", "4000", "5000"}},
		{0.99, 1.01, 0, []string{"0.990", "0.995", "1.000", "1.005", "1.010"}},
		{-3, 40, 0, []string{"0", "10", "20", "30", "40"}},
		{9e-31, 1.11e-30, 0, []string{"9e-31", "9.5e-31", "1e-30", "1.05e-30", "1.1e-30"}},
	} {
		var got []string
		for _, tick := range (roundTicks{tc.smallest}).Ticks(tc.low, tc.high) {
			got = append(got, tick.Label)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%v to %v: %v, want %v", tc.low, tc.high, got, tc.want)
		}
	}
}

// A temperature that changes fills its panel.
func TestAnnealedTau(t *testing.T) {
	p, err := tauPanel([]record{{Tau: 1}, {Tau: 0.97}, {Tau: 0.89}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Y.Min < 0.88 || p.Y.Max > 1.01 {
		t.Errorf("the panel shows %v to %v, want slightly more than 0.89 to 1", p.Y.Min, p.Y.Max)
	}
}

// The labels of a constant temperature differ, and its line is in the middle.
func TestConstantTau(t *testing.T) {
	for _, tau := range []float64{1, 0.5, 1e-5, 30} {
		p, err := tauPanel(slices.Repeat([]record{{Tau: tau}}, 50))
		if err != nil {
			t.Fatal(err)
		}
		if middle := (p.Y.Min + p.Y.Max) / 2; math.Abs(middle/tau-1) > 1e-9 {
			t.Errorf("tau %v: the panel shows %v to %v", tau, p.Y.Min, p.Y.Max)
		}
		seen := map[string]bool{}
		for _, tick := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
			if seen[tick.Label] {
				t.Errorf("tau %v: two ticks %s", tau, tick.Label)
			}
			seen[tick.Label] = true
		}
		if len(seen) < 3 {
			t.Errorf("tau %v: ticks %v", tau, seen)
		}
	}
}

// A run of one step has no lines; the picture shows its points.
func TestCurvesOfOneStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "curves.png")
	if err := drawCurves([]record{{1, 500, 20, 0.1}}, path); err != nil {
		t.Fatal(err)
	}
	m := decodePNG(t, path)
	for panel, c := range []color.Color{blue, red} {
		found := 0
		for y := panel * 360; y < (panel+1)*360; y++ {
			for x := range 960 {
				if a, b := color.RGBAModel.Convert(m.At(x, y)), color.RGBAModel.Convert(c); a == b {
					found++
				}
			}
		}
		if found < 40 {
			t.Errorf("panel %d has %d pixels of its curve", panel, found)
		}
	}
}
