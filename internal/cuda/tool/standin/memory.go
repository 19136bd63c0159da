package cu

/*
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The margins of an array have a mark that shows a write out of bounds.
enum { margin = 256, poison = 0xA5, mark = 0xFF };

static uintptr_t allocate(size_t n) {
	void* p;
	if (posix_memalign(&p, 256, n + 2 * margin)) return 0;
	memset(p, mark, n + 2 * margin);
	memset((char*)p + margin, poison, n);
	return (uintptr_t)p + margin;
}

static int marked(uintptr_t p, size_t n) {
	const unsigned char* before = (const unsigned char*)p - margin;
	const unsigned char* after = (const unsigned char*)p + n;
	for (int i = 0; i < margin; i++) {
		if (before[i] != mark || after[i] != mark) return 0;
	}
	return 1;
}

// Fill the array, so that a later read shows.
static void release(uintptr_t p, size_t n) {
	memset((void*)p, mark, n);
	free((char*)p - margin);
}

static void copy(uintptr_t to, uintptr_t from, size_t n) { memmove((void*)to, (const void*)from, n); }
static void copy_in(uintptr_t to, const void* from, size_t n) { memmove((void*)to, from, n); }
static void copy_out(void* to, uintptr_t from, size_t n) { memmove(to, (const void*)from, n); }
static void fill8(uintptr_t to, unsigned char value, size_t n) { memset((void*)to, value, n); }
static void fill32(uintptr_t to, uint32_t value, size_t n) {
	for (size_t i = 0; i < n; i++) ((uint32_t*)to)[i] = value;
}
*/
import "C"

import (
	"fmt"
	"log"
	"unsafe"
)

// DevicePtr is a pointer to the memory of the device.
type DevicePtr uintptr

// MemAttachFlags say who may use managed memory.
type MemAttachFlags byte

// AttachGlobal is memory for any stream.
const AttachGlobal MemAttachFlags = 1

type allocation struct {
	size    int64
	context uintptr
}

func (d DevicePtr) String() string { return fmt.Sprintf("0x%x", uintptr(d)) }

// Uintptr returns the pointer as an integer.
func (d DevicePtr) Uintptr() uintptr { return uintptr(d) }

// IsCUDAMemory returns true.
func (d DevicePtr) IsCUDAMemory() bool { return true }

// MemSize returns the size of the array that the pointer points into, or 0.
func (d DevicePtr) MemSize() uintptr {
	size, _, err := d.AddressRange()
	if err != nil {
		log.Printf("MEMSIZE ERR %v", err)
	}
	return uintptr(size)
}

// AddressRange returns the array that the pointer points into.
func (d DevicePtr) AddressRange() (size int64, base DevicePtr, err error) {
	err = result(call(func(uintptr) cuResult {
		var ok bool
		if base, size, ok = find(d); !ok {
			return NotFound
		}
		return Success
	}))
	return size, base, err
}

// ContextOf returns the context that the memory at a pointer belongs to. The real
// package has this as an attribute of the pointer.
func ContextOf(p DevicePtr) (ctx CUContext, ok bool) {
	driver.Lock()
	defer driver.Unlock()
	base, _, ok := find(p)
	return CUContext{driver.memory[base].context}, ok
}

// find returns the array that holds p. The driver must be locked.
func find(p DevicePtr) (base DevicePtr, size int64, ok bool) {
	for base, a := range driver.memory {
		if p >= base && p < base+DevicePtr(a.size) {
			return base, a.size, true
		}
	}
	return 0, 0, false
}

// within reports whether n bytes at p lie in an array on the device. The driver
// must be locked.
func within(p DevicePtr, n int64) bool {
	base, size, ok := find(p)
	return n >= 0 && ok && p+DevicePtr(n) <= base+DevicePtr(size)
}

// MemInfo returns how many bytes are free and how many there are.
func MemInfo() (free int64, total int64, err error) {
	err = result(call(func(uintptr) cuResult {
		free, total = totalMemory-driver.used, totalMemory
		return Success
	}))
	return free, total, err
}

// MemAlloc allocates memory, filled with an arbitrary byte.
func MemAlloc(bytesize int64) (dptr DevicePtr, err error) {
	dptr, status := allocate(bytesize)
	return dptr, result(status)
}

