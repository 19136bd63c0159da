//go:build purego || !amd64

package kernel

func (Adam[T]) updateSIMD(_, _, _, _ []T) bool { return false }
