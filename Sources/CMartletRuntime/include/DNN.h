/// Convolution, pooling, batched products and layout changes by oneDNN 2 or 3, loaded at run time.
#ifndef MARTLET_DNN_H
#define MARTLET_DNN_H

#include <stddef.h>
#include <stdint.h>

/// What is known of the oneDNN in use.
typedef struct {
  /// 1 if a fitting version was loaded. The other members then hold, and primitives may be made.
  int32_t available;
  int32_t major;
  int32_t minor;
  int32_t patch;
  /// 1 if it runs on OpenMP (the team's threads).
  int32_t shares_team;
  /// For people: what was loaded, or what was looked for and why that failed; and what is wrong with the choice.
  const char *message;
  const char *path;
} martlet_dnn;

/// oneDNN, loaded at the first call (after the team, whose libgomp it shares).
///
/// MARTLET_DNNL names a file to load instead of those looked for (`libdnnl.so.3`, then `libdnnl.so.2`).
const martlet_dnn *martlet_dnn_library(void);

/// Element types, with oneDNN's numbers.
typedef enum {
  martlet_dnn_f16 = 1,
  martlet_dnn_bf16 = 2,
  martlet_dnn_f32 = 3,
  martlet_dnn_s32 = 4,
  martlet_dnn_s8 = 5,
  martlet_dnn_u8 = 6
} martlet_dnn_type;

enum { martlet_dnn_max_rank = 12, martlet_dnn_max_spatial = 3, martlet_dnn_max_epilogues = 4 };

/// A layout of oneDNN's own choice, owned by who got it.
typedef struct martlet_dnn_layout_s martlet_dnn_layout;

typedef enum {
  /// The tensor is not there (a bias, for example).
  martlet_dnn_absent,
  /// Laid out by `strides`.
  martlet_dnn_strided,
  /// Laid out as oneDNN likes it best; ask the primitive for the layout.
  martlet_dnn_any,
  /// Laid out as `layout` says, which came from another primitive.
  martlet_dnn_opaque
} martlet_dnn_placement;

/// A tensor: its dimensions in oneDNN's logical order and how they lie in memory.
///
/// Logical orders: activations N C [D] [H] W; weights [G] O I [D] [H] W, where O and I count within one of G groups;
/// a bias O; matrices [batch …] rows columns.
typedef struct {
  martlet_dnn_placement placement;
  martlet_dnn_type type;
  int32_t rank;
  int64_t dims[martlet_dnn_max_rank];
  /// In elements, one for each dimension: NHWC activations have strides H·W·C, 1, W·C, C.
  int64_t strides[martlet_dnn_max_rank];
  const martlet_dnn_layout *layout;
} martlet_dnn_tensor;

typedef enum {
  martlet_dnn_convolution,
  /// From the gradient of the destination and the weights to the gradient of the source.
  martlet_dnn_convolution_source_gradient,
  /// From the source and the gradient of the destination to the gradients of weights and bias.
  martlet_dnn_convolution_weights_gradient,
  martlet_dnn_pooling,
  /// From the gradient of the destination and the workspace (maxima only) to the gradient of the source.
  martlet_dnn_pooling_gradient,
  /// destination = source · weights + bias; leading dimensions of 1 are broadcast.
  martlet_dnn_product,
  /// From the source's layout and type to the destination's.
  martlet_dnn_reorder
} martlet_dnn_kind;

typedef enum {
  martlet_dnn_direct,
  /// Fewer multiplications, larger rounding errors; 3×3 windows with stride 1, where the version has it.
  martlet_dnn_winograd,
  martlet_dnn_maximum,
  martlet_dnn_average_including_padding,
  martlet_dnn_average_excluding_padding
} martlet_dnn_algorithm;

typedef enum {
  /// destination = result + alpha · what the destination held.
  martlet_dnn_add_destination,
  /// x for x > 0, else alpha · x.
  martlet_dnn_relu,
  martlet_dnn_tanh,
  martlet_dnn_sigmoid,
  /// x for x > 0, else alpha · (exp x − 1).
  martlet_dnn_elu,
  martlet_dnn_gelu_erf,
  martlet_dnn_gelu_tanh,
  /// x held between alpha and beta.
  martlet_dnn_clip
} martlet_dnn_epilogue_kind;

