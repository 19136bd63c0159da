package main

import (
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"path/filepath"
	"slices"
)

const (
	zoom     = 2  // screen pixels per pixel
	gap      = 4  // between pictures
	groupGap = 10 // between groups of rows, in addition to gap

	pairRows      = 3 // of originals above reconstructions
	pairColumns   = 14
	sampleRows    = 8
	sampleColumns = 14
	latentRows    = 10
	latentColumns = 64 // at most
)

var (
	paper = color.Gray{Y: 0xff}
	page  = color.Gray{Y: 0xd8}
	mark  = color.Gray{Y: 0x30}
)

// sheet is a page of pictures. A picture has 28×28 values in [0, 1], where 1 is
// black.
type sheet struct {
	*image.Gray
	group int // rows that belong together
}

func newSheet(rows, columns, group int) *sheet {
	s := &sheet{group: group}
	end := s.cell(rows-1, columns-1).Max
	s.Gray = image.NewGray(image.Rect(0, 0, end.X+gap, end.Y+gap))
	draw.Draw(s, s.Rect, image.NewUniform(page), image.Point{}, draw.Src)
	return s
}

// cell returns the rectangle of a picture.
func (s *sheet) cell(row, column int) image.Rectangle {
	x := gap + column*(side*zoom+gap)
	y := gap + row*(side*zoom+gap) + row/s.group*groupGap
	return image.Rect(x, y, x+side*zoom, y+side*zoom)
}

func (s *sheet) put(row, column int, values []float32) {
	r := s.cell(row, column)
	for y := range side * zoom {
		for x := range side * zoom {
			v := values[y/zoom*side+x/zoom]
			s.SetGray(r.Min.X+x, r.Min.Y+y, color.Gray{Y: uint8((1-v)*float32(paper.Y) + 0.5)})
		}
	}
}

// frame draws a frame. Call it before put, which draws over its inside.
func (s *sheet) frame(row, column int) {
	draw.Draw(s, s.cell(row, column).Inset(-gap/2), image.NewUniform(mark), image.Point{}, draw.Src)
}

func (s *sheet) write(path string) error {
	return replaceFile(path, func(w io.Writer) error { return png.Encode(w, s) })
}

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
	s := newSheet(2*rows, min(len(codes), pairColumns), 2)
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
	s := newSheet(sampleRows, sampleColumns, sampleRows)
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
	s := newSheet(len(sweeps), len(sweeps[0].made), len(sweeps))
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

// sweep is one latent's row of latents.png.
type sweep struct {
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
	return sweep{made: made, own: code[latent], change: variance(made)}, err
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
