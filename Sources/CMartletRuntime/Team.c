#define _GNU_SOURCE
#include "Team.h"

#include "Library.h"
#include "Machine.h"
#include "Wait.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// libgomp is not instrumented, so its barriers have to be told.
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define ACQUIRE(address) __tsan_acquire(address)
#define RELEASE(address) __tsan_release(address)
#endif
#endif
#ifndef ACQUIRE
#define ACQUIRE(address) ((void)(address))
#define RELEASE(address) ((void)(address))
#endif

enum { most_threads = 1024 };

// Measured on two processors: a caller that spins for longer takes a core from the team it waits for, and a master
// that spins for longer takes one from the caller's own work between two runs. On a busy machine a worker that spins for
// longer spends its share of the processor on waiting, and has none left when there is work.
enum { caller_spins = 100, master_spins = 2000, worker_spins = 4000 };

typedef struct {
  martlet_body body;
  void *context;
} region;

static martlet_library library;
static void (*gomp_parallel)(void (*)(void *), void *, unsigned, unsigned);
static int (*gomp_thread)(void);
static int (*gomp_threads)(void);
static void (*gomp_set_threads)(int);
static int (*gomp_most_threads)(void);

static pthread_once_t started = PTHREAD_ONCE_INIT;
static _Atomic int32_t threads;

/// Held while a task runs.
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
/// The master's mailbox; written under the gate.
static struct {
  martlet_task task;
  void *context;
  martlet_signal posted;
  martlet_signal finished;
} mailbox;

static _Thread_local int in_task;
static _Thread_local int in_region;
/// The thread count that this thread last gave libgomp.
static _Thread_local int32_t threads_told;

// MARK: Workers of our own, where libgomp is missing

static struct {
  region work;
  int32_t workers;
  int32_t created;
  martlet_signal opened;
  martlet_signal closed;
  _Atomic int32_t running;
} fallback;

static void *fallback_worker(void *argument) {
  int32_t worker = (int32_t)((uintptr_t)argument & 0xffff);
  uint32_t seen = (uint32_t)((uintptr_t)argument >> 16);
  in_region = 1;
  for (;;) {
    martlet_signal_wait(&fallback.opened, seen, worker_spins);
    seen++;
    if (worker < fallback.workers) fallback.work.body(fallback.work.context, worker, fallback.workers);
    if (atomic_fetch_sub(&fallback.running, 1) == 1) martlet_signal_post(&fallback.closed);
  }
  return NULL;
}

static void fallback_parallel(region *work, int32_t workers) {
  if (fallback.created == 0) fallback.created = 1;
  while (fallback.created < workers) {
    // A worker's number, and the regions so far, in which it has no part.
    uintptr_t start = (uintptr_t)martlet_signal_value(&fallback.opened) << 16 | (uintptr_t)fallback.created;
    pthread_t thread;
    if (pthread_create(&thread, NULL, fallback_worker, (void *)start) != 0) break;
    pthread_detach(thread);
    fallback.created++;
  }
  if (workers > fallback.created) workers = fallback.created;
  fallback.work = *work;
  fallback.workers = workers;
  in_region = 1;
  if (fallback.created > 1) {
    uint32_t before = martlet_signal_value(&fallback.closed);
    atomic_store(&fallback.running, fallback.created - 1);
    martlet_signal_post(&fallback.opened);
    work->body(work->context, 0, workers);
    martlet_signal_wait(&fallback.closed, before, worker_spins);
  } else {
    work->body(work->context, 0, 1);
  }
  in_region = 0;
}

// MARK: Start

static int is_main_thread(void) { return syscall(SYS_gettid) == getpid(); }

static void *master(void *unused) {
  uint32_t seen = 0;
  in_task = 1;
  for (;;) {
    martlet_signal_wait(&mailbox.posted, seen, master_spins);
    seen++;
    int32_t wanted = atomic_load(&threads);
    if (gomp_set_threads && threads_told != wanted) gomp_set_threads(threads_told = wanted);
    mailbox.task(mailbox.context);
    martlet_signal_post(&mailbox.finished);
  }
  return unused;
}

static void load_gomp(void) {
  static const char *const names[] = {"libgomp.so.1", NULL};
  // libgomp reads its environment once, in its constructor; children of this process must not inherit our choice.
  int choose = !getenv("GOMP_SPINCOUNT") && !getenv("OMP_WAIT_POLICY");
  if (choose) {
    char spins[16];
    snprintf(spins, sizeof spins, "%d", worker_spins);
    setenv("GOMP_SPINCOUNT", spins, 1);
    // With more threads than processors "active" still spins for 1,000 pauses instead of 100.
    setenv("OMP_WAIT_POLICY", "active", 1);
  }
  if (martlet_library_open(&library, "worker team by libgomp", "MARTLET_GOMP", names)) {
    gomp_parallel = martlet_library_symbol(&library, "GOMP_parallel");
    gomp_thread = martlet_library_symbol(&library, "omp_get_thread_num");
    gomp_threads = martlet_library_symbol(&library, "omp_get_num_threads");
    gomp_set_threads = martlet_library_symbol(&library, "omp_set_num_threads");
    gomp_most_threads = martlet_library_symbol(&library, "omp_get_max_threads");
    if (!gomp_parallel || !gomp_thread || !gomp_threads || !gomp_set_threads || !gomp_most_threads) {
      gomp_parallel = NULL;
      gomp_set_threads = NULL;
    }
  }
  if (choose) {
    unsetenv("GOMP_SPINCOUNT");
    unsetenv("OMP_WAIT_POLICY");
  }
}

