// Package driver ends the program with one sentence if the CUDA driver cannot be used.
//
// The bindings end it too, when they are initialised, but with the URL of a manual.
// Importing this package is enough: Go initialises packages that are ready in the order
// of their import paths, and this one is ready before the bindings and sorts before
// them.
package driver
