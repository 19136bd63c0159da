package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

const (
	pairRows      = 3 // of originals above reconstructions
	pairColumns   = 14
	sampleRows    = 8
	sampleColumns = 14
	latentRows    = 10
	latentColumns = 64 // at most
)

// pictureError says which picture was not drawn.
type pictureError struct {
	name string
	err  error
}

func (e *pictureError) Error() string { return fmt.Sprintf("drawing %s: %v", e.name, e.err) }
func (e *pictureError) Unwrap() error { return e.err }

// drawPictures writes reconstructions.png, samples.png and latents.png. An interrupt
// ends it with a pictureError; the pictures before that are complete.
func drawPictures(ctx context.Context, p *parameters, test *images, dir string, report reporter) error {
	encoder, err := newEncoderGraph(p, min(pairRows*pairColumns, test.n))
	if err != nil {
		return err
	}
	defer encoder.close()
	codes, err := encoder.likelyCodes(test)
	if err != nil {
		return err
	}
	g, err := newGenerator(p)
	if err != nil {
		return err
	}
	defer g.close()
	for _, picture := range []struct {
		name string
		draw func() (*sheet, error)
	}{
		{"reconstructions.png", func() (*sheet, error) { return drawReconstructions(g, codes, test) }},
		{"samples.png", func() (*sheet, error) { return drawSamples(g, p.settings.Seed) }},
		{"latents.png", func() (*sheet, error) { return drawLatents(ctx, g, codes[0], report) }},
	} {
		if err := ctx.Err(); err != nil {
			return &pictureError{picture.name, err}
		}
		s, err := picture.draw()
		if err != nil {
			return &pictureError{picture.name, err}
		}
		if err := s.write(filepath.Join(dir, picture.name)); err != nil {
			return err
		}
	}
	return nil
}

// drawReconstructions shows the first test images above their reconstructions
// from the most likely codes.
func drawReconstructions(g *generator, codes [][]int, test *images) (*sheet, error) {
	made, err := g.pictures(codes)
	if err != nil {
		return nil, err
	}
	rows := (len(codes) + pairColumns - 1) / pairColumns
	s := newSheet(2*rows, min(len(codes), pairColumns), 2, labels{
		caption: "The upper row of each pair shows test images, the lower row their reconstructions from the most likely code.",
	})
	original := make([]float32, pixels)
	for i, m := range made {
		row, column := i/pairColumns*2, i%pairColumns
		scale(original, test.image(i))
		s.put(row, column, original)
		s.put(row+1, column, m)
	}
	return s, nil
}

// drawSamples shows decoded codes from the uniform prior.
func drawSamples(g *generator, seed uint64) (*sheet, error) {
	r := newRand(seed, forPictures, 0)
	codes := make([][]int, sampleRows*sampleColumns)
	for i := range codes {
		codes[i] = make([]int, g.latents)
		for l := range codes[i] {
			codes[i][l] = r.IntN(g.classes)
		}
	}
	made, err := g.pictures(codes)
	if err != nil {
		return nil, err
	}
	s := newSheet(sampleRows, sampleColumns, sampleRows, labels{
		caption: "Each picture is decoded from a random code, in which all classes are equally likely. Rows and columns have no meaning.",
	})
	for i, m := range made {
		s.put(i/sampleColumns, i%sampleColumns, m)
	}
	return s, nil
}

// drawLatents shows how an image changes if one latent takes each of its classes
// while the others keep theirs, one latent per row. It shows the latents that
// change the image most. Frames mark the class that the image itself has.
func drawLatents(ctx context.Context, g *generator, code []int, report reporter) (*sheet, error) {
	var sweeps []sweep
	for len(sweeps) < g.latents {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		some, err := nextSweeps(g, code, len(sweeps))
		if err != nil {
			return nil, err
		}
		sweeps = append(sweeps, some...)
		report(len(sweeps), g.latents)
	}
	slices.SortStableFunc(sweeps, func(a, b sweep) int { return cmp.Compare(b.change, a.change) })
	sweeps = sweeps[:min(len(sweeps), latentRows)]
	s := newSheet(len(sweeps), len(sweeps[0].made), len(sweeps), latentLabels(sweeps, g.classes))
	for row, w := range sweeps {
		for column, m := range w.made {
			if column == w.own {
				s.frame(row, column)
			}
			s.put(row, column, m)
		}
	}
	return s, nil
}

func latentLabels(sweeps []sweep, classes int) labels {
	l := labels{caption: "All pictures are the first test image with one latent of its code changed. Row: the changed latent; " +
		"the latents that change the image most come first. Column: the class that this latent is set to. " +
		"Frame: the class that the test image itself has."}
	for _, w := range sweeps {
		l.rows = append(l.rows, fmt.Sprint("latent ", w.latent))
	}
	shown := len(sweeps[0].made)
	for class := range shown {
		l.columns = append(l.columns, fmt.Sprint("class ", class))
	}
	if shown < classes {
		l.caption += fmt.Sprintf(" Only the first %d of %d classes are shown.", shown, classes)
	}
	return l
}

// sweep is one latent's row of latents.png.
type sweep struct {
	latent int
	made   [][]float32 // one picture per class
	own    int         // the class of the image itself
	change float64     // variance over the classes, summed over the pixels
}

// nextSweeps returns the sweeps of as many latents, from first on, as one run of the
// generator decodes.
func nextSweeps(g *generator, code []int, first int) ([]sweep, error) {
	classes := min(g.classes, latentColumns)
	end := min(first+max(1, generatorBatch/classes), g.latents)
	var codes [][]int
	for latent := first; latent < end; latent++ {
		for class := range classes {
			changed := slices.Clone(code)
			changed[latent] = class
			codes = append(codes, changed)
		}
	}
	made, err := g.pictures(codes)
	if err != nil {
		return nil, err
	}
	var sweeps []sweep
	for some := range slices.Chunk(made, classes) {
		latent := first + len(sweeps)
		sweeps = append(sweeps, sweep{latent: latent, made: some, own: code[latent], change: variance(some)})
	}
	return sweeps, nil
}

// variance returns the variance over the pictures, summed over the pixels.
func variance(made [][]float32) float64 {
	var total float64
	for i := range pixels {
		var sum, squares float64
		for _, m := range made {
			v := float64(m[i])
			sum += v
			squares += v * v
		}
		n := float64(len(made))
		total += squares/n - sum/n*sum/n
	}
	return total
}
