// Command asm writes the vector code of package kernel: for each traversal the
// assembly X_amd64.s, which it generates with avo, X_amd64.go, which calls it at the
// level in use, and X_noasm.go for builds without assembly.
//
//	go generate ./internal/kernel
//
// The files here mirror those of the package: what is in bce.go there has its vector
// code in bce.go here. See implement for how a function gets vector code.
package main

import (
	"log"
	"os"
	"path/filepath"
)

// folder is that of package kernel, from here.
const folder = ".."

func main() {
	log.SetFlags(0)
	if err := generate(); err != nil {
		log.Fatal(err)
	}
}

func generate() error {
	k, err := readKernel(folder)
	if err != nil {
		return err
	}
	for _, t := range traversals {
		files, err := t.generate(k)
		if err != nil {
			return err
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
