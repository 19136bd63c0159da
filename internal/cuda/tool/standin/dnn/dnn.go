// Package cudnn stands in for gorgonia.org/cu/dnn: Gorgonia makes a context of
// it and closes it, no more.
package cudnn

// Context is a cuDNN context.
type Context struct{ _ int }

// NewContext makes a context.
func NewContext() (retVal *Context) { return &Context{} }

// Close closes the context.
func (ctx *Context) Close() error { return nil }
