package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// job is a case to measure: runs of a graph that draws float32 soft samples.
type job struct {
	Elements, Classes, Threads int
	Backward                   bool // forward and backward, not forward alone
	Time                       time.Duration
}

// result is what a run of a job's graph takes.
type result struct {
	Time      time.Duration // the median
	Allocated int           // bytes
	Peak      int           // resident bytes of the whole process
}

// spawn measures the job in a new process, because what another job has left
// behind would count as its memory, and GOMAXPROCS is best set from the start.
func (j job) spawn() (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, "-job", string(text))
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", j.Threads))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("measuring %s: %w", text, err)
	}
	return r, json.Unmarshal(out, &r)
}

func (j job) measure() (r result, err error) {
	const warmUp, least, counted = 2, 5, 3
	m, err := j.machine()
	if err != nil {
		return r, err
	}
	defer m.Close()
	step := func() error {
		defer m.Reset()
		return m.RunAll()
	}
	for range warmUp {
		if err := step(); err != nil {
			return r, err
		}
	}
	var times []time.Duration
	for begin := time.Now(); len(times) < least || time.Since(begin) < j.Time; {
		start := time.Now()
		if err := step(); err != nil {
			return r, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	r.Time = times[len(times)/2]

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range counted {
		if err := step(); err != nil {
			return r, err
		}
	}
	runtime.ReadMemStats(&after)
	r.Allocated = int(after.TotalAlloc-before.TotalAlloc) / counted
	r.Peak, err = peak()
	return r, err
}

// machine builds the job's graph.
func (j job) machine() (G.VM, error) {
	if j.Classes < 1 || j.Elements < j.Classes || j.Elements%j.Classes != 0 {
		return nil, fmt.Errorf("%d elements of %d classes: give whole distributions", j.Elements, j.Classes)
	}
	g := G.NewGraph()
	logits := j.normals(g, "logits")
	tau := G.NewScalar(g, tensor.Float32, G.WithName("tau"), G.WithValue(float32(0.7)))
	y, err := ops.GumbelSoftmax(logits, tau, ops.WithSource(ops.NewSource(1)))
	if err != nil {
		return nil, err
	}
	if j.Backward {
		upstream := j.normals(g, "upstream")
		if _, err := G.Backpropagate(G.Nodes{y}, G.Nodes{upstream}, G.Nodes{logits}); err != nil {
			return nil, err
		}
	}
	return G.NewTapeMachine(g), nil
}

// normals is an input of the job's shape.
func (j job) normals(g *G.ExprGraph, name string) *G.Node {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, j.Elements)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	shape := tensor.Shape{j.Elements / j.Classes, j.Classes}
	value := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
	return G.NewMatrix(g, tensor.Float32, G.WithShape(shape...), G.WithName(name), G.WithValue(value))
}

var highWater = regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB$`)

// peak is the most memory, in bytes, that this process has had resident.
func peak() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("peak memory is known on Linux alone: %w", err)
	}
	found := highWater.FindSubmatch(status)
	if found == nil {
		return 0, errors.New("/proc/self/status has no VmHWM")
	}
	kB, err := strconv.Atoi(string(found[1]))
	return 1024 * kB, err
}
