package kernel

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// Every unit is in exactly one part, also if several goroutines split work at once.
func TestSplit(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for n := range 300 {
				count := make([]int, n)
				split(n, 1, minWork, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						count[i]++
					}
				})
				for i, c := range count {
					if c != 1 {
						t.Errorf("unit %d of %d is in %d parts", i, n, c)
					}
				}
			}
		})
	}
	wg.Wait()
	for began := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d goroutines are left, want %d", runtime.NumGoroutine(), before)
		}
	}
	if lastJob.Load() != nil {
		t.Error("the last job is still referenced")
	}
}

// Work that is worth less than two goroutines runs on the caller's.
func TestSplitSmall(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	calls := 0
	split(minWork/4, 2, 1, func(lo, hi int) {
		if calls++; lo != 0 || hi != minWork/4 {
			t.Errorf("the part is %d to %d", lo, hi)
		}
	})
	if calls != 1 {
		t.Errorf("there are %d parts", calls)
	}
}
