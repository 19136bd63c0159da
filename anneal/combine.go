package anneal

import (
	"fmt"
	"slices"
)

// Every returns a staircase: the schedule's value at the last multiple of n,
//
//	s.Every(n)(t) = s(t − t mod n)
//
// With n ≤ 1 it returns s itself. Every of a nil schedule is nil.
func (s Schedule) Every(n int) Schedule {
	if s == nil || n <= 1 {
		return s
	}
	return func(step int) float64 { return s(step - step%n) }
}

// AtLeast returns the schedule with a floor:
//
//	s.AtLeast(v)(t) = max(s(t), v)
//
// NaN stays NaN. AtLeast of a nil schedule is nil.
func (s Schedule) AtLeast(v float64) Schedule {
	if s == nil {
		return nil
	}
	return func(step int) float64 { return max(s(step), v) }
}

// Join returns a schedule that follows several schedules in turn. The first runs
// up to step boundaries[0]; schedule i+1 starts at boundaries[i] and is given the
// number of steps since then:
//
//	s(t) = schedules[0](t)                       for t < boundaries[0]
//	s(t) = schedules[i+1](t − boundaries[i])     for boundaries[i] ≤ t < boundaries[i+1]
//
// There must be one schedule more than boundaries, the boundaries must be above 0
// and increase, and no schedule may be nil.
// Source: join_schedules of optax.
func Join(boundaries []int, schedules ...Schedule) (Schedule, error) {
	if len(schedules) != len(boundaries)+1 {
		return nil, fmt.Errorf("anneal: Join: %d schedules for %d boundaries, want one schedule more than boundaries",
			len(schedules), len(boundaries))
	}
	last := 0
	for i, b := range boundaries {
		if b <= last {
			return nil, fmt.Errorf("anneal: Join: boundaries[%d] is %d, want a step above %d", i, b, last)
		}
		last = b
	}
	for i, s := range schedules {
		if s == nil {
			return nil, fmt.Errorf("anneal: Join: schedules[%d] is nil", i)
		}
	}

	// Copies, because the caller's slices may change later.
	boundaries, schedules = slices.Clone(boundaries), slices.Clone(schedules)
	return func(step int) float64 {
		i, found := slices.BinarySearch(boundaries, step)
		if found {
			i++
		}
		if i > 0 {
			step -= boundaries[i-1]
		}
		return schedules[i](step)
	}, nil
}
