package main

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

var (
	lightBlue = color.RGBA{R: 0xb3, G: 0xcd, B: 0xe8, A: 0xff}
	blue      = color.RGBA{R: 0x1f, G: 0x5f, B: 0xa8, A: 0xff}
	red       = color.RGBA{R: 0xb0, G: 0x3a, B: 0x2e, A: 0xff}
	faint     = color.RGBA{R: 0xe6, G: 0xe6, B: 0xe6, A: 0xff}
)

// drawCurves plots −ELBO above tau, both over the steps.
func drawCurves(history []record, path string) error {
	loss, err := lossPanel(history)
	if err != nil {
		return err
	}
	tau, err := tauPanel(history)
	if err != nil {
		return err
	}
	for _, p := range []*plot.Plot{loss, tau} {
		p.X.Min, p.X.Max = 0, float64(len(history))
	}
	img := vgimg.NewWith(vgimg.UseWH(8*vg.Inch, 6*vg.Inch), vgimg.UseDPI(120))
	page := draw.Crop(draw.New(img), 8, -16, 8, -8)
	tiles := draw.Tiles{Rows: 2, Cols: 1, PadY: 12}
	panels := [][]*plot.Plot{{loss}, {tau}}
	for row, canvases := range plot.Align(panels, tiles, page) {
		panels[row][0].Draw(canvases[0])
	}
	return replaceFile(path, func(w io.Writer) error {
		_, err := vgimg.PngCanvas{Canvas: img}.WriteTo(w)
		return err
	})
}

func lossPanel(history []record) (*plot.Plot, error) {
	values := make([]float64, len(history))
	for i, r := range history {
		values[i] = r.nelbo()
	}
	p := newPanel("−ELBO (nats per image)")
	p.Legend.Top = true
	p.Legend.Padding = 3
	var err error
	if n := meanOver(len(values)); n > 1 {
		err = errors.Join(
			line(p, "each step", points(values, 1), lightBlue, 0.6),
			line(p, fmt.Sprintf("mean of %d steps", n), means(values, n), blue, 1.8))
	} else {
		err = line(p, "each step", points(values, 1), blue, 1.8)
	}
	p.Y.Min, p.Y.Max = window(values)
	return p, err
}

func tauPanel(history []record) (*plot.Plot, error) {
	values := make([]float64, len(history))
	for i, r := range history {
		values[i] = r.Tau
	}
	p := newPanel("temperature tau")
	p.X.Label.Text = "training step"
	err := line(p, "", points(values, 1), red, 1.8)
	low, high := slices.Min(values), slices.Max(values)
	margin := 0.05 * (high - low)
	if high-low < 0.02*high {
		margin = 0.1 * high // a nearly constant temperature is not stretched
	}
	p.Y.Min, p.Y.Max = low-margin, high+margin
	return p, err
}

func newPanel(label string) *plot.Plot {
	p := plot.New()
	p.Y.Label.Text = label
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size = font.Points(12)
		axis.Tick.Label.Font.Size = font.Points(10)
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = roundTicks{smallest: 1}, roundTicks{}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	p.Add(grid)
	return p
}

// roundTicks are at most 8 multiples of a round number, which is at least smallest.
// Their labels have the digits that tell them apart.
type roundTicks struct{ smallest float64 }

func (r roundTicks) Ticks(low, high float64) []plot.Tick {
	step := roundUp(max((high-low)/7, r.smallest))
	var ticks []plot.Tick
	for i := int(math.Ceil(low / step)); float64(i)*step <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: float64(i) * step, Label: tickLabel(float64(i)*step, step)})
	}
	return ticks
}

// roundUp returns the next 1, 2 or 5 times a power of ten.
func roundUp(v float64) float64 {
	unit := math.Pow10(int(math.Floor(math.Log10(v))))
	for _, digit := range []float64{1, 2, 5} {
		if digit*unit >= v {
			return digit * unit
		}
	}
	return 10 * unit
}

func tickLabel(v, step float64) string {
	if step < 1e-6 || step > 1e9 {
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	decimals := -int(math.Floor(math.Log10(step) + 1e-9))
	return strconv.FormatFloat(v, 'f', max(0, decimals), 64)
}

// points returns values at steps first, first+1, …
func points(values []float64, first float64) plotter.XYs {
	xys := make(plotter.XYs, len(values))
	for i, v := range values {
		xys[i] = plotter.XY{X: first + float64(i), Y: v}
	}
	return xys
}

// line draws a line with a legend, if name is not empty. If there are few points, it
// draws a dot at each, because one point alone has no line.
func line(p *plot.Plot, name string, points plotter.XYs, c color.Color, width vg.Length) error {
	const few = 10
	l, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	l.Color, l.Width = c, width
	p.Add(l)
	legend := []plot.Thumbnailer{l}
	if len(points) <= few {
		dots, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: c, Radius: 3, Shape: draw.CircleGlyph{}}
		p.Add(dots)
		legend = append(legend, dots)
	}
	if name != "" {
		p.Legend.Add(name, legend...)
	}
	return nil
}

// window cuts off the highest fiftieth of the values: the initial drop of a long run
// would flatten the rest of the curve.
func window(values []float64) (low, high float64) {
	sorted := slices.Sorted(slices.Values(values))
	low, high = sorted[0], sorted[len(sorted)-1-len(sorted)/50]
	margin := max(0.05*(high-low), 0.01*math.Abs(high))
	return low - margin, high + margin
}

// meanOver returns the number of steps of the moving mean: 100, but at most a tenth
// of the run. A run of fewer than 20 steps has no mean.
func meanOver(steps int) int { return min(smoothing, steps/10) }

// means returns the moving mean over n steps, except over the first n, whose steep
// fall would lift it above its data. A mean is drawn at the middle of its steps: at
// their end it would lie above a falling curve.
func means(values []float64, n int) plotter.XYs {
	return points(movingMean(values[n:], n), float64(n)+float64(n+1)/2)
}

// movingMean returns the means of all n adjacent values.
func movingMean(values []float64, n int) []float64 {
	var mean []float64
	var total float64
	for i, v := range values {
		total += v
		if i >= n {
			total -= values[i-n]
		}
		if i >= n-1 {
			mean = append(mean, total/float64(n))
		}
	}
	return mean
}