static void start(void) {
  load_gomp();
  pthread_t thread;
  if (pthread_create(&thread, NULL, master, NULL) != 0) abort();
  pthread_detach(thread);
}

static int32_t default_threads(void) {
  const char *text = getenv("OMP_NUM_THREADS");
  int asked = text ? atoi(text) : 0;
  return asked > 0 ? asked : martlet_machine_facts()->processors;
}

int32_t martlet_team_start(int32_t count) {
  pthread_once(&started, start);
  if (count <= 0) count = default_threads();
  if (count > most_threads) count = most_threads;
  atomic_store(&threads, count);
  return count;
}

int32_t martlet_team_threads(void) {
  int32_t count = atomic_load(&threads);
  return count ? count : martlet_team_start(0);
}

const char *martlet_team_message(void) {
  martlet_team_threads();
  return library.message;
}

// MARK: Running

void martlet_team_run(martlet_task task, void *context) {
  if (in_task || in_region) {
    task(context);
    return;
  }
  int32_t wanted = martlet_team_threads();
  int in_place = is_main_thread();
  pthread_mutex_lock(&gate);
  if (in_place) {
    if (gomp_set_threads && threads_told != wanted) gomp_set_threads(threads_told = wanted);
    in_task = 1;
    task(context);
    in_task = 0;
  } else {
    mailbox.task = task;
    mailbox.context = context;
    uint32_t before = martlet_signal_value(&mailbox.finished);
    martlet_signal_post(&mailbox.posted);
    martlet_signal_wait(&mailbox.finished, before, caller_spins);
  }
  pthread_mutex_unlock(&gate);
}

int32_t martlet_team_is_inside(void) { return in_task || in_region; }

void martlet_team_plan(martlet_task task, void *context) {
  int32_t wanted = martlet_team_threads();
  if (in_task || in_region || !gomp_set_threads) {
    martlet_team_run(task, context);
    return;
  }
  int before = gomp_most_threads();
  if (before != wanted) gomp_set_threads(wanted);
  task(context);
  if (before != wanted) gomp_set_threads(before);
}

int32_t martlet_team_limit(int32_t workers) {
  int32_t wanted = workers > 0 ? workers : martlet_team_threads();
  if (!gomp_set_threads) return 0;
  if (threads_told != wanted) gomp_set_threads(threads_told = wanted);
  return 1;
}

// MARK: Workers that wait for each other

/// Beside the count of a worker that goes no further.
static const uint32_t stopped = UINT32_C(1) << 31;

void martlet_progress_report(uint32_t *counter, uint32_t count) { __atomic_store_n(counter, count, __ATOMIC_RELEASE); }

void martlet_progress_stop(uint32_t *counter) { __atomic_fetch_or(counter, stopped, __ATOMIC_RELEASE); }

int32_t martlet_progress_wait(uint32_t *counter, uint32_t count) {
  for (int spins = 0;;) {
    uint32_t value = __atomic_load_n(counter, __ATOMIC_ACQUIRE);
    if ((value & ~stopped) >= count) return 1;
    if (value & stopped) return 0;
    // On a busy machine the other worker may have no processor.
    if (spins < worker_spins) {
      spins++;
      martlet_pause();
    } else {
      sched_yield();
    }
  }
}

static void gomp_body(void *argument) {
  region *work = argument;
  ACQUIRE(work);
  in_region = 1;
  work->body(work->context, gomp_thread(), gomp_threads());
  in_region = 0;
  RELEASE(work);
}

static void parallel_task(void *argument) {
  region *work = argument;
  martlet_team_parallel(work->body, work->context);
}

void martlet_team_parallel(martlet_body body, void *context) {
  region work = {body, context};
  if (in_region) {
    body(context, 0, 1);
    return;
  }
  if (!in_task) {
    martlet_team_run(parallel_task, &work);
    return;
  }
  int32_t workers = martlet_team_threads();
  if (workers == 1) {
    in_region = 1;
    body(context, 0, 1);
    in_region = 0;
  } else if (gomp_parallel) {
    RELEASE(&work);
    gomp_parallel(gomp_body, &work, (unsigned)workers, 0);
    ACQUIRE(&work);
  } else {
    fallback_parallel(&work, workers);
  }
}
