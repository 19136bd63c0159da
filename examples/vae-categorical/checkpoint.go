package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gumbel-go/gumbel/solver"
)

// checkpoint is all that a run needs to continue as if it had not stopped.
type checkpoint struct {
	Settings    settings
	Images      uint32 // checksum of the dataset
	Total       int    // steps to train for
	Weights     [][]float32
	Adam        *solver.Adam
	Source      []byte
	Temperature []byte
	History     []record // one record per step taken
}

// A checkpoint file is this header, in big-endian order, and a gob of the
// checkpoint.
type checkpointHeader struct {
	Magic   [16]byte
	Version uint32
	Length  uint64 // of the gob, in bytes
	SHA256  [sha256.Size]byte
}

const (
	checkpointVersion = 2
	maxCheckpoint     = 1 << 30 // bytes
)

var checkpointMagic = [16]byte([]byte("gumbel vae ckpt\n"))

var errForeign = errors.New("not a checkpoint of this program")

// write writes the checkpoint to path and replaces an older one.
func (c *checkpoint) write(path string) error {
	return replaceFile(path, c.encode)
}

// encode writes what decodeCheckpoint reads.
func (c *checkpoint) encode(w io.Writer) error {
	var payload bytes.Buffer
	if err := gob.NewEncoder(&payload).Encode(c); err != nil {
		return err
	}
	return seal(w, payload.Bytes())
}

// seal writes a header and the payload.
func seal(w io.Writer, payload []byte) error {
	h := checkpointHeader{checkpointMagic, checkpointVersion, uint64(len(payload)), sha256.Sum256(payload)}
	if err := binary.Write(w, binary.BigEndian, h); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// readCheckpoint reads and validates the file at path. It never changes the file.
func readCheckpoint(path string) (*checkpoint, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	c, err := decodeCheckpoint(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// decodeCheckpoint reads a file of the given size. The memory that it allocates
// is limited by that size, even for a damaged file.
func decodeCheckpoint(r io.Reader, size int64) (*checkpoint, error) {
	var h checkpointHeader
	if err := binary.Read(r, binary.BigEndian, &h); err != nil {
		return nil, errForeign
	}
	got := size - int64(binary.Size(h))
	switch {
	case h.Magic != checkpointMagic:
		return nil, errForeign
	case h.Version < checkpointVersion:
		return nil, fmt.Errorf("format version %d, want %d: an older version of this program wrote it", h.Version, checkpointVersion)
	case h.Version > checkpointVersion:
		return nil, fmt.Errorf("format version %d, want %d: a newer version of this program wrote it", h.Version, checkpointVersion)
	case h.Length > maxCheckpoint:
		return nil, fmt.Errorf("damaged: its header claims %d bytes", h.Length)
	case got != int64(h.Length):
		return nil, fmt.Errorf("damaged: it holds %d of %d bytes", got, h.Length)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, err
	}
	if sha256.Sum256(payload) != h.SHA256 {
		return nil, errors.New("damaged: the checksum differs")
	}
	c := &checkpoint{}
	if err := gob.NewDecoder(bytes.NewReader(payload)).Decode(c); err != nil {
		return nil, fmt.Errorf("unreadable: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("inconsistent: %w", err)
	}
	return c, nil
}

// check validates the checkpoint before anything is built from it.
func (c *checkpoint) check() error {
	if err := c.Settings.check(); err != nil {
		return err
	}
	for _, h := range c.Settings.Hidden {
		if h < 1 || h > maxCode {
			return fmt.Errorf("hidden layers of %v units, want 1 to %d", c.Settings.Hidden, maxCode)
		}
	}
	if c.Adam == nil {
		return errors.New("no solver")
	}
	if steps := len(c.History); c.Adam.Steps() != steps || c.Total < steps {
		return fmt.Errorf("%d of %d steps, but %d by Adam", steps, c.Total, c.Adam.Steps())
	}
	var weights, moments []int
	for _, w := range c.Weights {
		weights = append(weights, len(w))
	}
	for _, shape := range c.Adam.Shapes() {
		moments = append(moments, shape.TotalSize())
	}
	want := c.Settings.sizes()
	if err := checkSizes("weights", weights, want); err != nil || len(c.History) == 0 {
		return err
	}
	return checkSizes("Adam's moments", moments, want)
}

// checkSizes compares the numbers of elements of tensors.
func checkSizes(name string, sizes, want []int) error {
	if len(sizes) != len(want) {
		return fmt.Errorf("%s of %d tensors, want %d", name, len(sizes), len(want))
	}
	for i, n := range sizes {
		if n != want[i] {
			return fmt.Errorf("%s: tensor %d has %d elements, want %d", name, i, n, want[i])
		}
	}
	return nil
}
