package kernel

import (
	"runtime"
	"sync"
)

// The costs of kernels in plain Go, in nanoseconds per element, as precisely as split
// needs them.
const (
	costNoise = 12
	costLight = 2
)

// costOf returns the cost at the level in use.
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

// minWork is the least time, in nanoseconds, that is worth a goroutine. Two of them
// take as long as one for samples of 25,000 to 30,000 elements, or 60 µs.
const minWork = 30_000

// split calls f with consecutive parts of [0, n), on as many goroutines as the work is
// worth. The work is n units of size elements at cost nanoseconds each. No result may
// depend on where the parts end.
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
