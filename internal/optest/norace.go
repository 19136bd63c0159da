//go:build !race

package optest

// raceDetector says that the race detector is on, which empties pools at random.
const raceDetector = false
