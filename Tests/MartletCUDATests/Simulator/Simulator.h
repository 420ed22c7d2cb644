// CUDA's language for the host: blocks run one after the other, the threads of a block as fibers that take turns at
// barriers and shuffles. Kernels are compiled behind this header as they are.
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
// One block at a time: what a block shares is the same memory for each.
#define __shared__ static

struct m_index {
  unsigned x, y, z;
};
m_index threadIdx, blockIdx, blockDim, gridDim;

// MARK: Fibers

enum { m_most_threads = 1024, m_stack_bytes = 128 << 10 };

#if defined(__x86_64__)
// Saves what a function must keep, and goes on where `to` was saved.
extern "C" void m_switch(void **from, void *to);
__asm__(
  ".text\nm_switch:\n"
  "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
  "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
  "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
struct m_fiber_context {
  void *stack_pointer;
};
static void m_start(m_fiber_context *context, char *stack, void (*entry)()) {
  void **top = (void **)(stack + m_stack_bytes - 64);
  *--top = nullptr;
  *--top = (void *)entry;
  for (int i = 0; i < 6; i++) *--top = nullptr;
  context->stack_pointer = top;
}
static void m_change(m_fiber_context *from, m_fiber_context *to) { m_switch(&from->stack_pointer, to->stack_pointer); }
#else
#include <ucontext.h>
struct m_fiber_context {
  ucontext_t context;
};
static void m_start(m_fiber_context *context, char *stack, void (*entry)()) {
  getcontext(&context->context);
  context->context.uc_stack.ss_sp = stack;
  context->context.uc_stack.ss_size = m_stack_bytes;
  makecontext(&context->context, entry, 0);
}
static void m_change(m_fiber_context *from, m_fiber_context *to) { swapcontext(&from->context, &to->context); }
#endif

struct m_barrier {
  int arrived, generation;
};
static struct {
  m_fiber_context scheduler, fibers[m_most_threads];
  bool done[m_most_threads];
  unsigned char parity[m_most_threads];
  char *stacks;
  int count, current, step, left;
  // Turns since a barrier opened or a thread ended: many of them are a deadlock.
  long idle;
  m_barrier block, warps[m_most_threads / 32][32];
  alignas(8) char slots[2][m_most_threads][8];
  void (*kernel)(void **);
  void **arguments;
} m;

[[noreturn]] static void m_fail(const char *what) {
  fprintf(stderr, "simulator: %s, thread %u of block %u\n", what, threadIdx.x, blockIdx.x);
  abort();
}

static void m_yield() {
  if (++m.idle > 4L * m.count + 16) m_fail("threads wait for each other");
  const int before = m.current;
  do m.current = (m.current + m.step + m.count) % m.count;
  while (m.done[m.current]);
  threadIdx.x = (unsigned)m.current;
  if (m.current != before) m_change(&m.fibers[before], &m.fibers[m.current]);
}

static void m_wait(m_barrier &barrier, int expected) {
  if (++barrier.arrived == expected) {
    barrier.arrived = 0;
    barrier.generation++;
    m.idle = 0;
    return;
  }
  for (const int generation = barrier.generation; barrier.generation == generation;) m_yield();
}

static void m_thread() {
  m.kernel(m.arguments);
  const int before = m.current;
  m.done[before] = true;
  m.idle = 0;
  if (--m.left == 0) {
    m_change(&m.fibers[before], &m.scheduler);
  } else {
    do m.current = (m.current + m.step + m.count) % m.count;
    while (m.done[m.current]);
    threadIdx.x = (unsigned)m.current;
    m_change(&m.fibers[before], &m.fibers[m.current]);
  }
}

// Runs all blocks; the threads of each take turns in ascending or, if `reversed`, in descending order.
static void m_run(void (*kernel)(void **), void **arguments, int blocks, int threads, int reversed) {
  if (!m.stacks) m.stacks = (char *)malloc((size_t)m_most_threads * m_stack_bytes);
  m.kernel = kernel;
  m.arguments = arguments;
  m.count = threads;
  m.step = reversed ? -1 : 1;
  blockDim = {(unsigned)threads, 1, 1};
  gridDim = {(unsigned)blocks, 1, 1};
  for (int i = 0; i < blocks; i++) {
    const int block = reversed ? blocks - 1 - i : i;
    blockIdx = {(unsigned)block, 0, 0};
    m.left = threads;
    m.idle = 0;
    memset(&m.block, 0, sizeof m.block);
    memset(m.warps, 0, sizeof m.warps);
    memset(m.parity, 0, sizeof m.parity);
    for (int t = 0; t < threads; t++) {
      m.done[t] = false;
      m_start(&m.fibers[t], m.stacks + (size_t)t * m_stack_bytes, m_thread);
    }
    m.current = reversed ? threads - 1 : 0;
    threadIdx = {(unsigned)m.current, 0, 0};
    m_change(&m.scheduler, &m.fibers[m.current]);
    if (m.block.arrived) m_fail("a thread ended where others wait at a barrier");
  }
}

// MARK: What CUDA builds in

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T, class S> static inline T m_bits(S x) {
  T y;
  static_assert(sizeof y == sizeof x);
  memcpy(&y, &x, sizeof y);
  return y;
}
static inline int __float_as_int(float x) { return m_bits<int>(x); }
static inline float __int_as_float(int x) { return m_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return m_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return m_bits<double>(x); }
static inline int atomicCAS(int *address, int expected, int desired) {
  const int old = *address;
  if (old == expected) *address = desired;
  return old;
}

template <class T> static T atomicAdd(T *address, T x) {
  const T old = *address;
  *address = old + x;
  return old;
}
template <class T> static T atomicMin(T *address, T x) {
  const T old = *address;
  if (x < old) *address = x;
  return old;
}
template <class T> static T atomicMax(T *address, T x) {
  const T old = *address;
  if (x > old) *address = x;
  return old;
}

static void __syncthreads() { m_wait(m.block, m.count); }
static void __syncwarp(unsigned mask = 0xffffffffu) {
  if (!(mask >> threadIdx.x % 32 & 1)) m_fail("a thread waits in a warp's barrier without being one of its threads");
  m_wait(m.warps[threadIdx.x / 32][__ffs((int)mask) - 1], __popc(mask));
}
// The slots of every other exchange are others: nobody writes one that a slower thread still reads.
template <class T> static char (*m_publish(unsigned mask, T x))[8] {
  static_assert(sizeof x <= 8);
  const int parity = m.parity[m.current] ^= 1;
  memcpy(m.slots[parity][threadIdx.x], &x, sizeof x);
  __syncwarp(mask);
  return m.slots[parity] + threadIdx.x / 32 * 32;
}
template <class T> static T __shfl_sync(unsigned mask, T x, int lane) {
  if (!(mask >> lane & 1)) m_fail("a shuffle reads from a thread that takes no part");
  T result;
  memcpy(&result, m_publish(mask, x)[lane], sizeof result);
  return result;
}
template <class T> static T __shfl_xor_sync(unsigned mask, T x, int distance) {
  return __shfl_sync(mask, x, (int)(threadIdx.x % 32) ^ distance);
}
template <class T> static T __shfl_up_sync(unsigned mask, T x, int distance) {
  const int lane = (int)(threadIdx.x % 32);
  return __shfl_sync(mask, x, lane < distance ? lane : lane - distance);
}
static unsigned __ballot_sync(unsigned mask, bool vote) {
  const char (*votes)[8] = m_publish(mask, vote);
  unsigned all = 0;
  for (int lane = 0; lane < 32; lane++)
    if (mask >> lane & 1 && votes[lane][0]) all |= 1u << lane;
  return all;
}
