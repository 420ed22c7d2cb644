#define _GNU_SOURCE
#include "Machine.h"

#if defined(__x86_64__)
#include <cpuid.h>
#else
#include <sys/auxv.h>
#endif
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static martlet_machine machine;

/// The processors' worth of time a control group (version 2) allows, rounded up; `limit` if it does not say.
static int32_t quota(int32_t limit) {
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
  if (!file) return limit;
  long long allowed = 0, period = 0;
  int found = fscanf(file, "%lld %lld", &allowed, &period);
  fclose(file);
  if (found != 2 || allowed <= 0 || period <= 0) return limit;
  long long processors = (allowed + period - 1) / period;
  return processors < limit ? (int32_t)processors : limit;
}

static int32_t processors(void) {
  int32_t count = 0;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  if (count < 1) count = (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
  if (count < 1) count = 1;
  return quota(count);
}

/// The size in bytes of the cache at `level` that holds data, from sysfs; 0 if it is not there.
static int64_t cache(int level) {
  for (int index = 0; index < 8; index++) {
    char path[96], type[32] = "", unit = 0;
    int found_level = 0;
    long long size = 0;
    FILE *file;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", index);
    if (!(file = fopen(path, "r"))) return 0;
    int found = fscanf(file, "%d", &found_level);
    fclose(file);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", index);
    if (!(file = fopen(path, "r"))) return 0;
    found += fscanf(file, "%31s", type);
    fclose(file);
    if (found != 2 || found_level != level || strcmp(type, "Instruction") == 0) continue;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
    if (!(file = fopen(path, "r"))) return 0;
    found = fscanf(file, "%lld%c", &size, &unit);
    fclose(file);
    if (found < 1) return 0;
    return unit == 'K' ? size << 10 : unit == 'M' ? size << 20 : size;
  }
  return 0;
}

static void find_name(void) {
  struct utsname names;
  snprintf(machine.name, sizeof machine.name, "unknown");
  if (uname(&names) == 0) {
    snprintf(machine.architecture, sizeof machine.architecture, "%.*s", 15, names.machine);
  }
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (!file) return;
  char line[256];
  while (fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon) continue;
    char *start = colon + 1 + strspn(colon + 1, " \t");
    start[strcspn(start, "\n")] = 0;
    snprintf(machine.name, sizeof machine.name, "%.63s", start);
    break;
  }
  fclose(file);
}

/// Adds a number to `code_features`. FNV-1a over words. Source: G. Fowler, L. C. Noll, K.-P. Vo, the FNV hash.
static void add_feature(uint64_t value) {
  machine.code_features = (machine.code_features ^ value) * 0x100000001B3u;
  machine.code_features ^= machine.code_features >> 32;
}

static void find_features(void) {
  machine.code_features = 0xCBF29CE484222325u;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d)) {
    // The rest of b tells on which core this runs.
    add_feature(a), add_feature(c), add_feature(d);
    if (c & (1u << 27)) {
      unsigned low, high;
      __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
      add_feature(low);
    }
  }
  for (unsigned leaf = 0; leaf < 2; leaf++) {
    if (__get_cpuid_count(7, leaf, &a, &b, &c, &d)) add_feature(a), add_feature(b), add_feature(c), add_feature(d);
  }
  if (__get_cpuid(0x80000001u, &a, &b, &c, &d)) add_feature(c), add_feature(d);
#else
  add_feature(getauxval(AT_HWCAP));
  add_feature(getauxval(AT_HWCAP2));
#endif
  for (const char *p = machine.name; *p; p++) add_feature((unsigned char)*p);
}

static void look(void) {
  machine.processors = processors();
  machine.l1_bytes = cache(1);
  machine.l2_bytes = cache(2);
  machine.l3_bytes = cache(3);
  machine.page_bytes = sysconf(_SC_PAGESIZE);
  machine.memory_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * machine.page_bytes;
  machine.vector_bits = 128;
#if defined(__x86_64__)
  __builtin_cpu_init();
  machine.has_avx2_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  machine.has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl");
  machine.has_avx512_bf16 = machine.has_avx512 && __builtin_cpu_supports("avx512bf16");
  machine.has_avx512_vnni = machine.has_avx512 && __builtin_cpu_supports("avx512vnni");
#if defined(__clang__) && __clang_major__ >= 17
  machine.has_amx = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16");
#endif
  machine.vector_bits = machine.has_avx512 ? 512 : machine.has_avx2_fma ? 256 : 128;
#endif
  find_name();
  find_features();
}

const martlet_machine *martlet_machine_facts(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, look);
  return &machine;
}
