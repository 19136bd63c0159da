//go:build purego || !amd64

package kernel

func (Adam) updateSIMD(_, _, _, _ []float32) bool { return false }
