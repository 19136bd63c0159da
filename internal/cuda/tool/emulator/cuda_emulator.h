// Runs CUDA kernels on the CPU, so that they can be tested without a GPU.
//
// A .cu that a host compiler compiles with this header has the results that it has on a
// device. Blocks run one after the other, and the threads of a block are coroutines
// that switch only at barriers. __syncthreads waits for every thread of the block that
// has not returned, and __syncwarp and the shuffles for every such lane in their mask.
// A barrier that can never be passed ends the launch with a message and an error.
//
// A kernel that relies on undefined behaviour fails visibly: shared memory is filled
// with all-one bits (NaN) before each block, a shuffle from a missing lane returns
// all-one bits, and writes beyond the dynamic shared memory are an error. With
// CUDA_EMULATOR_ORDER=reverse in the environment, blocks and threads run in reverse
// order, which reveals most missing barriers.
//
// Compile with -std=c++17 -O2 -ffp-contract=off, one library per .cu, and export each
// kernel with CUDA_EMULATOR_KERNEL.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mutex>
#include <type_traits>
#include <utility>

#ifdef __linux__
#include <link.h>
#endif
#if !(defined(__x86_64__) && defined(__linux__)) && !defined(CUDA_EMULATOR_UCONTEXT)
#define CUDA_EMULATOR_UCONTEXT
#endif
#ifdef CUDA_EMULATOR_UCONTEXT
#include <ucontext.h>
#endif

// The script that builds a library keeps __global__ in the preprocessed text, to find
// the names of the kernels.
#ifndef CUDA_EMULATOR_LIST
#define __global__
#endif
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
// The thread-local variables of a library are contiguous, so that they can be filled
// before each block.
#define __shared__ static thread_local

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;

namespace cuda_emulator {

// The driver's error codes that gorgonia.org/cu has, too.
enum Result { kSuccess = 0, kInvalidValue = 1, kIllegalAddress = 700, kLaunchTimeout = 702, kLaunchFailed = 719 };

const unsigned kMaxThreads = 1024;
const unsigned kMaxShared = 48 << 10;
const unsigned kCanary = 256;
const size_t kStack = 256 << 10;
const size_t kGuard = 64 << 10;

enum Wait : unsigned char { kReady, kBlockBarrier, kWarpBarrier, kReturned };

// What a lane waits for others of its warp to do. All of them must do the same.
enum Operation : unsigned char { kSyncWarp, kShuffle, kBallot };

#ifndef CUDA_EMULATOR_UCONTEXT

// Unlike ucontext, this makes no system call. It saves the registers that a function must
// preserve on the stack.
typedef void* Context;
extern "C" void cuda_emulator_switch(Context* from, Context to);
asm(R"(
	.text
	.p2align 4
	.type cuda_emulator_switch, @function
cuda_emulator_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size cuda_emulator_switch, .-cuda_emulator_switch
)");

inline void make_context(Context* context, char* stack, void (*entry)()) {
  void** top = reinterpret_cast<void**>(stack + kStack);
  *--top = nullptr;  // entry's return address: it never returns
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  *context = top;
}

inline void switch_context(Context* from, Context* to) { cuda_emulator_switch(from, *to); }

#else

typedef ucontext_t Context;

inline void make_context(Context* context, char* stack, void (*entry)()) {
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = kStack;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
}

inline void switch_context(Context* from, Context* to) { swapcontext(from, to); }

#endif

// A Fiber is a stack on which threads run one after the other, until one stops at a
// barrier.
struct Fiber {
  Context context;
  char* stack;
};

struct Thread {
  Wait wait;
  Operation operation;
  Fiber* fiber;  // null before the thread starts
  uint3 index;
  uint32_t mask;      // the lanes that take part
  unsigned source;    // the lane whose value is wanted
  uint64_t value;     // what this lane offers
  uint64_t received;  // what it gets
};

struct Warp {
  uint32_t live;     // lanes that have not returned
  uint32_t waiting;  // lanes that wait for others of the warp
};

// State is the state of the running block.
struct State {
  std::mutex mutex;  // a launch at a time
  const char* kernel;
  void (*call)(void** params);
  void** params;

