//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

var level = detect()

func detect() int {
	switch x := cpu.X86; {
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasFMA:
		return levelAVX512
	case x.HasAVX2 && x.HasFMA:
		return levelAVX2
	}
	return levelGo
}

// addLanes returns the sum of the lanes' sums.
func addLanes(sums *[16]float64) (total float64) {
	for _, s := range sums {
		total += s
	}
	return total
}
