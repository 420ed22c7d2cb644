/// A counter that one thread raises and others wait for: spinning first, then asleep in the kernel.
#ifndef MARTLET_WAIT_H
#define MARTLET_WAIT_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
  _Atomic uint32_t value;
  _Atomic uint32_t sleepers;
} martlet_signal;

static inline uint32_t martlet_signal_value(martlet_signal *signal) { return atomic_load(&signal->value); }

static inline void martlet_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

/// Returns once the value is no longer `old`.
static inline void martlet_signal_wait(martlet_signal *signal, uint32_t old, int spins) {
  for (int i = 0; i < spins; i++) {
    if (atomic_load_explicit(&signal->value, memory_order_acquire) != old) return;
    martlet_pause();
  }
  // The sleeper is counted before it looks again, and the poster raises the value before it looks for sleepers.
  atomic_fetch_add(&signal->sleepers, 1);
  while (atomic_load(&signal->value) == old) {
    syscall(SYS_futex, &signal->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
  }
  atomic_fetch_sub(&signal->sleepers, 1);
}

static inline void martlet_signal_post(martlet_signal *signal) {
  atomic_fetch_add(&signal->value, 1);
  if (atomic_load(&signal->sleepers)) {
    syscall(SYS_futex, &signal->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
  }
}

#endif
