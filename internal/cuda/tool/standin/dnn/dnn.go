// Package cudnn stands in for gorgonia.org/cu/dnn. Gorgonia only opens and closes its
// context.
package cudnn

// Context is a cuDNN context.
type Context struct{ _ int }

// NewContext makes a context.
func NewContext() (retVal *Context) { return &Context{} }

// Close closes the context.
func (ctx *Context) Close() error { return nil }
