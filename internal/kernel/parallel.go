package kernel

import (
	"runtime"
	"sync/atomic"
	"time"
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

const (
	// minWork is the least time, in nanoseconds, that is worth a goroutine.
	minWork = 15_000

	// patience is how long a helper waits for the next job. Waking an idle core takes 30
	// to 70 µs, as long as many kernels. A training step of the example, on two cores,
	// takes 4.9 ms with helpers of this patience, 5.7 with one of 50 µs, and 6.1 with new
	// goroutines for each kernel.
	patience = 200 * time.Microsecond

	// partsPerGoroutine is how many parts there are per goroutine. A helper that comes
	// late then leaves most of the parts to the others.
	partsPerGoroutine = 4
)

// split calls f with consecutive parts of [0, n), on as many goroutines as the work is
// worth. The work is n units of size elements at cost nanoseconds each. No result may
// depend on where the parts end.
func split(n, size, cost int, f func(lo, hi int)) { splitInto(partsPerGoroutine, n, size, cost, f) }

// splitInto is split with another number of parts per goroutine.
func splitInto(parts, n, size, cost int, f func(lo, hi int)) {
	goroutines := min(runtime.GOMAXPROCS(0), n, n*size*cost/minWork)
	if goroutines <= 1 {
		f(0, n)
		return
	}
	j := &job{f: f, n: n, parts: int32(min(n, parts*goroutines)), finished: make(chan struct{})}
	j.wanted.Store(int32(goroutines - 1))
	lastJob.Store(j)
	for range goroutines - 1 - int(waiting.Load()) {
		go help(j)
	}
	j.work()
	if !spin(j.isFinished) {
		<-j.finished
	}
	lastJob.CompareAndSwap(j, nil)
}

// A job is work on [0, n). Goroutines take its parts one after another.
type job struct {
	f        func(lo, hi int)
	n        int
	parts    int32
	taken    atomic.Int32
	done     atomic.Int32
	wanted   atomic.Int32 // how many more helpers may join
	finished chan struct{}
}

// work takes parts until there are none left.
func (j *job) work() {
	for {
		part := j.taken.Add(1)
		if part > j.parts {
			return
		}
		j.f(int(part-1)*j.n/int(j.parts), int(part)*j.n/int(j.parts))
		if j.done.Add(1) == j.parts {
			close(j.finished)
		}
	}
}

func (j *job) isFinished() bool { return j.done.Load() == j.parts }

var (
	lastJob atomic.Pointer[job] // nil after it is finished
	waiting atomic.Int32        // the number of helpers that wait for a job
)

// help works on a job, and on others as long as one comes before it loses patience.
func help(j *job) {
	for {
		if j.wanted.Add(-1) >= 0 {
			j.work()
		}
		waiting.Add(1)
		came := spin(func() bool {
			j = lastJob.Load()
			return j != nil && j.wanted.Load() > 0
		})
		waiting.Add(-1)
		if !came {
			return
		}
	}
}

// spin reports whether a condition comes true soon. Other goroutines may run meanwhile.
func spin(condition func() bool) bool {
	const tries = 200 // a fraction of a microsecond
	for began := time.Now(); time.Since(began) < patience; runtime.Gosched() {
		for range tries {
			if condition() {
				return true
			}
		}
	}
	return false
}
