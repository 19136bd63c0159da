package solver

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// The state is, in little-endian order:
//
//	adamMagic, whose last byte is the version
//	flags: 1 byte
//	rate, beta1, beta2, epsilon: a float64 each
//	steps, number of tensors: a uint64 each
//	per tensor: bytes per element and rank, a byte each; the shape, a uint64 per
//	axis; the mean, the square
//	CRC-32C of all that: 4 bytes
const adamMagic = "gumbel.Adam\x01"

const (
	flagSchedule = 1 << iota
	flagChecks
	allFlags = flagSchedule | flagChecks

	headerSize  = len(adamMagic) + 1 + 4*8 + 2*8
	leastTensor = 2 + 8 // bytes
	crcSize     = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MarshalBinary returns the state of the solver.
func (a Adam) MarshalBinary() ([]byte, error) {
	if a.s == nil {
		return nil, fmt.Errorf("solver: Adam.MarshalBinary: %w", errUnmade)
	}
	return a.s.append(make([]byte, 0, a.s.size())), nil
}

// UnmarshalBinary sets the solver to a state that MarshalBinary returned. All
// parameters come from that state; a schedule remains that of the receiver. The
// receiver may be the zero Adam. After an error it is unchanged.
func (a *Adam) UnmarshalBinary(data []byte) error {
	s, err := parse(data)
	if err != nil {
		return fmt.Errorf("solver: Adam.UnmarshalBinary: %w", err)
	}
	if a.s == nil {
		a.s = &state{}
	}
	if s.schedule = a.s.schedule; s.schedule != nil {
		s.needsSchedule = false
	}
	*a.s = *s
	return nil
}

// MarshalJSON returns the state of the solver as a string: MarshalBinary's, in
// base64.
func (a Adam) MarshalJSON() ([]byte, error) {
	data, err := a.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return json.Marshal(data)
}

// UnmarshalJSON is UnmarshalBinary for a state that MarshalJSON returned. A null
// is an error.
func (a *Adam) UnmarshalJSON(text []byte) error {
	var data []byte
	if err := json.Unmarshal(text, &data); err != nil {
		return fmt.Errorf("solver: Adam.UnmarshalJSON: %w", err)
	}
	return a.UnmarshalBinary(data)
}

// size is the number of bytes of the state.
func (s *state) size() int {
	n := headerSize + crcSize
	for _, t := range s.tensors {
		n += 2 + 8*len(t.shape) + 2*layout.Size(t.shape)*int(t.dtype.Size())
	}
	return n
}

func (s *state) append(data []byte) []byte {
	var flags byte
	if s.schedule != nil || s.needsSchedule {
		flags |= flagSchedule
	}
	if s.checks {
		flags |= flagChecks
	}
	data = append(data, adamMagic...)
	data = append(data, flags)
	data = appendFloats(data, []float64{s.rate, s.beta1, s.beta2, s.epsilon})
	data = binary.LittleEndian.AppendUint64(data, uint64(s.steps))
	data = binary.LittleEndian.AppendUint64(data, uint64(len(s.tensors)))
	for _, t := range s.tensors {
		data = append(data, byte(t.dtype.Size()), byte(len(t.shape)))
		for _, n := range t.shape {
			data = binary.LittleEndian.AppendUint64(data, uint64(n))
		}
		data = appendFloats(appendFloats(data, t.single.mean), t.single.square)
		data = appendFloats(appendFloats(data, t.double.mean), t.double.square)
	}
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

func appendFloats[T kernel.Float](data []byte, x []T) []byte {
	switch x := any(x).(type) {
	case []float32:
		for _, v := range x {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
	case []float64:
		for _, v := range x {
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
		}
	}
	return data
}

// parse reads a state. It allocates no more than the data hold.
func parse(data []byte) (*state, error) {
	r := reader{data}
	if len(data) < headerSize+crcSize || string(r.take(len(adamMagic)-1)) != adamMagic[:len(adamMagic)-1] {
		return nil, fmt.Errorf("these %d bytes are not the state of an Adam", len(data))
	}
	if got, want := r.take(1)[0], adamMagic[len(adamMagic)-1]; got != want {
		return nil, fmt.Errorf("the state has version %d, want %d", got, want)
	}
	end := len(data) - crcSize
	if crc32.Checksum(data[:end], castagnoli) != binary.LittleEndian.Uint32(data[end:]) {
		return nil, errors.New("the state is damaged: its checksum differs")
	}
	r.data = r.data[:len(r.data)-crcSize]
	s := &state{}
	if err := s.parse(&r); err != nil {
		return nil, fmt.Errorf("the state is damaged: %w", err)
	}
	return s, nil
}

func (s *state) parse(r *reader) error {
	flags := r.take(1)[0]
	if flags&^allFlags != 0 {
		return fmt.Errorf("flags are %#x", flags)
	}
	s.needsSchedule, s.checks = flags&flagSchedule != 0, flags&flagChecks != 0
	for _, p := range []*float64{&s.rate, &s.beta1, &s.beta2, &s.epsilon} {
		*p = math.Float64frombits(r.uint64())
	}
	if err := errors.Join(checkRate(s.rate), checkBetas(s.beta1, s.beta2), checkEpsilon(s.epsilon)); err != nil {
		return err
	}
	steps, count := r.uint64(), r.uint64()
	if steps > math.MaxInt || (steps == 0) != (count == 0) {
		return fmt.Errorf("%d steps of %d tensors", steps, count)
	}
	s.steps = int(steps)
	s.tensors = make([]moments, 0, min(count, uint64(len(r.data)/leastTensor)))
	for i := range count { // ends with the data, if count is too large
		m, err := r.moments()
		if err != nil {
			return fmt.Errorf("tensor %d: %w", i, err)
		}
		s.tensors = append(s.tensors, m)
	}
	if count == 0 {
		s.tensors = nil // no step has shown the model
	}
	if n := len(r.data); n > 0 {
		return fmt.Errorf("%d bytes are left over", n)
	}
	return nil
}

// reader takes the data apart from the front.
type reader struct{ data []byte }

func (r *reader) take(n int) []byte {
	head := r.data[:n]
	r.data = r.data[n:]
	return head
}

func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

var errShort = errors.New("the data end early")

func (r *reader) moments() (moments, error) {
	if len(r.data) < 2 {
		return moments{}, errShort
	}
	width, rank := int(r.take(1)[0]), int(r.take(1)[0])
	if width != 4 && width != 8 {
		return moments{}, fmt.Errorf("%d bytes per element, want 4 or 8", width)
	}
	if len(r.data) < 8*rank {
		return moments{}, errShort
	}
	shape, size := make(tensor.Shape, rank), 1.0 // a float64 does not overflow
	for axis := range shape {
		n := r.uint64()
		if n > math.MaxInt32 {
			return moments{}, fmt.Errorf("axis %d has %d elements", axis, n)
		}
		shape[axis] = int(n)
		size *= float64(n)
	}
	if float64(len(r.data)) < 2*size*float64(width) {
		return moments{}, errShort
	}
	dtype := tensor.Float32
	if width == 8 {
		dtype = tensor.Float64
	}
	m, err := zeroMoments(shape, dtype)
	if err != nil {
		return m, err
	}
	return m, errors.Join(fill(r, m.single), fill(r, m.double))
}

// fill reads the elements of a tensor.
func fill[T kernel.Float](r *reader, b buffers[T]) error {
	readFloats(r, b.mean)
	readFloats(r, b.square)
	for i, v := range b.square {
		if v < 0 {
			return fmt.Errorf("element %d of the mean square is %v, want at least 0", i, v)
		}
	}
	return nil
}

func readFloats[T kernel.Float](r *reader, x []T) {
	switch x := any(x).(type) {
	case []float32:
		raw := r.take(4 * len(x))
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case []float64:
		raw := r.take(8 * len(x))
		for i := range x {
			x[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	}
}
