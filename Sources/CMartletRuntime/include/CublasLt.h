/// NVIDIA's matrix products, loaded at run time. Declarations are our own, after the cuBLASLt reference.
#ifndef MARTLET_CUBLASLT_H
#define MARTLET_CUBLASLT_H

#include <stddef.h>
#include <stdint.h>

#include "CUDADriver.h"

typedef struct martlet_cublaslt_handle_s *martlet_cublaslt_handle;
typedef struct martlet_cublaslt_operation_s *martlet_cublaslt_operation;
typedef struct martlet_cublaslt_layout_s *martlet_cublaslt_layout;
typedef struct martlet_cublaslt_preference_s *martlet_cublaslt_preference;
typedef struct martlet_cublaslt_transform_s *martlet_cublaslt_transform;

/// A way to compute a product, which only the library understands.
typedef struct {
  uint64_t data[8];
} martlet_cublaslt_algorithm;

typedef struct {
  martlet_cublaslt_algorithm algorithm;
  size_t workspace_bytes;
  /// 0 where the rest holds.
  int32_t status;
  float waves;
  int32_t reserved[4];
} martlet_cublaslt_heuristic;

enum {
  martlet_cublaslt_float32 = 0,
  martlet_cublaslt_float64 = 1,
  martlet_cublaslt_float16 = 2,
  martlet_cublaslt_bfloat16 = 14,
  martlet_cublaslt_compute_float32 = 68,
  martlet_cublaslt_compute_float64 = 70,
  martlet_cublaslt_compute_bfloat16 = 75,
  martlet_cublaslt_compute_tf32 = 77,
  martlet_cublaslt_plain = 0,
  martlet_cublaslt_transposed = 1,
  martlet_cublaslt_layout_order = 1,
  martlet_cublaslt_layout_batch = 5,
  martlet_cublaslt_layout_batch_stride = 6,
  martlet_cublaslt_operation_transpose_a = 3,
  martlet_cublaslt_operation_transpose_b = 4,
  martlet_cublaslt_operation_epilogue = 7,
  martlet_cublaslt_operation_bias = 8,
  /// A ReLU's mask, or what GELU is given.
  martlet_cublaslt_operation_auxiliary = 11,
  /// From column to column: bits of a mask, a multiple of 128, or elements, a multiple of 8.
  martlet_cublaslt_operation_auxiliary_leading = 12,
  martlet_cublaslt_preference_workspace = 1,
  martlet_cublaslt_preference_reductions = 3,
  /// Parts of sums are kept in the type that is computed in.
  martlet_cublaslt_reductions_in_full = 2,
  martlet_cublaslt_preference_alignment_a = 5,
  martlet_cublaslt_preference_alignment_b = 6,
  martlet_cublaslt_preference_alignment_c = 7,
  martlet_cublaslt_preference_alignment_d = 8,
  martlet_cublaslt_transform_transpose_a = 2,
  martlet_cublaslt_epilogue_none = 1,
  martlet_cublaslt_epilogue_relu = 2,
  martlet_cublaslt_epilogue_bias = 4,
  /// The form with a tangent.
  martlet_cublaslt_epilogue_gelu = 32,
  /// Beside another: what has become of a ReLU's result is written down as bits, or what GELU is given as it is.
  martlet_cublaslt_epilogue_storing = 128,
  /// The gradient of a ReLU, whose mask has the bits that are set where its result was positive.
  martlet_cublaslt_epilogue_masked = 136,
  /// The gradient of GELU, from what that was given.
  martlet_cublaslt_epilogue_gelu_gradient = 192,
  /// The sums of the first factor, or of the second, over the summed dimension go where a bias would be.
  martlet_cublaslt_epilogue_sums_a = 256,
  martlet_cublaslt_epilogue_sums_b = 512,
  martlet_cublaslt_not_supported = 15,
};

/// The functions of cuBLASLt that are used: F(name, parameters). All return 0 or an error.
#define MARTLET_CUBLASLT_FUNCTIONS(F) \
  F(Create, (martlet_cublaslt_handle *handle)) \
  F(Destroy, (martlet_cublaslt_handle handle)) \
  F(MatmulDescCreate, (martlet_cublaslt_operation *operation, int compute_type, int scale_type)) \
  F(MatmulDescDestroy, (martlet_cublaslt_operation operation)) \
  F(MatmulDescSetAttribute, \
    (martlet_cublaslt_operation operation, int attribute, const void *value, size_t bytes)) \
  F(MatrixLayoutCreate, \
    (martlet_cublaslt_layout *layout, int type, uint64_t rows, uint64_t columns, int64_t leading_dimension)) \
  F(MatrixLayoutDestroy, (martlet_cublaslt_layout layout)) \
  F(MatrixLayoutSetAttribute, (martlet_cublaslt_layout layout, int attribute, const void *value, size_t bytes)) \
  F(MatmulPreferenceCreate, (martlet_cublaslt_preference *preference)) \
  F(MatmulPreferenceDestroy, (martlet_cublaslt_preference preference)) \
  F(MatmulPreferenceSetAttribute, \
    (martlet_cublaslt_preference preference, int attribute, const void *value, size_t bytes)) \
  F(MatmulAlgoGetHeuristic, \
    (martlet_cublaslt_handle handle, martlet_cublaslt_operation operation, martlet_cublaslt_layout a, \
     martlet_cublaslt_layout b, martlet_cublaslt_layout c, martlet_cublaslt_layout d, \
     martlet_cublaslt_preference preference, int asked, martlet_cublaslt_heuristic *results, int *found)) \
  F(Matmul, \
    (martlet_cublaslt_handle handle, martlet_cublaslt_operation operation, const void *alpha, const void *a, \
     martlet_cublaslt_layout a_layout, const void *b, martlet_cublaslt_layout b_layout, const void *beta, \
     const void *c, martlet_cublaslt_layout c_layout, void *d, martlet_cublaslt_layout d_layout, \
     const martlet_cublaslt_algorithm *algorithm, void *workspace, size_t workspace_bytes, \
     martlet_cuda_stream stream)) \
  F(MatrixTransformDescCreate, (martlet_cublaslt_transform *transform, int scale_type)) \
  F(MatrixTransformDescDestroy, (martlet_cublaslt_transform transform)) \
  F(MatrixTransformDescSetAttribute, \
    (martlet_cublaslt_transform transform, int attribute, const void *value, size_t bytes)) \
  F(MatrixTransform, \
    (martlet_cublaslt_handle handle, martlet_cublaslt_transform transform, const void *alpha, const void *a, \
     martlet_cublaslt_layout a_layout, const void *beta, const void *b, martlet_cublaslt_layout b_layout, void *c, \
     martlet_cublaslt_layout c_layout, martlet_cuda_stream stream))

typedef struct {
  /// 10000 · major + 100 · minor + patch.
  size_t (*GetVersion)(void);
  /// 1000 · major + 10 · minor of the CUDA that it was built for.
  size_t (*GetCudartVersion)(void);
  const char *(*GetStatusName)(int status);
  const char *(*GetStatusString)(int status);
#define F(name, parameters) int(*name) parameters;
  MARTLET_CUBLASLT_FUNCTIONS(F)
#undef F
} martlet_cublaslt;

/// Finds the functions in a library that `dlopen` gave. Returns NULL, or the name of the first that is missing.
const char *martlet_cublaslt_find(void *handle, martlet_cublaslt *library);

#endif