  unsigned count, live, at_barrier, cursor;
  Result result;
  Thread threads[kMaxThreads];
  Warp warps[kMaxThreads / 32];

  Thread* current;
  Context scheduler;
  Fiber fibers[kMaxThreads];
  unsigned fibers_made, fibers_free;
  Fiber* free_fibers[kMaxThreads];

  bool reverse;
  unsigned shared;
  alignas(16) unsigned char dynamic[kMaxShared + kCanary];
};

static State state;

inline unsigned char* dynamic_shared() { return state.dynamic; }

inline unsigned current_thread() { return static_cast<unsigned>(state.current - state.threads); }

inline uint32_t lane_bit(unsigned thread) { return 1u << (thread % 32); }

// ordered returns the i-th of n numbers in the order in which they run.
inline unsigned ordered(unsigned i, unsigned n) { return state.reverse ? n - 1 - i : i; }

inline void set_current(unsigned thread) {
  state.current = &state.threads[thread];
  threadIdx = state.current->index;
}

// fail ends the launch. The threads stay where they are.
inline void fail(Result result, const char* what) {
  if (state.result == kSuccess) {
    fprintf(stderr, "cuda emulator: %s, block %u, thread %u: %s\n", state.kernel, blockIdx.x, threadIdx.x, what);
    state.result = result;
  }
}

inline void stop_thread() { switch_context(&state.current->fiber->context, &state.scheduler); }

inline void release_block() {
  if (state.live == 0 || state.at_barrier != state.live) return;
  state.at_barrier = 0;
  for (unsigned t = 0; t < state.count; t++) {
    if (state.threads[t].wait == kBlockBarrier) state.threads[t].wait = kReady;
  }
}

// release_lanes lets the lanes of mask continue if all that have not returned wait.
inline void release_lanes(unsigned warp, uint32_t mask) {
  Warp& w = state.warps[warp];
  const uint32_t group = mask & w.live;
  if (group == 0 || (w.waiting & group) != group) return;
  Thread* const lanes = &state.threads[warp * 32];
  Operation operation = kSyncWarp;
  uint32_t ballot = 0;
  for (unsigned lane = 0, seen = 0; lane < 32; lane++) {
    if (!(group >> lane & 1)) continue;
    if (lanes[lane].mask != mask) return;
    if (seen++ == 0) operation = lanes[lane].operation;
    if (lanes[lane].operation != operation) {
      fail(kLaunchFailed, "lanes of a warp wait at different intrinsics");
      return;
    }
    if (lanes[lane].value != 0) ballot |= 1u << lane;
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    if (!(group >> lane & 1)) continue;
    Thread& t = lanes[lane];
    t.wait = kReady;
    if (operation == kBallot) t.received = ballot;
    if (operation == kShuffle) t.received = group >> t.source & 1 ? lanes[t.source].value : ~uint64_t{0};
  }
  w.waiting &= ~group;
}

inline void return_thread() {
  const unsigned thread = current_thread();
  state.current->wait = kReturned;
  state.live--;
  Warp& w = state.warps[thread / 32];
  w.live &= ~lane_bit(thread);
  release_block();
  for (uint32_t left = w.waiting; left != 0;) {
    const uint32_t mask = state.threads[thread / 32 * 32 + __builtin_ctz(left)].mask;
    release_lanes(thread / 32, mask);
    left &= ~mask;
  }
}

inline void wait_for_block() {
  state.current->wait = kBlockBarrier;
  state.at_barrier++;
  release_block();
  if (state.current->wait != kReady) stop_thread();
}

inline uint64_t wait_for_warp(uint32_t mask, Operation operation, uint64_t value, unsigned source) {
  const unsigned thread = current_thread();
  Thread* const t = state.current;
  if (!(mask & lane_bit(thread))) {
    fail(kLaunchFailed, "a lane is not in its own mask");
    stop_thread();
  }
  t->wait = kWarpBarrier;
  t->operation = operation;
  t->mask = mask;
  t->value = value;
  t->source = source;
  state.warps[thread / 32].waiting |= lane_bit(thread);
  release_lanes(thread / 32, mask);
  if (t->wait != kReady || state.result != kSuccess) stop_thread();
  return t->received;
}

// run_fiber runs the current thread, and then the following threads that have not
// started: a kernel without a barrier is one loop on one stack.
inline void run_fiber() {
  for (;;) {
    Fiber* const fiber = state.current->fiber;
    for (;;) {
      state.call(state.params);
      return_thread();
      if (state.cursor + 1 >= state.count || state.result != kSuccess) break;
      const unsigned next = ordered(state.cursor + 1, state.count);
      if (state.threads[next].fiber != nullptr) break;
      state.cursor++;
      set_current(next);
      state.current->fiber = fiber;
    }
    state.free_fibers[state.fibers_free++] = fiber;
    switch_context(&fiber->context, &state.scheduler);
  }
}

inline Fiber* new_fiber() {
  if (state.fibers_free > 0) return state.free_fibers[--state.fibers_free];
  Fiber* const fiber = &state.fibers[state.fibers_made++];
  if (fiber->stack == nullptr) {
    void* memory = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      fprintf(stderr, "cuda emulator: no memory for stacks\n");
      abort();
    }
    mprotect(memory, kGuard, PROT_NONE);
    fiber->stack = static_cast<char*>(memory) + kGuard;
  }
  make_context(&fiber->context, fiber->stack, run_fiber);
  return fiber;
}

