/// Matrix products by OpenBLAS, loaded at run time.
#ifndef MARTLET_BLAS_H
#define MARTLET_BLAS_H

#include <stdint.h>

/// What is known of the BLAS in use.
typedef struct {
  /// 1 if it was loaded and has what is needed. The other members then hold, and the products may be called.
  int32_t available;
  /// 0 sequential, 1 threads of its own, 2 OpenMP (the team's threads).
  int32_t parallel;
  /// For people: what was loaded, or what was looked for and why that failed; and what is wrong with the choice.
  const char *message;
  /// File, configuration string (with the version) and the processor type that its kernels are for.
  const char *path;
  const char *configuration;
  const char *core;
} martlet_blas;

/// OpenBLAS, loaded at the first call (after the team, whose libgomp it shares).
///
/// MARTLET_BLAS names a file to load instead of those looked for. Which kernels it uses is decided while it loads:
/// MARTLET_BLAS_CORE if that is set (a name as for OPENBLAS_CORETYPE), else, for versions before 0.3.25, which do not
/// know newer processors, SkylakeX or Haswell by what this processor can do; newer versions decide for themselves.
/// An OPENBLAS_CORETYPE that the process inherited is ignored, as it is set for whole machines, and restored after.
const martlet_blas *martlet_blas_library(void);

/// C = alpha op(A) op(B) + beta C for row-major matrices; op(A) is m by k, op(B) k by n.
///
/// Sizes fit 31 bits. A leading dimension is the distance in elements between two rows as stored. With `beta` 0
/// C is not read. Call these inside `martlet_team_run`, and only if the library is available.
void martlet_blas_sgemm(
  int32_t transpose_a, int32_t transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
  const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
void martlet_blas_dgemm(
  int32_t transpose_a, int32_t transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
  int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc);

/// y = alpha op(A) x + beta y for a row-major m by n matrix A as stored.
void martlet_blas_sgemv(
  int32_t transpose, int64_t m, int64_t n, float alpha, const float *a, int64_t lda, const float *x, float beta,
  float *y);
void martlet_blas_dgemv(
  int32_t transpose, int64_t m, int64_t n, double alpha, const double *a, int64_t lda, const double *x, double beta,
  double *y);

#endif
