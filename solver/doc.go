// Package solver has an Adam solver for Gorgonia whose state can be saved.
//
// Gorgonia's own solvers cannot be saved: a run that resumes from saved weights
// starts with empty moments, and so continues differently. [Adam] computes the
// same updates as gorgonia.AdamSolver in a single vectorised pass. Its state
// marshals with encoding/gob, encoding/json and MarshalBinary, and the resumed
// run continues bit for bit.
package solver