inline void resume(unsigned thread) {
  set_current(thread);
  if (state.current->fiber == nullptr) state.current->fiber = new_fiber();
  switch_context(&state.scheduler, &state.current->fiber->context);
}

#ifdef __linux__
struct SharedRange {
  void* data;
  size_t size;
};

// find_static_shared finds the thread-local variables of this library.
inline int find_static_shared(dl_phdr_info* info, size_t, void* out) {
  const uintptr_t here = reinterpret_cast<uintptr_t>(&state) - info->dlpi_addr;
  bool ours = false;
  size_t size = 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type == PT_LOAD && here >= header.p_vaddr && here < header.p_vaddr + header.p_memsz) ours = true;
    if (header.p_type == PT_TLS) size = header.p_memsz;
  }
  if (!ours) return 0;
  *static_cast<SharedRange*>(out) = {info->dlpi_tls_data, size};
  return 1;
}

static thread_local char touched;

inline SharedRange static_shared() {
  *const_cast<volatile char*>(&touched) = 1;  // or a thread may have no copy yet
  SharedRange range = {nullptr, 0};
  dl_iterate_phdr(find_static_shared, &range);
  return range;
}
#else
struct SharedRange {
  void* data = nullptr;
  size_t size = 0;
};
inline SharedRange static_shared() { return {}; }
#endif

inline void start_block(const SharedRange& range) {
  memset(state.dynamic, 0xFF, state.shared + kCanary);
  if (range.data != nullptr) memset(range.data, 0xFF, range.size);
  state.live = state.count;
  state.at_barrier = 0;
  state.fibers_made = state.fibers_free = 0;
  unsigned t = 0;
  for (unsigned z = 0; z < blockDim.z; z++) {
    for (unsigned y = 0; y < blockDim.y; y++) {
      for (unsigned x = 0; x < blockDim.x; x++, t++) {
        state.threads[t] = {kReady, kSyncWarp, nullptr, {x, y, z}, 0, 0, 0, 0};
      }
    }
  }
  for (unsigned w = 0; w * 32 < state.count; w++) {
    const unsigned lanes = state.count - w * 32;
    state.warps[w] = {lanes >= 32 ? ~0u : (1u << lanes) - 1, 0};
  }
}

