//go:build purego || !amd64

package kernel

const levelGo = 0

// level is that of plain Go, the only one here.
var level = levelGo

func fillGroupsSIMD[T Float](_ []T, _ Stream, _ *[20]uint32, _ uint64, _ prefetch[T]) bool {
	return false
}

func sampleRowsSIMD[T Float](_, _, _, _ []T, _ int, _ float64) (int, bool) { return 0, false }

func gradRowsSIMD[T Float](_, _, _ []T, _ int, _ float64) bool { return false }

func gradTauRowSIMD[T Float](_, _, _, _ []T, _ peak[T], _ float64) (float64, bool) { return 0, false }

func bceRowsSIMD[T Float](_, _, _, _ []T) bool { return false }

func gradBCERowsSIMD[T Float](_, _, _, _ []T) bool { return false }

type klBuffers[T Float] struct{}

func (*klBuffers[T]) kl(_, _ []T) (float64, bool) { return 0, false }

func (*klBuffers[T]) gradQ(_, _, _ []T, _ float64) bool { return false }

func (*klBuffers[T]) gradP(_, _, _ []T, _ float64) bool { return false }
