//go:build cuda && !windows

package driver

/*
#cgo LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>

// The functions are looked up at run time, because the stand-in for the driver has none
// of them.
static int init(void) {
	int (*f)(unsigned) = (int (*)(unsigned))dlsym(RTLD_DEFAULT, "cuInit");
	return f == 0 ? 0 : f(0);
}

static const char* error_name(int error) {
	const char* name = 0;
	int (*f)(int, const char**) = (int (*)(int, const char**))dlsym(RTLD_DEFAULT, "cuGetErrorName");
	if (f == 0 || f(error, &name) != 0 || name == 0) return "";
	return name;
}
*/
import "C"

import (
	"fmt"
	"os"
)

func init() {
	code := C.init()
	if code == 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "this program is built with the tag cuda, and the CUDA driver finds no GPU that it can use (cuInit: error %d %s): "+
		"see whether nvidia-smi lists a GPU and CUDA_VISIBLE_DEVICES allows it, or use a build without the tag\n", code, C.GoString(C.error_name(code)))
	os.Exit(1)
}
