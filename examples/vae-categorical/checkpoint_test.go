package main

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/solver"
)

// savedRun is a checkpoint of 2 steps of a small model.
func savedRun() *checkpoint {
	c := &checkpoint{
		Settings:    settings{Hidden: [2]int{2, 1}, Batch: 3, Latents: 1, Classes: 2, Tau: jangTau, LR: 1e-3, Seed: math.MaxUint64},
		Images:      0xfeedface,
		Total:       10,
		Source:      []byte{1, 2, 3},
		Temperature: []byte(`{"step":2}`),
		History:     []record{{1, 500.5, 0.25, 0.1}, {1, 1.0 / 3, math.Nextafter(7, 8), 0.2}},
	}
	c.Adam = stepped(c.Settings.sizes(), 2)
	for i, n := range c.Settings.sizes() {
		w := make([]float32, n)
		for j := range w {
			w[j] = float32(i) + float32(j)/3
		}
		w[0] = float32(math.Copysign(0, -1))
		c.Weights = append(c.Weights, w)
	}
	return c
}

// weight is a tensor with its gradient, as a solver sees them.
type weight struct{ value, gradient *tensor.Dense }

func (w weight) Value() G.Value         { return w.value }
func (w weight) Grad() (G.Value, error) { return w.gradient, nil }

// stepped is an Adam after some steps of tensors of the given sizes, with tiny
// moments.
func stepped(sizes []int, steps int) *solver.Adam {
	a, err := solver.NewAdam()
	for range steps {
		var model []G.ValueGrad
		for _, n := range sizes {
			gradient := make([]float32, n)
			for j := range gradient {
				gradient[j] = -float32(j) * 1e-20
			}
			model = append(model, weight{
				tensor.New(tensor.WithShape(n), tensor.WithBacking(make([]float32, n))),
				tensor.New(tensor.WithShape(n), tensor.WithBacking(gradient)),
			})
		}
		err = errors.Join(err, a.Step(model))
	}
	if err != nil {
		panic(err)
	}
	return a
}

// fileOf returns the bytes of a checkpoint's file.
func fileOf(t testing.TB, c *checkpoint) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "checkpoint")
	if err := c.write(path); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func decode(file []byte) (*checkpoint, error) {
	return decodeCheckpoint(bytes.NewReader(file), int64(len(file)))
}