inline void report_deadlock() {
  unsigned block = 0, warp = 0, first_block = 0, first_warp = 0;
  for (unsigned t = state.count; t-- > 0;) {
    if (state.threads[t].wait == kBlockBarrier) block++, first_block = t;
    if (state.threads[t].wait == kWarpBarrier) warp++, first_warp = t;
  }
  fprintf(stderr,
          "cuda emulator: %s, block %u: deadlock: %u threads (first %u) wait at __syncthreads, "
          "%u (first %u) for lanes of their warp, %u have returned\n",
          state.kernel, blockIdx.x, block, first_block, warp, first_warp, state.count - block - warp);
  state.result = kLaunchTimeout;
}

inline Result run_block(const SharedRange& range) {
  start_block(range);
  while (state.live > 0 && state.result == kSuccess) {
    bool ran = false;
    for (unsigned first = 0; first < state.count && state.result == kSuccess;) {
      const unsigned end = state.count - first > 32 ? first + 32 : state.count;
      bool again = false;  // a warp runs as far as it can, before the next
      for (state.cursor = first; state.cursor < end && state.result == kSuccess; state.cursor++) {
        const unsigned thread = ordered(state.cursor, state.count);
        if (state.threads[thread].wait != kReady) continue;
        ran = again = true;
        resume(thread);
      }
      if (!again) first += 32;
    }
    if (!ran) report_deadlock();
  }
  if (state.result != kSuccess) return state.result;
  for (unsigned i = 0; i < kCanary; i++) {
    if (state.dynamic[state.shared + i] != 0xFF) {
      fail(kIllegalAddress, "a write beyond the dynamic shared memory");
      break;
    }
  }
  return state.result;
}

inline bool launchable(const dim3& grid, const dim3& block, unsigned shared) {
  const uint64_t threads = static_cast<uint64_t>(block.x) * block.y * block.z;
  return grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && threads >= 1 && threads <= kMaxThreads && grid.x <= 0x7FFFFFFF &&
         grid.y <= 0xFFFF && grid.z <= 0xFFFF && block.x <= kMaxThreads && block.y <= kMaxThreads && block.z <= 64 &&
         shared <= kMaxShared;
}

inline int launch(const char* kernel, void (*call)(void**), const dim3& grid, const dim3& block, unsigned shared,
                  void** params) {
  if (!launchable(grid, block, shared)) return kInvalidValue;
  std::lock_guard<std::mutex> lock(state.mutex);
  const char* const order = getenv("CUDA_EMULATOR_ORDER");
  state.reverse = order != nullptr && strcmp(order, "reverse") == 0;
  state.kernel = kernel;
  state.call = call;
  state.params = params;
  state.shared = shared;
  state.count = block.x * block.y * block.z;
  state.result = kSuccess;
  gridDim = grid;
  blockDim = block;
  const SharedRange range = static_shared();
  for (unsigned z = 0; z < grid.z; z++) {
    for (unsigned y = 0; y < grid.y; y++) {
      for (unsigned x = 0; x < grid.x; x++) {
        blockIdx = {ordered(x, grid.x), ordered(y, grid.y), ordered(z, grid.z)};
        if (run_block(range) != kSuccess) return state.result;
      }
    }
  }
  return kSuccess;
}

template <class... A, size_t... I>
inline void call_kernel(void (*kernel)(A...), void** params, std::index_sequence<I...>) {
  static_assert(((sizeof(A) == 8) && ...), "parameters of a kernel take eight bytes each");
  kernel(*static_cast<std::remove_cv_t<A>*>(params[I])...);
}

template <class... A>
inline void call_kernel(void (*kernel)(A...), void** params) {
  call_kernel(kernel, params, std::index_sequence_for<A...>{});
}

