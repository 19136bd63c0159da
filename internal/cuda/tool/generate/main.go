// Command generate compiles the CUDA sources of a folder to PTX. It needs nvcc of the
// CUDA toolkit 11.8, whose PTX all later drivers accept.
//
//	go generate ./internal/cuda/...
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/gumbel-go/gumbel/internal/cuda/tool/generate/nvcc"
)

func main() {
	log.SetFlags(0)
	folder := flag.String("folder", ".", "the folder of the sources")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("the argument is %q, want only -folder", flag.Arg(0))
	}
	if err := generate(*folder); err != nil {
		log.Fatal(err)
	}
}

func generate(folder string) error {
	sources, err := filepath.Glob(filepath.Join(folder, "*.cu"))
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return fmt.Errorf("no .cu in %s", folder)
	}
	for _, source := range sources {
		ptx, err := nvcc.Compile(source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(strings.TrimSuffix(source, ".cu")+".ptx", ptx, 0o644); err != nil {
			return err
		}
		fmt.Println(source)
	}
	return nil
}
