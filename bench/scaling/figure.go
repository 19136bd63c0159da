package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

var (
	blue   = color.RGBA{R: 0x1f, G: 0x5f, B: 0xa8, A: 0xff}
	red    = color.RGBA{R: 0xb0, G: 0x3a, B: 0x2e, A: 0xff}
	green  = color.RGBA{R: 0x2e, G: 0x7d, B: 0x4f, A: 0xff}
	orange = color.RGBA{R: 0xd0, G: 0x7a, B: 0x12, A: 0xff}
	faint  = color.RGBA{R: 0xdc, G: 0xdc, B: 0xdc, A: 0xff}
)

// drawFigure writes a column for each sweep, time over memory, as a PNG.
func drawFigure(sweeps []sweep, path string) error {
	panels := make([][]*plot.Plot, 2)
	for i := range sweeps {
		s := &sweeps[i]
		for row, of := range []struct {
			title  string
			curves []curve
		}{{"time of a run" + s.of + " (ns/element)", s.timeCurves()}, {"memory for a run" + s.of + " (MB)", s.memoryCurves()}} {
			p, err := s.panel(of.title, of.curves)
			if err != nil {
				return err
			}
			panels[row] = append(panels[row], p)
		}
	}
	return writePNG(panels, path)
}

// curve is drawn as a line through dots.
type curve struct {
	name   string
	color  color.Color
	dashed bool
	points plotter.XYs
}

// curves are a quantity of cases, of forward and, dashed, of both passes.
func (s *sweep) curves(cases []measured, name string, c color.Color, of func(measured, result) float64) []curve {
	forward, both := make(plotter.XYs, len(cases)), make(plotter.XYs, len(cases))
	for i, m := range cases {
		x := float64(s.grows(m.job))
		forward[i], both[i] = plotter.XY{X: x, Y: of(m, m.forward)}, plotter.XY{X: x, Y: of(m, m.both)}
	}
	return []curve{{name + "forward", c, false, forward}, {name + "forward+backward", c, true, both}}
}

func (s *sweep) timeCurves() []curve {
	if !s.pair {
		return s.curves(s.cases, "", blue, measured.perElement)
	}
	return append(s.curves(s.with(10), "10 classes, ", blue, measured.perElement),
		s.curves(s.with(1000), "1000 classes, ", red, measured.perElement)...)
}

// memoryCurves leave out those of 1000 classes, which lie on those of 10.
func (s *sweep) memoryCurves() []curve {
	cases, where := s.cases, ""
	if s.pair {
		cases, where = s.with(10), "10 classes, "
	}
	allocated := func(_ measured, r result) float64 { return float64(r.Allocated) / 1e6 }
	peak := func(_ measured, r result) float64 { return float64(r.Peak) / 1e6 }
	return append(s.curves(cases, where+"peak of the process, ", orange, peak),
		s.curves(cases, where+"allocated in a run, ", green, allocated)...)
}

func (s *sweep) panel(title string, curves []curve) (*plot.Plot, error) {
	p := plot.New()
	// Titles take what is long: long labels of axes would make the plot smaller.
	p.Title.Text, p.Title.Padding = title, 4
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Scale = plot.LogScale{}
		axis.Label.TextStyle.Font.Size = font.Points(12)
		axis.Tick.Label.Font.Size = font.Points(10)
	}
	p.X.Label.Text = s.title
	p.X.Tick.Marker, p.Y.Tick.Marker = s.ticks, plot.TickerFunc(decimalTicks)
	p.Legend.Top, p.Legend.Padding = true, 2
	p.Legend.TextStyle.Font.Size = font.Points(9)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	p.Add(grid)
	for _, c := range curves {
		if err := c.addTo(p); err != nil {
			return nil, err
		}
	}
	// A single number of threads would leave the axis without length.
	p.X.Min, p.X.Max = p.X.Min/1.15, p.X.Max*1.15
	// No curve is to look steep for its noise. The legend lies above.
	p.Y.Min /= 1.3
	p.Y.Max = max(1.3*p.Y.Max, 10*p.Y.Min)
	p.Y.Max *= math.Pow(p.Y.Max/p.Y.Min, 0.35)
	return p, nil
}

func (c curve) addTo(p *plot.Plot) error {
	line, dots, err := plotter.NewLinePoints(c.points)
	if err != nil {
		return fmt.Errorf("curve %q: %w", c.name, err)
	}
	line.Color, line.Width = c.color, 1.6
	dots.Color, dots.Shape, dots.Radius = c.color, draw.CircleGlyph{}, 2
	if c.dashed {
		line.Dashes = []vg.Length{5, 3}
		dots.Shape = draw.RingGlyph{}
	}
	p.Add(line, dots)
	p.Legend.Add(c.name, line, dots)
	return nil
}

func writePNG(panels [][]*plot.Plot, path string) error {
	img := vgimg.NewWith(vgimg.UseWH(14*vg.Inch, 8*vg.Inch), vgimg.UseDPI(100))
	page := draw.Crop(draw.New(img), 8, -16, 8, -8)
	tiles := draw.Tiles{Rows: len(panels), Cols: len(panels[0]), PadX: 18, PadY: 18}
	for i, canvases := range plot.Align(panels, tiles, page) {
		for j, canvas := range canvases {
			panels[i][j].Draw(canvas)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// decimalTicks mark 1 to 9 times each power of ten. They label the powers and,
// over less than three decades, 2 and 5 times them.
func decimalTicks(low, high float64) []plot.Tick {
	few := high/low < 1000
	var ticks []plot.Tick
	for e := math.Floor(math.Log10(low)); e <= math.Log10(high); e++ {
		for digit := 1; digit <= 9; digit++ {
			v := float64(digit) * math.Pow(10, e)
			if v < low || v > high {
				continue
			}
			t := plot.Tick{Value: v}
			if digit == 1 || few && (digit == 2 || digit == 5) {
				t.Label = strconv.FormatFloat(v, 'g', 6, 64)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// powerTicks label each power of ten by its exponent.
func powerTicks(low, high float64) []plot.Tick {
	ticks := decimalTicks(low, high)
	for i, t := range ticks {
		ticks[i].Label = ""
		if e := math.Log10(t.Value); math.Abs(e-math.Round(e)) < 1e-9 {
			ticks[i].Label = "10" + superscripts.Replace(strconv.Itoa(int(math.Round(e))))
		}
	}
	return ticks
}

var superscripts = strings.NewReplacer("0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹")

// doublings mark the powers of 2 and label one in every, 2 among them.
func doublings(every int) plot.TickerFunc {
	return func(low, high float64) []plot.Tick {
		var ticks []plot.Tick
		for e := int(math.Ceil(math.Log2(low))); float64(e) <= math.Log2(high); e++ {
			t := plot.Tick{Value: math.Exp2(float64(e))}
			if (e-1)%every == 0 {
				t.Label = strconv.FormatFloat(t.Value, 'f', 0, 64)
			}
			ticks = append(ticks, t)
		}
		return ticks
	}
}
