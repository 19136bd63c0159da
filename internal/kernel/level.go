package kernel

//go:generate go run -C asm .

// The instruction sets that there is code for. The variable level is the one in
// use; tests change it.
const (
	levelGo = iota
	levelAVX2
	levelAVX512
)

// Vectorized reports whether there is vector code for this processor.
func Vectorized() bool { return level != levelGo }

// lanes returns how many T a vector register holds. There is no code for float64 on
// AVX-512.
func lanes[T Float]() int {
	switch {
	case level == levelGo:
		return 1
	case !isFloat32[T]():
		return 4
	case level == levelAVX512:
		return 16
	}
	return 8
}

// word is a word of the size of a float: see implement in asm.
type word interface{ uint32 | uint64 }
