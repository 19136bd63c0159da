// Package cu stands in for gorgonia.org/cu, so that Gorgonia's CUDA tape
// machine runs on a machine without a GPU. It has the part of the real package
// that Gorgonia and this project call, with the same signatures and the same
// errors. Kernels run on the CPU: a host compiler compiles them with the header in
// ../emulator.
//
// The script `go` beside this file runs the go command with the stand-in:
//
//	internal/cuda/tool/standin/go test ./...
package cu

import "fmt"

// cuResult is an error of the driver.
type cuResult int

// The errors that the stand-in returns.
const (
	Success            cuResult = 0
	InvalidValue       cuResult = 1
	OutOfMemory        cuResult = 2
	InvalidDevice      cuResult = 101
	InvalidContext     cuResult = 201
	InvalidPtx         cuResult = 218
	InvalidHandle      cuResult = 400
	NotFound           cuResult = 500
	IllegalAddress     cuResult = 700
	LaunchTimeout      cuResult = 702
	ContextIsDestroyed cuResult = 709
	LaunchFailed       cuResult = 719
)

var resString = map[cuResult]string{
	Success:            "Success",
	InvalidValue:       "InvalidValue",
	OutOfMemory:        "OutOfMemory",
	InvalidDevice:      "InvalidDevice",
	InvalidContext:     "InvalidContext",
	InvalidPtx:         "InvalidPtx",
	InvalidHandle:      "InvalidHandle",
	NotFound:           "NotFound",
	IllegalAddress:     "IllegalAddress",
	LaunchTimeout:      "LaunchTimeout",
	ContextIsDestroyed: "ContextIsDestroyed",
	LaunchFailed:       "LaunchFailed",
}

func (err cuResult) Error() string { return err.String() }

func (err cuResult) String() string {
	if name, ok := resString[err]; ok {
		return name
	}
	return fmt.Sprintf("UnknownErrorCode:%d", int(err))
}

func result(err cuResult) error {
	if err == Success {
		return nil
	}
	return err
}

// Version returns the version of the CUDA driver.
func Version() int { return 11080 }
