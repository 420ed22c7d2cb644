#include "Kernel.h"

#include "Team.h"

typedef struct {
  martlet_kernel kernel;
  const int64_t *params;
  uint8_t *const *slots;
  martlet_status *status;
  uint8_t *scratch;
  int64_t scratch_bytes;
  int64_t count;
  int64_t chunks;
} launch;

/// The first iteration of chunk `index`: chunks differ by one iteration at most.
static int64_t first(const launch *work, int64_t index) {
  int64_t least = work->count / work->chunks, rest = work->count % work->chunks;
  return index * least + (index < rest ? index : rest);
}

static void run_chunks(void *context, int32_t worker, int32_t workers) {
  const launch *work = context;
  uint8_t *scratch = work->scratch ? work->scratch + worker * work->scratch_bytes : NULL;
  for (int64_t chunk = worker; chunk < work->chunks; chunk += workers) {
    work->kernel(
      work->params, work->slots, work->status, scratch, first(work, chunk), first(work, chunk + 1));
  }
}

void martlet_team_kernel(
  martlet_kernel kernel, const int64_t *params, uint8_t *const *slots, martlet_status *status, uint8_t *scratch,
  int64_t scratch_bytes, int64_t count, int64_t grain) {
  if (count <= 0) return;
  int64_t chunks = count / (grain > 0 ? grain : 1);
  int64_t threads = martlet_team_threads();
  if (chunks > threads) chunks = threads;
  if (chunks <= 1) {
    kernel(params, slots, status, scratch, 0, count);
    return;
  }
  launch work = {kernel, params, slots, status, scratch, scratch_bytes, count, chunks};
  martlet_team_parallel(run_chunks, &work);
}

void martlet_status_raise(martlet_status *status, int32_t code, int64_t site, int64_t index) {
  int32_t none = 0;
  if (__atomic_compare_exchange_n(&status->code, &none, code, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    status->site = site;
    status->index = index;
  }
}

void martlet_code_flush(void *start, size_t byte_count) {
  __builtin___clear_cache((char *)start, (char *)start + byte_count);
}