typedef struct {
  martlet_dnn_epilogue_kind kind;
  float alpha;
  float beta;
} martlet_dnn_epilogue;

/// What a primitive computes. In gradients, `source`, `weights`, `bias` and `destination` describe the gradients where
/// those are computed or given: they have the shapes of what they are gradients of. Zero what is not needed.
typedef struct {
  martlet_dnn_kind kind;
  martlet_dnn_algorithm algorithm;
  martlet_dnn_tensor source;
  martlet_dnn_tensor weights;
  martlet_dnn_tensor bias;
  martlet_dnn_tensor destination;
  /// Spatial dimensions of a convolution or pooling, outermost first. A dilation of 1 is dense.
  int32_t spatial;
  int64_t window[martlet_dnn_max_spatial];
  int64_t strides[martlet_dnn_max_spatial];
  int64_t dilations[martlet_dnn_max_spatial];
  int64_t padding_before[martlet_dnn_max_spatial];
  int64_t padding_after[martlet_dnn_max_spatial];
  /// Pooling: keep in a workspace what the gradient needs.
  int32_t training;
  /// Run on one thread, so that the number of workers has no part in the order of sums.
  int32_t one_thread;
  /// Applied to the result, in order. For convolutions and products.
  int32_t epilogue_count;
  martlet_dnn_epilogue epilogues[martlet_dnn_max_epilogues];
} martlet_dnn_description;

/// The places of a primitive's tensors in the list of pointers that it is run with.
typedef enum {
  martlet_dnn_source_role,
  martlet_dnn_weights_role,
  martlet_dnn_bias_role,
  martlet_dnn_destination_role,
  martlet_dnn_workspace_role,
  martlet_dnn_scratch_role,
  martlet_dnn_role_count
} martlet_dnn_role;

typedef struct martlet_dnn_primitive_s martlet_dnn_primitive;

/// Makes a primitive for the team's present number of workers.
///
/// Returns NULL, and one readable sentence in `message`, if oneDNN does not do what is described.
martlet_dnn_primitive *martlet_dnn_make(const martlet_dnn_description *description, char *message, size_t capacity);
void martlet_dnn_release(martlet_dnn_primitive *primitive);

/// The name that oneDNN gives the code it chose, such as "jit:avx512_core".
const char *martlet_dnn_implementation(const martlet_dnn_primitive *primitive);

/// Bytes that the memory at `role` must have; 0 if the primitive has no such tensor. Scratch and workspace included.
int64_t martlet_dnn_bytes(const martlet_dnn_primitive *primitive, martlet_dnn_role role);

/// The layout at `role`, to be released by the caller; NULL if the primitive has no such tensor.
martlet_dnn_layout *martlet_dnn_layout_at(const martlet_dnn_primitive *primitive, martlet_dnn_role role);
void martlet_dnn_layout_release(martlet_dnn_layout *layout);
/// Whether two layouts are the same.
int martlet_dnn_layouts_agree(const martlet_dnn_layout *a, const martlet_dnn_layout *b);

/// Whether the layout at `role` is the one that `tensor` describes, so that no reorder is needed.
int martlet_dnn_layout_is(
  const martlet_dnn_primitive *primitive, martlet_dnn_role role, const martlet_dnn_tensor *tensor);

/// Runs the primitive over memory given by role; roles that it does not have are ignored. Returns 1, or 0 on failure.
///
/// Call it inside `martlet_team_run` and outside a parallel region. Any number of threads may run one primitive at
/// the same time, each with scratch memory of its own (64-byte aligned).
int martlet_dnn_run(const martlet_dnn_primitive *primitive, void *const *memory);

/// C = alpha op(A) op(B) + beta C as `martlet_blas_sgemm`, by oneDNN. Returns 1, or 0 on failure.
int martlet_dnn_sgemm(
  int32_t transpose_a, int32_t transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
  const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

#endif
