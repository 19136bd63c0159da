package kernel
import "testing"
func BenchmarkParts(b *testing.B) {
	const n = 1000
	l, g, d := normals[float32](n*4, 1, 1), make([]float32, n*4), make([]float32, n*4)
	fillNoise(g, Stream{}, 0)
	for _, off := range []int{0, 1000} {
	x, y, z := l[off:off+n], g[off:off+n], d[off:off+n]
	at := scalars[float32]{top: 10, hi: 1.5}.array()
	run := func(name string, f func()) { b.Run(name, func(b *testing.B) { for b.Loop() { f() }; b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element") }) }
	run("peak", func() { peakSIMD(x, y) })
	run("exps", func() { expsSIMD(z, x, y, at) })
	run("times", func() { timesSIMD(z, 1.0000001) })
	run("dot", func() { dotSIMD(z, x) })
	run("grad", func() { gradSIMD(z, x, y, at) })
	run("noise", func() { fillNoise(g[:960], Stream{}, 0) })
	}
}
