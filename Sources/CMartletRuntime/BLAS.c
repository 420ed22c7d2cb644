#include "BLAS.h"

#include "Library.h"
#include "Machine.h"
#include "Team.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { row_major = 101, plain = 111, transposed = 112 };

typedef void (*sgemm_function)(
  int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
typedef void (*dgemm_function)(
  int, int, int, int, int, int, double, const double *, int, const double *, int, double, double *, int);
typedef void (*sgemv_function)(
  int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
typedef void (*dgemv_function)(
  int, int, int, int, double, const double *, int, const double *, int, double, double *, int);

static martlet_library library;
static martlet_blas blas;
static sgemm_function sgemm;
static dgemm_function dgemm;
static sgemv_function sgemv;
static dgemv_function dgemv;
static char core_name[64];
static char configuration[256];

// The full path of the OpenMP build comes first: Debian's plain name leads to the build with threads of its own.
// Fedora calls the OpenMP build libopenblaso.
static const char *const candidates[] = {
#if defined(__x86_64__)
  "/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblas.so.0",
#elif defined(__aarch64__)
  "/usr/lib/aarch64-linux-gnu/openblas-openmp/libopenblas.so.0",
#endif
  "libopenblaso.so.0", "libopenblas.so.0", "libopenblas.so", NULL};

/// Whether the file, whose name carries the version ("libopenblasp-r0.3.21.so"), is one that must be told the core.
static int must_be_told(const char *path) {
  char resolved[PATH_MAX];
  const char *name = path && realpath(path, resolved) ? resolved : "";
  const char *version = strstr(name, "-r");
  int major = 0, minor = 0, patch = 0;
  if (!version || sscanf(version, "-r%d.%d.%d", &major, &minor, &patch) != 3) return 1;
  return major == 0 && (minor < 3 || (minor == 3 && patch < 25));
}

/// The value of OPENBLAS_CORETYPE to load with; NULL to leave the choice to OpenBLAS.
static const char *choose_core(void) {
  const char *asked = getenv("MARTLET_BLAS_CORE");
  if (asked && asked[0]) return asked;
  const char *path = getenv("MARTLET_BLAS");
  if (!must_be_told(path && path[0] ? path : candidates[0])) return NULL;
  if (martlet_machine_facts()->has_avx512) return "SkylakeX";
  if (martlet_machine_facts()->has_avx2_fma) return "Haswell";
  return NULL;
}

static int find_functions(void) {
  sgemm = (sgemm_function)martlet_library_symbol(&library, "cblas_sgemm");
  dgemm = (dgemm_function)martlet_library_symbol(&library, "cblas_dgemm");
  sgemv = (sgemv_function)martlet_library_symbol(&library, "cblas_sgemv");
  dgemv = (dgemv_function)martlet_library_symbol(&library, "cblas_dgemv");
  char *(*get_core)(void) = (char *(*)(void))martlet_library_symbol(&library, "openblas_get_corename");
  char *(*get_configuration)(void) = (char *(*)(void))martlet_library_symbol(&library, "openblas_get_config");
  int (*get_parallel)(void) = (int (*)(void))martlet_library_symbol(&library, "openblas_get_parallel");
  void (*set_threads)(int) = (void (*)(int))martlet_library_symbol(&library, "openblas_set_num_threads");
  if (!sgemm || !dgemm || !sgemv || !dgemv || !get_core || !get_configuration || !get_parallel || !set_threads) {
    return 0;
  }
  snprintf(core_name, sizeof core_name, "%s", get_core());
  snprintf(configuration, sizeof configuration, "%s", get_configuration());
  blas.parallel = get_parallel();
  // An OpenMP build follows the thread count of whoever calls it; another build has a count of its own.
  if (blas.parallel == 1) set_threads(martlet_team_threads());
  return 1;
}

/// Says what keeps a loaded library from its full speed.
static void find_faults(void) {
  size_t used = strlen(library.message);
  if (blas.parallel != 2) {
    snprintf(
      library.message + used, sizeof library.message - used,
      "; it does not share the team's threads, which makes runs slower: install libopenblas0-openmp");
    used = strlen(library.message);
  }
  if (martlet_machine_facts()->has_avx2_fma) {
    static const char *const slow[] = {"Prescott", "Core2", "Nehalem", "Penryn", "Generic", "Sandybridge"};
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
      if (strcasecmp(core_name, slow[i]) != 0) continue;
      snprintf(
        library.message + used, sizeof library.message - used,
        "; its kernels are for %s, several times slower than this processor allows", core_name);
    }
  }
}

static void load(void) {
  martlet_team_start(0);
  const char *inherited = getenv("OPENBLAS_CORETYPE");
  char *kept = inherited ? strdup(inherited) : NULL;
  const char *core = choose_core();
  if (core) {
    setenv("OPENBLAS_CORETYPE", core, 1);
  } else {
    unsetenv("OPENBLAS_CORETYPE");
  }
  martlet_library_open(&library, "matrix products by OpenBLAS", "MARTLET_BLAS", candidates);
  if (kept) {
    setenv("OPENBLAS_CORETYPE", kept, 1);
    free(kept);
  } else {
    unsetenv("OPENBLAS_CORETYPE");
  }
  if (library.handle && find_functions()) {
    blas.available = 1;
    find_faults();
  }
  blas.message = library.message;
  blas.path = library.path;
  blas.configuration = configuration;
  blas.core = core_name;
}

const martlet_blas *martlet_blas_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return &blas;
}

static int transposition(int32_t transpose) { return transpose ? transposed : plain; }

void martlet_blas_sgemm(
  int32_t transpose_a, int32_t transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
  const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  sgemm(
    row_major, transposition(transpose_a), transposition(transpose_b), (int)m, (int)n, (int)k, alpha, a, (int)lda, b,
    (int)ldb, beta, c, (int)ldc);
}

void martlet_blas_dgemm(
  int32_t transpose_a, int32_t transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
  int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc) {
  dgemm(
    row_major, transposition(transpose_a), transposition(transpose_b), (int)m, (int)n, (int)k, alpha, a, (int)lda, b,
    (int)ldb, beta, c, (int)ldc);
}

void martlet_blas_sgemv(
  int32_t transpose, int64_t m, int64_t n, float alpha, const float *a, int64_t lda, const float *x, float beta,
  float *y) {
  sgemv(row_major, transposition(transpose), (int)m, (int)n, alpha, a, (int)lda, x, 1, beta, y, 1);
}

void martlet_blas_dgemv(
  int32_t transpose, int64_t m, int64_t n, double alpha, const double *a, int64_t lda, const double *x, double beta,
  double *y) {
  dgemv(row_major, transposition(transpose), (int)m, (int)n, alpha, a, (int)lda, x, 1, beta, y, 1);
}
