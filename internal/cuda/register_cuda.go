//go:build cuda

package cuda

import G "gorgonia.org/gorgonia"

// Every tape machine that has an op for CUDA loads these.
func init() {
	for _, m := range Modules() {
		G.AddToStdLib(m.Name, m.PTX, m.Entries)
	}
}
