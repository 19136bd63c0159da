package vm

// A DeviceError is a failure of the CUDA device or its driver, in contrast to a
// fault of the graph or its inputs. Only programs built with the tag cuda get
// one; errors.As finds it in the errors of New, RunAll and Close.
//
// After a DeviceError of RunAll the machine is of no more use: close it and
// open another. The rest of the program is not affected.
type DeviceError struct {
	Problem string // what failed, and what to do about it
	Err     error  // what the driver or Gorgonia reported
}

func (e *DeviceError) Error() string { return e.Problem + ": " + e.Err.Error() }

func (e *DeviceError) Unwrap() error { return e.Err }

// causedBy is an error of Gorgonia's that also unwraps to its cause, which
// Gorgonia's own types do not.
type causedBy struct {
	error
	cause error
}

func (e causedBy) Unwrap() []error { return []error{e.error, e.cause} }

// unwrappable makes errors.Is and errors.As find the error of a node in that of
// a tape machine.
func unwrappable(err error) error {
	if contextual, ok := err.(interface{ Err() error }); ok {
		return causedBy{err, contextual.Err()}
	}
	return err
}
