package main

import (
	"cmp"
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

// drawPictures writes reconstructions.png, samples.png and latents.png.
func drawPictures(p *parameters, test *images, dir string) error {
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
		{"latents.png", func() (*sheet, error) { return drawLatents(g, codes[0]) }},
	} {
		s, err := picture.draw()
		if err != nil {
			return err
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
func drawLatents(g *generator, code []int) (*sheet, error) {
	sweeps := make([]sweep, g.latents)
	for l := range sweeps {
		var err error
		if sweeps[l], err = newSweep(g, code, l); err != nil {
			return nil, err
		}
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

func newSweep(g *generator, code []int, latent int) (sweep, error) {
	codes := make([][]int, min(g.classes, latentColumns))
	for k := range codes {
		codes[k] = slices.Clone(code)
		codes[k][latent] = k
	}
	made, err := g.pictures(codes)
	return sweep{latent: latent, made: made, own: code[latent], change: variance(made)}, err
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
