package main

import (
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

// createMetrics replaces the file by one with the header and the history so far, and
// opens it for later records. These are not buffered, so that none is lost if the
// program is killed.
func createMetrics(path string, history []record) (io.WriteCloser, error) {
	err := replaceFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, metricsHeader)
		for i, r := range history {
			if err == nil {
				err = writeRecord(w, i+1, r)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
}

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