func TestCheckpointRoundTrip(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	want := savedRun()
	for range 2 { // the second time replaces a file
		if err := want.write(path); err != nil {
			t.Fatal(err)
		}
		got, err := readCheckpoint(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got.Weights[0][0] != 0 || !math.Signbit(float64(got.Weights[0][0])) {
			t.Errorf("-0 became %v", got.Weights[0][0])
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("temporary files are left: %v, %v", files, err)
	}
}

// changed returns a copy of file with some bytes replaced.
func changed(file []byte, at int, by ...byte) []byte {
	file = slices.Clone(file)
	copy(file[at:], by)
	return file
}

func TestCheckpointDamage(t *testing.T) {
	good := fileOf(t, savedRun())
	inconsistent := func(change func(*checkpoint)) []byte {
		c := savedRun()
		change(c)
		return fileOf(t, c)
	}
	var notGob bytes.Buffer
	if err := seal(&notGob, []byte("not a gob")); err != nil {
		t.Fatal(err)
	}
	head := binary.Size(checkpointHeader{})
	for _, tc := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "not a checkpoint of this program"},
		{"foreign", bytes.Repeat([]byte("\x89PNG\r\n"), 100), "not a checkpoint of this program"},
		{"short header", good[:head-1], "not a checkpoint of this program"},
		{"header only", good[:head], "damaged: it holds 0 of"},
		{"truncated", good[:len(good)-1], "damaged: it holds"},
		{"too long", append(slices.Clone(good), 0), "damaged: it holds"},
		{"older version", changed(good, 19, 1), "format version 1, want 2: an older version"},
		{"later version", changed(good, 19, 3), "format version 3, want 2: a newer version"},
		{"length of 2⁶³", changed(good, 20, 0x80), "damaged: its header claims"},
		{"payload bit", changed(good, len(good)-9, good[len(good)-9]^1), "damaged: the checksum differs"},
		{"checksum bit", changed(good, head-1, good[head-1]^1), "damaged: the checksum differs"},
		{"not a gob", notGob.Bytes(), "unreadable"},
		{"settings", inconsistent(func(c *checkpoint) { c.Settings.Classes = 1 }), "-classes 1"},
		{"huge layer", inconsistent(func(c *checkpoint) { c.Settings.Hidden[1] = math.MaxInt }), "hidden layers"},
		{"other model", inconsistent(func(c *checkpoint) { c.Settings.Latents = 2 }), "weights: tensor 4 has"},
		{"weights missing", inconsistent(func(c *checkpoint) { c.Weights = c.Weights[1:] }), "weights of 11 tensors, want 12"},
		{"moments missing", inconsistent(func(c *checkpoint) { c.Adam = stepped(c.Settings.sizes()[1:], 2) }), "moments of 11 tensors, want 12"},
		{"moments of another model", inconsistent(func(c *checkpoint) { c.Adam = stepped(slices.Repeat([]int{3}, 12), 2) }), "moments: tensor 0 has 3 elements, want 1568"},
		{"no moments", inconsistent(func(c *checkpoint) { c.Adam = stepped(nil, 0) }), "2 of 10 steps, but 0 by Adam"},
		{"no solver", inconsistent(func(c *checkpoint) { c.Adam = nil }), "no solver"},
		{"steps", inconsistent(func(c *checkpoint) { c.Adam = stepped(c.Settings.sizes(), 3) }), "2 of 10 steps, but 3 by Adam"},
		{"total", inconsistent(func(c *checkpoint) { c.Total = 1 }), "2 of 1 steps"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "checkpoint")
			if err := os.WriteFile(path, tc.file, 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := readCheckpoint(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q and the path in it", err, tc.want)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, tc.file) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// No byte of a small file can change without an error.
func TestCheckpointEveryByteMatters(t *testing.T) {
	good := fileOf(t, savedRun())
	for i := 0; i < len(good); i += 7 {
		if _, err := decode(changed(good, i, good[i]^0x10)); err == nil {
			t.Fatalf("byte %d of %d was changed without an error", i, len(good))
		}
	}
}

// A full disk, or a folder that cannot be written, must not destroy the existing
// checkpoint.
func TestFailedWriteKeepsTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	if err := savedRun().write(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".tmp", 0o777); err != nil { // blocks the temporary file, even for root
		t.Fatal(err)
	}
	c := savedRun()
	c.Total = 99
	if err := c.write(path); err == nil {
		t.Fatal("no error")
	}
	if got, err := readCheckpoint(path); err != nil || got.Total != 10 {
		t.Errorf("the old file is lost: %v", err)
	}
}

func FuzzCheckpoint(f *testing.F) {
	good := fileOf(f, savedRun())
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(good[binary.Size(checkpointHeader{}):])
	f.Add([]byte{})
	var big bytes.Buffer
	if err := gob.NewEncoder(&big).Encode(struct{ History []record }{make([]record, 1000)}); err != nil {
		f.Fatal(err)
	}
	f.Add(big.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		// As it is, and as a payload with a valid header, which gets further.
		var sealed bytes.Buffer
		if err := seal(&sealed, file); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, b := range [][]byte{file, sealed.Bytes()} {
			if c, err := decode(b); err == nil && c.check() != nil {
				t.Error("accepted an inconsistent checkpoint")
			}
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20+100*uint64(len(file)) {
			t.Errorf("%d bytes of file took %d bytes of memory", len(file), used)
		}
	})
}