// MemAllocManaged allocates memory that the host may use too.
func MemAllocManaged(bytesize int64, flags MemAttachFlags) (dptr DevicePtr, err error) {
	return MemAlloc(bytesize)
}

func allocate(size int64) (p DevicePtr, err cuResult) {
	err = call(func(context uintptr) cuResult {
		if size <= 0 {
			return InvalidValue
		}
		if size > totalMemory-driver.used {
			return OutOfMemory
		}
		if p = DevicePtr(C.allocate(C.size_t(size))); p == 0 {
			return OutOfMemory
		}
		driver.memory[p] = allocation{size, context}
		driver.used += size
		return Success
	})
	return p, err
}

// release frees memory and reports whether its margins are intact. The driver must be
// locked.
func release(p DevicePtr, a allocation) (intact bool) {
	intact = C.marked(C.uintptr_t(p), C.size_t(a.size)) != 0
	if !intact {
		log.Printf("cu stand-in: a kernel or a copy wrote beyond the %d bytes at %v", a.size, p)
	}
	C.release(C.uintptr_t(p), C.size_t(a.size))
	delete(driver.memory, p)
	driver.used -= a.size
	return intact
}

// MemFree frees memory. It returns an error if something wrote beyond the array.
func MemFree(dptr DevicePtr) (err error) { return result(free(dptr)) }

func free(p DevicePtr) cuResult {
	return call(func(uintptr) cuResult {
		a, ok := driver.memory[p]
		switch {
		case p == 0:
			return Success
		case !ok:
			return InvalidValue
		case !release(p, a):
			return IllegalAddress
		}
		return Success
	})
}

// Memcpy copies from anywhere to anywhere.
func Memcpy(dst DevicePtr, src DevicePtr, ByteCount int64) (err error) {
	return result(memcpy(dst, src, ByteCount))
}

// MemcpyDtoD copies from the device to the device.
func MemcpyDtoD(dstDevice DevicePtr, srcDevice DevicePtr, ByteCount int64) (err error) {
	return result(memcpy(dstDevice, srcDevice, ByteCount))
}

// MemcpyHtoD copies to the device.
func MemcpyHtoD(dstDevice DevicePtr, srcHost unsafe.Pointer, ByteCount int64) (err error) {
	return result(memcpyHtoD(dstDevice, srcHost, ByteCount))
}

// MemcpyDtoH copies from the device.
func MemcpyDtoH(dstHost unsafe.Pointer, srcDevice DevicePtr, ByteCount int64) (err error) {
	return result(memcpyDtoH(dstHost, srcDevice, ByteCount))
}

// MemsetD8 sets N bytes.
func MemsetD8(dstDevice DevicePtr, uc byte, N int64) (err error) {
	return result(call(func(uintptr) cuResult {
		if !within(dstDevice, N) {
			return InvalidValue
		}
		C.fill8(C.uintptr_t(dstDevice), C.uchar(uc), C.size_t(N))
		return Success
	}))
}

// MemsetD32 sets N words of four bytes.
func MemsetD32(dstDevice DevicePtr, ui uint32, N int64) (err error) {
	return result(call(func(uintptr) cuResult {
		if !within(dstDevice, 4*N) {
			return InvalidValue
		}
		C.fill32(C.uintptr_t(dstDevice), C.uint32_t(ui), C.size_t(N))
		return Success
	}))
}

func memcpy(dst, src DevicePtr, n int64) cuResult {
	return call(func(uintptr) cuResult {
		if !within(dst, n) || !within(src, n) {
			return InvalidValue
		}
		C.copy(C.uintptr_t(dst), C.uintptr_t(src), C.size_t(n))
		return Success
	})
}

func memcpyHtoD(dst DevicePtr, src unsafe.Pointer, n int64) cuResult {
	return call(func(uintptr) cuResult {
		if !within(dst, n) {
			return InvalidValue
		}
		C.copy_in(C.uintptr_t(dst), src, C.size_t(n))
		return Success
	})
}

func memcpyDtoH(dst unsafe.Pointer, src DevicePtr, n int64) cuResult {
	return call(func(uintptr) cuResult {
		if !within(src, n) {
			return InvalidValue
		}
		C.copy_out(dst, C.uintptr_t(src), C.size_t(n))
		return Success
	})
}
