package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// cudaCase is a pass and a shape, measured on a GPU.
type cudaCase struct{ pass, shape string }

func (c cudaCase) String() string {
	return passNames.Replace(c.pass) + " " + strings.ReplaceAll(c.shape, "x", "×")
}

// cudaTimes are ns/element, and for our kernels the part of the memory's
// bandwidth, in percent.
type cudaTimes struct{ eager, compiled, kernel, bandwidth []float64 }

// runCUDA makes the table of measurements on a GPU. They are the lines of
// bench/torch_gumbel_cuda.py and of BenchmarkSample in internal/cuda:
//
//	torch eager 1024x1000 soft/forward 0.01234
//	BenchmarkSample/soft/forward/1024x1000-16 52 11629 ns/op 0.0111 ns/element 81.2 %bandwidth
func runCUDA(r io.Reader, w io.Writer) error {
	var order []cudaCase
	times := map[cudaCase]*cudaTimes{}
	of := func(c cudaCase) *cudaTimes {
		if times[c] == nil {
			times[c] = &cudaTimes{}
			order = append(order, c)
		}
		return times[c]
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if err := addCUDA(strings.Fields(lines.Text()), of); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(order) == 0 {
		return errors.New("no measurements: see internal/cuda/README.md")
	}
	fmt.Fprintln(w, "| float32 | PyTorch | torch.compile | kernel | of the bandwidth | to PyTorch | to torch.compile |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|")
	for _, c := range order {
		t := times[c]
		if len(t.kernel) == 0 {
			return fmt.Errorf("our %v was not measured", c)
		}
		ours := median(t.kernel)
		fmt.Fprintf(w, "| %v | %s | %s | %.4f | %.0f %% | %s | %s |\n", c,
			cell(t.eager, 1, "%.4f"), cell(t.compiled, 1, "%.4f"), ours, median(t.bandwidth),
			cell(t.eager, ours, "%.2f×"), cell(t.compiled, ours, "%.2f×"))
	}
	return nil
}

// cell is the median over ours, where there is one.
func cell(times []float64, ours float64, format string) string {
	if len(times) == 0 {
		return "–"
	}
	return fmt.Sprintf(format, median(times)/ours)
}

func addCUDA(fields []string, of func(cudaCase) *cudaTimes) error {
	switch {
	case len(fields) == 5 && fields[0] == "torch":
		ns, err := parseTime(fields[4])
		t := of(cudaCase{fields[3], fields[2]})
		switch fields[1] {
		case "eager":
			t.eager = append(t.eager, ns)
		case "compile":
			t.compiled = append(t.compiled, ns)
		default:
			return fmt.Errorf("%q: want eager or compile", fields[1])
		}
		return err
	case len(fields) > 0 && strings.HasPrefix(fields[0], "BenchmarkSample/"):
		name := strings.Split(procs.ReplaceAllString(fields[0], ""), "/")
		if len(name) < 3 {
			return errors.New("want BenchmarkSample/pass/shape")
		}
		ns, err := metric(fields, "ns/element")
		if err != nil {
			return err
		}
		bandwidth, err := metric(fields, "%bandwidth")
		t := of(cudaCase{strings.Join(name[1:len(name)-1], "/"), name[len(name)-1]})
		t.kernel, t.bandwidth = append(t.kernel, ns), append(t.bandwidth, bandwidth)
		return err
	}
	return nil
}
