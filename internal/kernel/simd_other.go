//go:build purego || !amd64

package kernel

const levelGo = 0

// level is that of plain Go, the only one here.
var level = levelGo

func fillGroupsSIMD[T Float](_ []T, _ Stream, _ *[20]uint32, _ uint64) bool { return false }

func sampleRowsSIMD[T Float](_, _, _, _ []T, _ int, _ float64) (int, bool) { return 0, false }

func gradRowsSIMD[T Float](_, _, _ []T, _ int, _ float64) bool { return false }

func gradTauRowSIMD[T Float](_, _, _, _ []T, _ peak[T], _ float64) (float64, bool) { return 0, false }

func bceSIMD[T Float](_, _, _, _ []T) bool { return false }

func gradBCESIMD[T Float](_, _, _, _ []T) bool { return false }

type klBuffers struct{}

func klSIMD[T Float](_ *klWork, _, _ []T) (float64, bool) { return 0, false }

func gradKLQSIMD[T Float](_ *klWork, _, _, _ []T, _ float64) bool { return false }

func gradKLPSIMD[T Float](_ *klWork, _, _, _ []T, _ float64) bool { return false }
