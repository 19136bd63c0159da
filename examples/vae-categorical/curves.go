package main

import (
	"image/color"
	"io"
	"math"
	"slices"

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
	loss.X.Max, tau.X.Max = float64(len(history)), float64(len(history))
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
	smooth := trailingMean(values, smoothing)
	p := newPanel("−ELBO (nats per image)")
	each, err := line(p, values, lightBlue, 0.6)
	if err != nil {
		return nil, err
	}
	mean, err := line(p, smooth, blue, 1.8)
	if err != nil {
		return nil, err
	}
	p.Legend.Add("each step", each)
	p.Legend.Add("mean of 100 steps", mean)
	p.Legend.Top = true
	p.Legend.Padding = 3
	p.Y.Min, p.Y.Max = window(values)
	return p, nil
}

func tauPanel(history []record) (*plot.Plot, error) {
	values := make([]float64, len(history))
	for i, r := range history {
		values[i] = r.Tau
	}
	p := newPanel("temperature tau")
	p.X.Label.Text = "training step"
	_, err := line(p, values, red, 1.8)
	low, high := slices.Min(values), slices.Max(values)
	margin := max(0.05*(high-low), 0.01*high)
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
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	p.Add(grid)
	return p
}

func line(p *plot.Plot, values []float64, c color.Color, width vg.Length) (*plotter.Line, error) {
	points := make(plotter.XYs, len(values))
	for i, v := range values {
		points[i] = plotter.XY{X: float64(i + 1), Y: v}
	}
	l, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	l.Color, l.Width = c, width
	p.Add(l)
	return l, nil
}

// window cuts off the initial drop, which would flatten the rest of the curve.
func window(values []float64) (low, high float64) {
	sorted := slices.Sorted(slices.Values(values))
	low, high = sorted[0], sorted[int(0.98*float64(len(sorted)-1))]
	margin := max(0.05*(high-low), 0.01*math.Abs(high))
	return low - margin, high + margin
}

// trailingMean returns, for each value, the mean of it and the n−1 before.
func trailingMean(values []float64, n int) []float64 {
	mean := make([]float64, len(values))
	var total float64
	for i, v := range values {
		total += v
		if i >= n {
			total -= values[i-n]
		}
		mean[i] = total / float64(min(i+1, n))
	}
	return mean
}
