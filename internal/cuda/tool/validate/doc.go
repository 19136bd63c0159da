// Package validate holds validate.py, which checks and times the CUDA kernels on a GPU,
// and tests it on the emulator.
package validate
