// What the machine can do at best, as one line of JSON: fused multiply-adds, and copying memory, on all threads at once.
//
//     cc -O3 -march=native machine_limits.c -o machine_limits -pthread && ./machine_limits THREADS
//
// Copies are of arrays of 32 MiB, 64 MiB and 1 GiB, read once and written once, with ordinary stores and, on x86-64, with stores
// that pass by the cache. The smaller ones may live in a large last-level cache.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
typedef float Vector __attribute__((vector_size(VECTOR_BYTES)));

enum { LANES = VECTOR_BYTES / 4, CHAINS = 12, FMA_RUNS = 7, COPY_RUNS = 12, MAX_THREADS = 256 };
static const long FMA_STEPS = 20000000;

static int threads;
static pthread_barrier_t barrier;
static float *source, *target;
static size_t elements;
static volatile float sink;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

// Enough independent chains to hide the latency, few enough for the registers of every processor.
static void multiply_add(int thread) {
  Vector x[CHAINS], factor, offset;
  for (int lane = 0; lane < LANES; lane++) {
    factor[lane] = 0.999f;
    offset[lane] = 1e-3f;
    for (int chain = 0; chain < CHAINS; chain++) x[chain][lane] = chain + thread;
  }
  for (long step = 0; step < FMA_STEPS; step++)
#pragma GCC unroll 12
    for (int chain = 0; chain < CHAINS; chain++) x[chain] = x[chain] * factor + offset;
  float sum = 0;
  for (int chain = 0; chain < CHAINS; chain++) sum += x[chain][0];
  sink = sum;
}

static void part_of_thread(int thread, size_t *begin, size_t *end) {
  size_t part = elements / threads / LANES * LANES;
  *begin = part * thread;
  *end = thread == threads - 1 ? elements : *begin + part;
}

static void fill(int thread) {
  size_t begin, end;
  part_of_thread(thread, &begin, &end);
  for (size_t i = begin; i < end; i++) source[i] = i & 7, target[i] = 0;
}

static void copy(int thread) {
  size_t begin, end;
  part_of_thread(thread, &begin, &end);
  for (size_t i = begin; i < end; i += LANES) *(Vector *)(target + i) = *(Vector *)(source + i) * 1.5f;
}

#ifdef __x86_64__
static void copy_streaming(int thread) {
  size_t begin, end;
  part_of_thread(thread, &begin, &end);
#if defined(__AVX512F__)
  for (size_t i = begin; i < end; i += 16) _mm512_stream_ps(target + i, _mm512_load_ps(source + i));
#else
  for (size_t i = begin; i < end; i += 4) _mm_stream_ps(target + i, _mm_load_ps(source + i));
#endif
  _mm_sfence();
}
#endif

struct Job {
  void (*body)(int thread);
  int thread, runs;
  double best;
};

static void *work(void *argument) {
  struct Job *job = argument;
  for (int run = 0; run < job->runs; run++) {
    pthread_barrier_wait(&barrier);
    double start = now();
    job->body(job->thread);
    pthread_barrier_wait(&barrier);
    double time = now() - start;
    if (run == 0 || time < job->best) job->best = time;
  }
  return 0;
}

// Seconds of the fastest of `runs` runs, from all threads' start to the end of the last.
static double fastest(void (*body)(int), int runs) {
  pthread_t handles[MAX_THREADS];
  struct Job jobs[MAX_THREADS];
  for (int i = 0; i < threads; i++) {
    jobs[i] = (struct Job){body, i, runs, 0};
    if (pthread_create(&handles[i], 0, work, &jobs[i])) abort();
  }
  for (int i = 0; i < threads; i++) pthread_join(handles[i], 0);
  return jobs[0].best;
}

static float *map(size_t bytes) {
  void *address = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) abort();
  madvise(address, bytes, MADV_HUGEPAGE);
  return address;
}

int main(int count, char **arguments) {
  threads = count > 1 ? atoi(arguments[1]) : 1;
  if (threads < 1 || threads > MAX_THREADS) return 2;
  pthread_barrier_init(&barrier, 0, threads);
  double operations = 2.0 * LANES * CHAINS * FMA_STEPS * threads;
  printf("{\"threads\": %d, \"vector_bits\": %d, \"fma_gflops\": %.1f, \"copies\": [", threads, VECTOR_BYTES * 8,
         operations / fastest(multiply_add, FMA_RUNS) * 1e-9);
  const size_t mebibytes[] = {32, 64, 1024};
  for (int size = 0; size < 3; size++) {
    size_t bytes = mebibytes[size] << 20;
    elements = bytes / sizeof(float);
    source = map(bytes);
    target = map(bytes);
    fastest(fill, 1);
    printf("%s{\"mib\": %zu, \"ordinary_gbs\": %.1f", size ? ", " : "", mebibytes[size],
           2.0 * bytes / fastest(copy, COPY_RUNS) * 1e-9);
#ifdef __x86_64__
    printf(", \"streaming_gbs\": %.1f", 2.0 * bytes / fastest(copy_streaming, COPY_RUNS) * 1e-9);
#endif
    printf("}");
    munmap(source, bytes);
    munmap(target, bytes);
  }
  printf("]}\n");
}
