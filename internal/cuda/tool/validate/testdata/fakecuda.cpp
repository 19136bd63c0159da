// The part of the CUDA driver that validate.py calls, on the emulator. The environment
// variable CUDA_STANDIN_KERNELS lists the libraries of the kernels. Compiled with FAULTY
// defined, it spoils the last element of each array that is read.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

enum Error { kSuccess = 0, kOutOfMemory = 2, kNoDevice = 100, kNotFound = 500, kIllegalAddress = 700 };

typedef int (*Kernel)(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);

std::vector<void*> libraries;
std::map<uint64_t, size_t> sizes;  // of the arrays, by address

// Both sides of an array have a margin, whose bytes show a write out of bounds.
const size_t kMargin = 256;
const unsigned char kMark = 0xFF;

bool intact(const unsigned char* margin) {
  for (size_t i = 0; i < kMargin; i++) {
    if (margin[i] != kMark) return false;
  }
  return true;
}

double milliseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

template <typename T>
int set(T* out, T value) {
  *out = value;
  return kSuccess;
}

}  // namespace

extern "C" {

int cuInit(unsigned) {
  const char* list = getenv("CUDA_STANDIN_KERNELS");
  std::istringstream paths(list == nullptr ? "" : list);
  for (std::string path; std::getline(paths, path, ':');) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) libraries.push_back(library);
  }
  return libraries.empty() ? kNoDevice : kSuccess;
}

int cuGetErrorName(int, const char** name) { return set(name, "an error of the emulator"); }
int cuDriverGetVersion(int* version) { return set(version, 0); }
int cuDeviceGet(int* device, int) { return set(device, 0); }
int cuDeviceGetAttribute(int* value, int, int) { return set(value, 0); }
int cuDevicePrimaryCtxRetain(void** context, int) { return set<void*>(context, &libraries); }
int cuCtxSetCurrent(void*) { return kSuccess; }
int cuCtxSynchronize() { return kSuccess; }

int cuDeviceGetName(char* name, int size, int) {
  strncpy(name, "CPU emulator", size);
  return kSuccess;
}

int cuModuleLoadDataEx(void** module, const void*, unsigned, int*, void**) { return set<void*>(module, &libraries); }

int cuModuleGetFunction(void** function, void*, const char* name) {
  for (void* library : libraries) {
    *function = dlsym(library, (std::string("cuda_emulator_launch_") + name).c_str());
    if (*function != nullptr) return kSuccess;
  }
  return kNotFound;
}

int cuMemAlloc_v2(uint64_t* address, size_t size) {
  unsigned char* const memory = static_cast<unsigned char*>(aligned_alloc(256, (size + 3 * kMargin) / 256 * 256));
  if (memory == nullptr) return kOutOfMemory;
  memset(memory, kMark, size + 2 * kMargin);
  *address = reinterpret_cast<uint64_t>(memory + kMargin);
  sizes[*address] = size;
  return kSuccess;
}

int cuMemFree_v2(uint64_t address) {
  unsigned char* const memory = reinterpret_cast<unsigned char*>(address);
  const bool good = intact(memory - kMargin) && intact(memory + sizes[address]);
  sizes.erase(address);
  free(memory - kMargin);
  return good ? kSuccess : kIllegalAddress;
}

int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t size) {
  memcpy(reinterpret_cast<void*>(to), from, size);
  return kSuccess;
}

int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t size) {
  memcpy(to, reinterpret_cast<void*>(from), size);
#ifdef FAULTY
  static_cast<unsigned char*>(to)[size - 2] ^= 0x08;
#endif
  return kSuccess;
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void*) {
  memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), size);
  return kSuccess;
}

int cuMemsetD8_v2(uint64_t address, unsigned char value, size_t size) {
  memset(reinterpret_cast<void*>(address), value, size);
  return kSuccess;
}

int cuLaunchKernel(void* f, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                   unsigned block_z, unsigned shared, void*, void** params, void**) {
  return reinterpret_cast<Kernel>(f)(grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, params);
}

int cuEventCreate(void** event, unsigned) { return set<void*>(event, new double(0)); }
int cuEventRecord(void* event, void*) { return set(static_cast<double*>(event), milliseconds()); }
int cuEventSynchronize(void*) { return kSuccess; }

int cuEventElapsedTime(float* elapsed, void* from, void* to) {
  return set(elapsed, static_cast<float>(*static_cast<double*>(to) - *static_cast<double*>(from)));
}
}
