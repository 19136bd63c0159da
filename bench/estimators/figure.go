package main

import (
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// drawPicture writes the picture: the bias on the left, the deviation on the right.
func drawPicture(path string, all []curve, points [][]moments) error {
	bias, err := panel("bias / length of the exact gradient", all, points, func(m moments) float64 { return m.bias })
	if err != nil {
		return err
	}
	deviation, err := panel("standard deviation / length of the exact gradient", all, points, func(m moments) float64 { return m.deviation })
	if err != nil {
		return err
	}
	bias.Legend = plot.NewLegend() // that of the other panel is enough
	image := vgimg.New(11*vg.Inch, 4.5*vg.Inch)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Inch / 4, PadTop: vg.Inch / 8, PadBottom: vg.Inch / 8, PadLeft: vg.Inch / 8, PadRight: vg.Inch / 8}
	canvas := draw.New(image)
	bias.Draw(tiles.At(canvas, 0, 0))
	deviation.Draw(tiles.At(canvas, 1, 0))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: image}).WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func panel(label string, all []curve, points [][]moments, value func(moments) float64) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "temperature", label
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, ticks()
	p.Y.Min = 0
	p.Legend.Top = true
	for i, c := range all {
		xy := make(plotter.XYs, len(taus))
		for j, tau := range taus {
			xy[j].X, xy[j].Y = tau, value(points[i][j])
		}
		line, marks, err := plotter.NewLinePoints(xy)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = plotutil.Color(i), vg.Points(1.5)
		marks.Color, marks.Shape = plotutil.Color(i), plotutil.Shape(i)
		p.Add(line, marks)
		p.Legend.Add(c.name, line, marks)
	}
	p.Y.Min = 0
	return p, nil
}

func ticks() plot.ConstantTicks {
	return plot.ConstantTicks{{Value: 0.1, Label: "0.1"}, {Value: 0.2, Label: "0.2"}, {Value: 0.5, Label: "0.5"}, {Value: 1, Label: "1"}, {Value: 2, Label: "2"}, {Value: 3, Label: "3"}}
}
