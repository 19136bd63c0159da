package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
)

// record holds the measurements of one training step. Steps are numbered by their
// position in the history, counted from 1.
type record struct {
	Tau            float64
	Reconstruction float64 // nats per image
	KL             float64 // nats per image
	Seconds        float64 // training time up to the end of the step
}

// nelbo returns the negative evidence lower bound, in nats per image.
func (r record) nelbo() float64 { return r.Reconstruction + r.KL }

const metricsHeader = "step,tau,train_nelbo,reconstruction,kl,seconds\n"

func writeRecord(w io.Writer, step int, r record) error {
	number := func(v float64, bits int) string { return strconv.FormatFloat(v, 'f', -1, bits) }
	_, err := fmt.Fprintf(w, "%d,%s,%s,%s,%s,%.3f\n", step, number(r.Tau, 64),
		number(r.nelbo(), 32), number(r.Reconstruction, 32), number(r.KL, 32), r.Seconds)
	return err
}

// metricsFile is an open metrics.csv.
type metricsFile struct {
	file   *os.File
	buffer *bufio.Writer
}

// createMetrics replaces the file by one with the header and the history so far, and
// opens it for later records. A device or a named pipe is not replaced; what is
// written to it first comes with the first record.
func createMetrics(path string, history []record) (*metricsFile, error) {
	start := func(w io.Writer) error {
		_, err := io.WriteString(w, metricsHeader)
		for i, r := range history {
			if err == nil {
				err = writeRecord(w, i+1, r)
			}
		}
		return err
	}
	special := isSpecial(path)
	if !special {
		if err := replaceFile(path, start); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	m := &metricsFile{f, bufio.NewWriter(f)}
	if special {
		_ = start(m.buffer) // the buffer keeps an error until add
	}
	return m, nil
}

// add writes a record at once, so that none is lost if the program is killed.
func (m *metricsFile) add(step int, r record) error {
	if err := writeRecord(m.buffer, step, r); err != nil {
		return err
	}
	return m.buffer.Flush()
}

func (m *metricsFile) close() error { return m.file.Close() }

// recent returns the mean of the last n records.
func recent(history []record, n int) record {
	history = history[max(0, len(history)-n):]
	var mean record
	for _, r := range history {
		mean.Reconstruction += r.Reconstruction / float64(len(history))
		mean.KL += r.KL / float64(len(history))
	}
	if len(history) > 0 {
		last := history[len(history)-1]
		mean.Tau, mean.Seconds = last.Tau, last.Seconds
	}
	return mean
}
