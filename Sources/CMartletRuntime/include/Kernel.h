/// Generated kernels, and how the team runs one.
#ifndef MARTLET_KERNEL_H
#define MARTLET_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/// The first fault that a run's kernels met; `code` 0 while there was none.
typedef struct {
  /// Which check: an index into the plan's table of sites.
  int64_t site;
  /// The offending index or iteration.
  int64_t index;
  int32_t code;
  int32_t reserved;
} martlet_status;

/// A kernel over the iterations `begin ..< end` of its outermost loop.
///
/// `params` are integers such as extents and offsets, `slots` the addresses of its operands and results, `scratch`
/// memory of this worker alone.
typedef void (*martlet_kernel)(
  const int64_t *params, uint8_t *const *slots, martlet_status *status, uint8_t *scratch, int64_t begin, int64_t end);

/// Records a fault unless there is one already. Any number of workers may call it at once.
void martlet_status_raise(martlet_status *status, int32_t code, int64_t site, int64_t index);

/// Makes the processor see code that was just written; does nothing where it sees it anyway.
void martlet_code_flush(void *start, size_t byte_count);

/// Runs `count` iterations of a kernel on the team, in one contiguous chunk for each worker.
///
/// No worker gets fewer than `grain` iterations (at least 1); where one chunk is left it runs on the calling thread.
/// Worker w has the memory at `scratch + w * scratch_bytes`; no more workers take part than `martlet_team_threads()`.
void martlet_team_kernel(
  martlet_kernel kernel, const int64_t *params, uint8_t *const *slots, martlet_status *status, uint8_t *scratch,
  int64_t scratch_bytes, int64_t count, int64_t grain);

#endif
