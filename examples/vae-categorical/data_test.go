package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// idx returns the bytes of an IDX file, not gzipped, with the given header and n
// images.
func idx(t *testing.T, head [4]uint32, n int) []byte {
	t.Helper()
	raw, err := binary.Append(nil, binary.BigEndian, head)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n * pixels {
		raw = append(raw, byte(i%251))
	}
	return raw
}

func gzipped(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLoadImages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "images.gz")
	raw := idx(t, [4]uint32{0x803, 3, 28, 28}, 3)
	if err := os.WriteFile(path, gzipped(t, raw), 0o666); err != nil {
		t.Fatal(err)
	}
	im, err := loadImages(path, 3)
	if err != nil {
		t.Fatal(err)
	}
	if im.n != 3 || !slices.Equal(im.pixels, raw[16:]) {
		t.Errorf("%d images, whose pixels differ from those written", im.n)
	}
	if !slices.Equal(im.image(2), raw[16+2*pixels:]) {
		t.Error("image 2 is not the third")
	}
}

func TestLoadImagesErrors(t *testing.T) {
	good := gzipped(t, idx(t, [4]uint32{0x803, 3, 28, 28}, 3))
	flipped := slices.Clone(good)
	flipped[len(flipped)-8] ^= 1 // in gzip's checksum
	for _, tc := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "EOF"},
		{"not gzip", []byte("<html>404</html>"), "gzip"},
		{"short header", gzipped(t, []byte{0, 0, 8, 3, 0}), "header"},
		{"labels", gzipped(t, idx(t, [4]uint32{0x801, 3, 28, 28}, 3)), "magic number 0x801"},
		{"count", gzipped(t, idx(t, [4]uint32{0x803, 2, 28, 28}, 2)), "2 images of 28×28 pixels, want 3 of 28×28"},
		{"negative count", gzipped(t, idx(t, [4]uint32{0x803, 1 << 31, 28, 28}, 3)), "2147483648 images"},
		{"huge images", gzipped(t, idx(t, [4]uint32{0x803, 3, 1 << 16, 1 << 16}, 3)), "of 65536×65536 pixels"},
		{"negative size", gzipped(t, idx(t, [4]uint32{0x803, 3, math.MaxUint32, 28}, 3)), "of 4294967295×28 pixels"},
		{"too few pixels", gzipped(t, idx(t, [4]uint32{0x803, 3, 28, 28}, 2)), "1568 pixels, want 2352"},
		{"too many pixels", gzipped(t, idx(t, [4]uint32{0x803, 3, 28, 28}, 4)), "more than 2352 pixels"},
		{"truncated", good[:len(good)/2], "unexpected EOF"},
		{"damaged", flipped, "checksum"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "images.gz")
			if err := os.WriteFile(path, tc.file, 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := loadImages(path, 3)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range []string{path, tc.want, "-data DIR"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not contain %q", err, part)
				}
			}
		})
	}
}

func TestLoadMNISTWithoutFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := loadMNIST(dir)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, trainFile)) || !strings.Contains(err.Error(), "-data DIR") {
		t.Errorf("error %v names neither the file nor the flag", err)
	}
}

// An error says that a file may not be read, and which.
func TestUnreadableData(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "mnist/" + trainFile, Err: syscall.EACCES}
	if got, want := dataError(denied.Path, denied).Error(), "open mnist/"+trainFile+": permission denied: make the file readable"; !strings.HasPrefix(got, want) {
		t.Errorf("error %q, want %q", got, want)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, trainFile), nil, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(filepath.Join(dir, trainFile)); err == nil {
		f.Close()
		t.Skip("this user may read all files")
	}
	if _, err := loadMNIST(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, trainFile)+": permission denied") {
		t.Errorf("error %v", err)
	}
}

// The module contains the files, so that no download is needed.
func TestLoadMNISTFromModule(t *testing.T) {
	d, err := loadMNIST("")
	if err != nil {
		t.Fatal(err)
	}
	if d.train.n != trainImages || d.test.n != testImages {
		t.Errorf("%d and %d images", d.train.n, d.test.n)
	}
	// Mean pixels of MNIST as published: 0.1306604 and 0.1325148.
	for _, set := range []struct {
		im   *images
		want float64
	}{{d.train, 0.1306604}, {d.test, 0.1325148}} {
		var total float64
		for _, p := range set.im.pixels {
			total += float64(p)
		}
		if mean := total / 255 / float64(len(set.im.pixels)); math.Abs(mean-set.want) > 5e-7 {
			t.Errorf("mean pixel %.7f, want %.7f", mean, set.want)
		}
	}
}

func TestBinarize(t *testing.T) {
	make255 := func() *dataset {
		d := &dataset{train: numbered(1), test: &images{n: 20, pixels: make([]byte, 20*pixels)}}
		copy(d.train.pixels, []byte{0, 255})
		for i := range d.test.pixels {
			d.test.pixels[i] = 51 // 0.2
		}
		return d
	}
	d, again, other := make255(), make255(), make255()
	d.binarize(3)
	again.binarize(3)
	other.binarize(4)
	if d.train.pixels[0] != 0 || d.train.pixels[1] != 255 {
		t.Errorf("black and white became %v", d.train.pixels[:2])
	}
	white := 0
	for _, p := range d.test.pixels {
		if p != 0 && p != 255 {
			t.Fatalf("pixel %d", p)
		}
		white += int(p) / 255
	}
	n := float64(len(d.test.pixels))
	if z := (float64(white) - 0.2*n) / math.Sqrt(n*0.2*0.8); math.Abs(z) > 4 {
		t.Errorf("%d of %v pixels of 0.2 are white, %.1f standard deviations off", white, n, z)
	}
	if d.checksum() != again.checksum() {
		t.Error("equal seeds made different datasets")
	}
	if d.checksum() == other.checksum() {
		t.Error("different seeds made equal datasets")
	}
}