// bits and from_bits carry a value of four or eight bytes through a shuffle.
template <class T>
inline uint64_t bits(T value) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle takes four or eight bytes");
  uint64_t word = 0;
  memcpy(&word, &value, sizeof value);
  return word;
}

template <class T>
inline T from_bits(uint64_t word) {
  T value;
  memcpy(&value, &word, sizeof value);
  return value;
}

template <class T>
inline T shuffle(uint32_t mask, T value, unsigned source) {
  return from_bits<T>(wait_for_warp(mask, kShuffle, bits(value), source));
}

inline unsigned lane() { return current_thread() % 32; }

}  // namespace cuda_emulator

// CUDA_EMULATOR_KERNEL exports a kernel under the name that the stand-in looks up.
#define CUDA_EMULATOR_KERNEL(kernel)                                                                             \
  extern "C" __attribute__((visibility("default"))) int cuda_emulator_launch_##kernel(                           \
      unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, \
      unsigned shared, void** params) {                                                                          \
    return cuda_emulator::launch(                                                                                \
        #kernel, [](void** p) { cuda_emulator::call_kernel(kernel, p); }, dim3{grid_x, grid_y, grid_z},          \
        dim3{block_x, block_y, block_z}, shared, params);                                                        \
  }

// Barriers, shuffles and ballots.

inline void __syncthreads() { cuda_emulator::wait_for_block(); }

inline void __syncwarp(unsigned mask = 0xFFFFFFFF) {
  cuda_emulator::wait_for_warp(mask, cuda_emulator::kSyncWarp, 0, 0);
}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const unsigned first = cuda_emulator::lane() & ~static_cast<unsigned>(width - 1);
  return cuda_emulator::shuffle(mask, value, first + (source & (width - 1)));
}

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const unsigned lane = cuda_emulator::lane(), last = lane | static_cast<unsigned>(width - 1);
  const unsigned source = lane ^ static_cast<unsigned>(lanes);
  return cuda_emulator::shuffle(mask, value, source > last ? lane : source);
}

template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = cuda_emulator::lane(), last = lane | static_cast<unsigned>(width - 1);
  return cuda_emulator::shuffle(mask, value, lane + delta > last ? lane : lane + delta);
}

template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = cuda_emulator::lane(), place = lane & static_cast<unsigned>(width - 1);
  return cuda_emulator::shuffle(mask, value, delta > place ? lane : lane - delta);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return static_cast<unsigned>(cuda_emulator::wait_for_warp(mask, cuda_emulator::kBallot, predicate != 0, 0));
}

// Only threads of one block run at a time, and none is interrupted within these.

inline int atomicAdd(int* p, int value) { return std::exchange(*p, *p + value); }
inline unsigned atomicAdd(unsigned* p, unsigned value) { return std::exchange(*p, *p + value); }

// Bits.

inline unsigned __float_as_uint(float x) { return cuda_emulator::from_bits<unsigned>(cuda_emulator::bits(x)); }
inline float __uint_as_float(unsigned x) { return cuda_emulator::from_bits<float>(x); }
inline long long __double_as_longlong(double x) { return cuda_emulator::from_bits<long long>(cuda_emulator::bits(x)); }
inline double __longlong_as_double(long long x) { return cuda_emulator::from_bits<double>(cuda_emulator::bits(x)); }

inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32); }

// The overloads of min and max that CUDA has.

#define CUDA_EMULATOR_MIN_MAX(type)                         \
  inline type min(type a, type b) { return b < a ? b : a; } \
  inline type max(type a, type b) { return a < b ? b : a; }
CUDA_EMULATOR_MIN_MAX(int)
CUDA_EMULATOR_MIN_MAX(unsigned)
CUDA_EMULATOR_MIN_MAX(long)
CUDA_EMULATOR_MIN_MAX(unsigned long)
CUDA_EMULATOR_MIN_MAX(long long)
CUDA_EMULATOR_MIN_MAX(unsigned long long)
#undef CUDA_EMULATOR_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
