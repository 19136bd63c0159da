// Ratios makes the tables of bench/compare: for each case the medians of
// PyTorch's time and ours, their ratio, and whether that meets its target.
//
// It reads the measurements from standard input, one a line, each led by the
// round, the number of threads and what was measured:
//
//	1 2 torch 4096x10 soft/forward 19.708
//	1 2 default BenchmarkGumbelSoftmax/kernel/soft/forward/4096x10-2 52 116292 ns/op 2.839 ns/element
//
// The latter are the lines of go test; what else it prints is passed over.
//
// With -cuda it makes the table of measurements on a GPU: see runCUDA.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	onGPU := flag.Bool("cuda", false, "make the table of measurements on a GPU")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "ratios: %q: no arguments, the measurements come by standard input\n", flag.Arg(0))
		os.Exit(2)
	}
	f := run
	if *onGPU {
		f = runCUDA
	}
	if err := f(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "ratios: %v\n", err)
		os.Exit(1)
	}
}

func run(r io.Reader, w io.Writer) error {
	m, err := read(r)
	if err != nil {
		return err
	}
	return m.write(w)
}
