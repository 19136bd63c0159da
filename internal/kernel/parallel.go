package kernel

import (
	"runtime"
	"sync"
)

// Costs of the kernels in plain Go, in nanoseconds an element, as far as split
// needs them.
const (
	costNoise = 12
	costLight = 2
)

// costOf is a cost with vector code, where there is some.
func costOf[T Float](plain int) int {
	switch {
	case level == levelGo:
		return plain
	case isFloat32[T]():
		return max(plain/6, 1)
	default:
		return max(plain/2, 1)
	}
}

// minWork is the least time, in nanoseconds, that is worth a goroutine: two of
// them take as long as one for samples of 25,000 to 30,000 elements, or 60 µs.
const minWork = 30_000

// split calls f on consecutive parts of [0, n), on as many goroutines as the
// work is worth: n units of size elements at cost nanoseconds each. No result
// may depend on where the parts end.
func split(n, size, cost int, f func(lo, hi int)) {
	parts := min(runtime.GOMAXPROCS(0), n, n*size*cost/minWork)
	if parts <= 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() { f(p*n/parts, (p+1)*n/parts) })
	}
	wg.Wait()
}
