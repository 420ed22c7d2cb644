/// The one team of worker threads that generated code, OpenBLAS and oneDNN share.
///
/// The team is libgomp's, loaded at run time after its spin settings are in the environment. libgomp keeps a pool of
/// workers for each thread that opens a parallel region, and gives up spinning as soon as the pools together have
/// more threads than there are processors. So regions are opened by few threads only: the process's main thread
/// opens them itself, and every other thread hands its work to one long-lived master thread.
/// Without libgomp a small pool of threads of our own takes its place.
#ifndef MARTLET_TEAM_H
#define MARTLET_TEAM_H

#include <stdint.h>

/// Work handed to the team's master.
typedef void (*martlet_task)(void *context);
/// The body of a parallel region, called once by each of `workers` workers, numbered from 0.
typedef void (*martlet_body)(void *context, int32_t worker, int32_t workers);

/// Loads libgomp and sets the number of workers; later calls only change the number. Returns the number.
///
/// `threads` 0 means OMP_NUM_THREADS if that is set, else every processor that the process may use. The limit is 1024.
/// How long idle workers spin before they sleep is GOMP_SPINCOUNT if the user set it (or OMP_WAIT_POLICY), else
/// 4,000 pauses: about 0.1 ms, enough to go from one step of a run to the next.
/// Takes effect in each thread with the next `martlet_team_run`.
int32_t martlet_team_start(int32_t threads);

/// The number of workers; starts the team if need be.
int32_t martlet_team_threads(void);

/// What runs the team, for people: libgomp and its path, or why it is not libgomp.
const char *martlet_team_message(void);

/// Runs `task(context)` where parallel regions may be opened and threaded libraries called; returns when it is done.
///
/// On the main thread and inside another task the task runs in place; from any other thread the master runs it.
/// Tasks of different threads run one after the other.
void martlet_team_run(martlet_task task, void *context);

/// Runs `task(context)` on the calling thread, with libraries that make plans for a number of workers told the team's. Any
/// number of threads may do so at once, beside a task that runs; the task must not open parallel regions or call libraries
/// that do. Where libgomp is missing, or inside another task, this is `martlet_team_run`.
void martlet_team_plan(martlet_task task, void *context);

/// Whether this thread is in a task or a parallel region. It must not wait for other threads that run tasks then.
int32_t martlet_team_is_inside(void);

/// Lets the libraries that this thread calls use at most `workers` workers, or with 0 all, until the end of the task; for
/// calls inside `martlet_team_run` and outside a parallel region. Returns 0 where it cannot be done.
int32_t martlet_team_limit(int32_t workers);

/// Runs `body` on every worker and waits for all; inside another region it runs on the calling worker alone.
///
/// Called outside `martlet_team_run` it is a task of its own.
void martlet_team_parallel(martlet_body body, void *context);

/// Lets other workers see how far this one has come, at most 2³¹ − 1, and what it has written until then.
void martlet_progress_report(uint32_t *counter, uint32_t count);

/// Lets other workers see that this one has ended early, and how far it has come.
void martlet_progress_stop(uint32_t *counter);

/// Returns 1 once another worker's counter is at `count` or beyond, 0 if that worker has ended before.
int32_t martlet_progress_wait(uint32_t *counter, uint32_t count);

#endif
