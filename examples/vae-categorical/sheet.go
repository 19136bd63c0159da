package main

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

const (
	zoom       = 2   // screen pixels per pixel
	gap        = 4   // between pictures
	groupGap   = 10  // between groups of rows, in addition to gap
	lineHeight = 16  // of text
	minWidth   = 480 // so that captions have few lines
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
	group  int         // rows that belong together
	origin image.Point // of the pictures, below and to the right of the labels
}

// labels say what a sheet shows. Those of rows and columns may be missing.
type labels struct {
	caption       string
	rows, columns []string
}

func newSheet(rows, columns, group int, l labels) *sheet {
	s := &sheet{group: group}
	for _, label := range l.rows {
		s.origin.X = max(s.origin.X, gap+textWidth(label))
	}
	width := max(s.cell(0, columns-1).Max.X+gap, minWidth)
	lines := wrap(l.caption, width-2*gap)
	s.origin.Y = gap + len(lines)*lineHeight
	if len(l.columns) > 0 {
		s.origin.Y += lineHeight
	}
	s.Gray = image.NewGray(image.Rect(0, 0, width, s.cell(rows-1, 0).Max.Y+gap))
	draw.Draw(s, s.Rect, image.NewUniform(page), image.Point{}, draw.Src)
	for i, line := range lines {
		s.text(image.Pt(gap, gap+i*lineHeight), line)
	}
	for row, label := range l.rows {
		s.text(image.Pt(gap, s.cell(row, 0).Min.Y+(side*zoom-lineHeight)/2), label)
	}
	for column, label := range l.columns {
		s.text(image.Pt(s.cell(0, column).Min.X+(side*zoom-textWidth(label))/2, s.origin.Y-lineHeight), label)
	}
	return s
}

// cell returns the rectangle of a picture.
func (s *sheet) cell(row, column int) image.Rectangle {
	x := s.origin.X + gap + column*(side*zoom+gap)
	y := s.origin.Y + gap + row*(side*zoom+gap) + row/s.group*groupGap
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

var textStyle = vgdraw.TextStyle{Color: mark, Font: font.From(plot.DefaultFont, 11), Handler: plot.DefaultTextHandler}

// At textDPI, a point of a font is a pixel.
const textDPI = 72

// text draws a line of text whose top left corner is at a point.
func (s *sheet) text(at image.Point, line string) {
	size := vg.Length(lineHeight)
	c := vgimg.NewWith(vgimg.UseWH(vg.Length(textWidth(line)), size), vgimg.UseDPI(textDPI), vgimg.UseBackgroundColor(page))
	canvas := vgdraw.New(c)
	canvas.FillText(textStyle, vg.Point{Y: 0.3 * size}, line)
	draw.Draw(s, c.Image().Bounds().Add(at), c.Image(), image.Point{}, draw.Src)
}

func textWidth(line string) int { return int(math.Ceil(float64(textStyle.Width(line)))) + 1 }

// wrap splits text into lines that are at most width wide, unless a word is wider.
func wrap(text string, width int) (lines []string) {
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && textWidth(lines[last]+" "+word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
