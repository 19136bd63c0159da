//go:build mpi

package mpi

/*
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

// cgo cannot use the constants of MPI, which are macros and in some libraries casts.

// Go turns a nil dereference into a panic by a signal. Open MPI 4.1 and MPICH 4.0 leave
// the signals alone, but libraries for networks below them may not: restore them.
static int init(int *provided) {
	static const int of_go[] = {SIGABRT, SIGBUS, SIGFPE, SIGSEGV};
	enum { count = sizeof of_go / sizeof *of_go };
	struct sigaction before[count];
	for (int i = 0; i < count; i++) sigaction(of_go[i], NULL, &before[i]);
	int rc = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, provided);
	for (int i = 0; i < count; i++) sigaction(of_go[i], &before[i], NULL);
	if (rc == MPI_SUCCESS) rc = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	return rc;
}

static int comm_rank(int *rank) { return MPI_Comm_rank(MPI_COMM_WORLD, rank); }
static int comm_size(int *size) { return MPI_Comm_size(MPI_COMM_WORLD, size); }

// finish waits for a request. A call that waits for a slower rank would keep its core
// busy: where ranks share cores, that rank would then wait for the end of a time slice.
// After about 10 ms the call sleeps between polls, so that a long wait is cheap.
static int finish(int rc, MPI_Request *request) {
	int done = 0;
	for (int polls = 0; rc == MPI_SUCCESS && !done; polls++) {
		rc = MPI_Test(request, &done, MPI_STATUS_IGNORE);
		if (!done && polls > 20000) usleep(100);
		else if (!done && polls > 100) sched_yield();
	}
	return rc;
}

#define WORLD MPI_COMM_WORLD, &request
static int max_ints(int64_t *x, int n) {
	MPI_Request request;
	return finish(MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_INT64_T, MPI_MAX, WORLD), &request);
}
static int sum_floats(float *x, int n) {
	MPI_Request request;
	return finish(MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_FLOAT, MPI_SUM, WORLD), &request);
}
static int sum_doubles(double *x, int n) {
	MPI_Request request;
	return finish(MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_DOUBLE, MPI_SUM, WORLD), &request);
}
static int bcast(void *x, int n, int root) {
	MPI_Request request;
	return finish(MPI_Ibcast(x, n, MPI_BYTE, root, WORLD), &request);
}
static int all_to_all(void *to, void *from, int n) {
	MPI_Request request;
	return finish(MPI_Ialltoall(from, n, MPI_BYTE, to, n, MPI_BYTE, WORLD), &request);
}
static int all_gather(void *to, void *from, int n) {
	MPI_Request request;
	return finish(MPI_Iallgather(from, n, MPI_BYTE, to, n, MPI_BYTE, WORLD), &request);
}
static void abort_all(int code) { MPI_Abort(MPI_COMM_WORLD, code); }
enum { serialized = MPI_THREAD_SERIALIZED, max_version = MPI_MAX_LIBRARY_VERSION_STRING, max_error = MPI_MAX_ERROR_STRING };
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// newWorld initializes MPI.
func newWorld() (*World, error) {
	var provided, rank, size C.int
	if err := check("MPI_Init_thread", C.init(&provided)); err != nil {
		return nil, err
	}
	// Goroutines move between threads, and a mutex admits one at a time.
	if provided < C.serialized {
		return nil, errors.New("mpi: this MPI library can only be called from one thread, want MPI_THREAD_SERIALIZED: use one that was built with support for threads")
	}
	if err := errors.Join(check("MPI_Comm_rank", C.comm_rank(&rank)), check("MPI_Comm_size", C.comm_size(&size))); err != nil {
		return nil, err
	}
	if n := launched(); n > 1 && int(size) != n {
		return nil, fmt.Errorf("mpi: the launcher started %d processes, but %s has %d: use the mpirun of that library or build with the mpicc of the launcher; with srun, use an --mpi that the library supports", n, library(), size)
	}
	w := &World{rank: int(rank), size: int(size)}
	w.comm = &engine{size: int(size)}
	return w, nil
}

// library returns the name of the MPI library: "Open MPI v4.1.4".
func library() string {
	var text [C.max_version]C.char
	var n C.int
	C.MPI_Get_library_version(&text[0], &n)
	line, _, _ := strings.Cut(C.GoString(&text[0]), "\n")
	name, _, _ := strings.Cut(line, ",")
	return strings.Join(strings.Fields(strings.ReplaceAll(name, "Version:", "")), " ")
}

// An engine is an MPI library.
type engine struct {
	size   int
	buffer []byte // of C: a network that accesses memory directly follows what malloc frees, but not what Go's heap does
}

func (e *engine) memory(n int) []byte {
	if n > len(e.buffer) {
		C.free(unsafe.Pointer(unsafe.SliceData(e.buffer)))
		e.buffer = unsafe.Slice((*byte)(C.malloc(C.size_t(n))), n)
	}
	return e.buffer[:n]
}

// maxCount is how many elements one call of MPI sends: it takes the number as an int.
const maxCount = 1 << 28

// each calls f for parts of x that one call of MPI can send.
func each[T any](name string, x []T, f func(first *T, n C.int) C.int) error {
	for len(x) > 0 {
		n := min(len(x), maxCount)
		if err := check(name, f(&x[0], C.int(n))); err != nil {
			return err
		}
		x = x[n:]
	}
	return nil
}

func (e *engine) max(x []int64) error {
	return each("MPI_Iallreduce", x, func(first *int64, n C.int) C.int { return C.max_ints((*C.int64_t)(first), n) })
}

func (e *engine) sum32(x []float32) error {
	return each("MPI_Iallreduce", x, func(first *float32, n C.int) C.int { return C.sum_floats((*C.float)(first), n) })
}

func (e *engine) sum64(x []float64) error {
	return each("MPI_Iallreduce", x, func(first *float64, n C.int) C.int { return C.sum_doubles((*C.double)(first), n) })
}

func (e *engine) broadcast(x []byte, root int) error {
	return each("MPI_Ibcast", x, func(first *byte, n C.int) C.int { return C.bcast(unsafe.Pointer(first), n, C.int(root)) })
}

func (e *engine) allToAll(to, from []byte) error {
	return check("MPI_Ialltoall", C.all_to_all(unsafe.Pointer(&to[0]), unsafe.Pointer(&from[0]), C.int(len(from)/e.size)))
}

func (e *engine) allGather(to, from []byte) error {
	return check("MPI_Iallgather", C.all_gather(unsafe.Pointer(&to[0]), unsafe.Pointer(&from[0]), C.int(len(from))))
}

func (e *engine) finalize() error { return check("MPI_Finalize", C.MPI_Finalize()) }
func (e *engine) abort(code int)  { C.abort_all(C.int(code)) }

// check returns the error of a call of MPI.
func check(call string, rc C.int) error {
	if rc == C.MPI_SUCCESS {
		return nil
	}
	var text [C.max_error]C.char
	var n C.int
	C.MPI_Error_string(rc, &text[0], &n)
	return fmt.Errorf("mpi: %s: %s", call, C.GoString(&text[0]))
}
