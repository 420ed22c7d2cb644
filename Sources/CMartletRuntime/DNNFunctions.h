/// oneDNN's C interface, as far as it is used, for both of its major versions.
///
/// A memory descriptor is a struct in version 2 and a handle in version 3. Functions take it by address or by value,
/// which is a pointer either way, so `dnn_layout` stands for both. Enumerations are ints.
#ifndef MARTLET_DNN_FUNCTIONS_H
#define MARTLET_DNN_FUNCTIONS_H

#include "DNN.h"

#include <stdint.h>

typedef void *dnn_layout;
typedef struct dnn_engine_s *dnn_engine;
typedef struct dnn_stream_s *dnn_stream;
typedef struct dnn_attributes_s *dnn_attributes;
typedef struct dnn_epilogues_s *dnn_epilogues;
typedef struct dnn_plan_s *dnn_plan;
typedef struct dnn_primitive_s *dnn_primitive;
typedef struct dnn_memory_s *dnn_memory;

typedef struct {
  int argument;
  dnn_memory memory;
} dnn_argument;

typedef struct {
  int major;
  int minor;
  int patch;
  const char *hash;
  unsigned cpu_runtime;
  unsigned gpu_runtime;
} dnn_version;

/// `F(result, member, name, parameters)`: the same in both versions.
#define DNN_COMMON_FUNCTIONS(F) \
  F(const dnn_version *, version, "dnnl_version", (void)) \
  F(int, engine_create, "dnnl_engine_create", (dnn_engine *, int, size_t)) \
  F(int, stream_create, "dnnl_stream_create", (dnn_stream *, dnn_engine, unsigned)) \
  F(int, attributes_create, "dnnl_primitive_attr_create", (dnn_attributes *)) \
  F(int, attributes_destroy, "dnnl_primitive_attr_destroy", (dnn_attributes)) \
  F(int, set_scratchpad_mode, "dnnl_primitive_attr_set_scratchpad_mode", (dnn_attributes, int)) \
  F(int, epilogues_create, "dnnl_post_ops_create", (dnn_epilogues *)) \
  F(int, epilogues_destroy, "dnnl_post_ops_destroy", (dnn_epilogues)) \
  F(int, set_epilogues, "dnnl_primitive_attr_set_post_ops", (dnn_attributes, dnn_epilogues)) \
  F(int, plan_destroy, "dnnl_primitive_desc_destroy", (dnn_plan)) \
  F(int, plan_query, "dnnl_primitive_desc_query", (dnn_plan, int, int, void *)) \
  F(dnn_layout, plan_layout, "dnnl_primitive_desc_query_md", (dnn_plan, int, int)) \
  F(size_t, layout_bytes, "dnnl_memory_desc_get_size", (dnn_layout)) \
  F(int, layout_equal, "dnnl_memory_desc_equal", (dnn_layout, dnn_layout)) \
  F(int, primitive_create, "dnnl_primitive_create", (dnn_primitive *, dnn_plan)) \
  F(int, primitive_destroy, "dnnl_primitive_destroy", (dnn_primitive)) \
  F(int, execute, "dnnl_primitive_execute", (dnn_primitive, dnn_stream, int, const dnn_argument *)) \
  F(int, memory_create, "dnnl_memory_create", (dnn_memory *, dnn_layout, dnn_engine, void *)) \
  F(int, memory_destroy, "dnnl_memory_destroy", (dnn_memory)) \
  F(int, reorder, "dnnl_reorder_primitive_desc_create", \
    (dnn_plan *, dnn_layout, dnn_engine, dnn_layout, dnn_engine, dnn_attributes)) \
  F(int, sgemm, "dnnl_sgemm", \
    (char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t, float, float *, \
     int64_t))

/// Version 2: descriptors are structs that the caller provides.
#define DNN_2_FUNCTIONS(F) \
  F(int, strided2, "dnnl_memory_desc_init_by_strides", \
    (dnn_layout, int, const int64_t *, int, const int64_t *)) \
  F(int, tagged2, "dnnl_memory_desc_init_by_tag", (dnn_layout, int, const int64_t *, int, int)) \
  F(int, plan_create2, "dnnl_primitive_desc_create", \
    (dnn_plan *, const void *, dnn_attributes, dnn_engine, dnn_plan)) \
  F(int, convolution2, "dnnl_dilated_convolution_forward_desc_init", \
    (void *, int, int, dnn_layout, dnn_layout, dnn_layout, dnn_layout, const int64_t *, const int64_t *, \
     const int64_t *, const int64_t *)) \
  F(int, source_gradient2, "dnnl_dilated_convolution_backward_data_desc_init", \
    (void *, int, dnn_layout, dnn_layout, dnn_layout, const int64_t *, const int64_t *, const int64_t *, \
     const int64_t *)) \
  F(int, weights_gradient2, "dnnl_dilated_convolution_backward_weights_desc_init", \
    (void *, int, dnn_layout, dnn_layout, dnn_layout, dnn_layout, const int64_t *, const int64_t *, \
     const int64_t *, const int64_t *)) \
  F(int, pooling2, "dnnl_pooling_v2_forward_desc_init", \
    (void *, int, int, dnn_layout, dnn_layout, const int64_t *, const int64_t *, const int64_t *, \
     const int64_t *, const int64_t *)) \
  F(int, pooling_gradient2, "dnnl_pooling_v2_backward_desc_init", \
    (void *, int, dnn_layout, dnn_layout, const int64_t *, const int64_t *, const int64_t *, const int64_t *, \
     const int64_t *)) \
  F(int, product2, "dnnl_matmul_desc_init", (void *, dnn_layout, dnn_layout, dnn_layout, dnn_layout)) \
  F(int, add_elementwise2, "dnnl_post_ops_append_eltwise", (dnn_epilogues, float, int, float, float)) \
  F(int, add_sum2, "dnnl_post_ops_append_sum", (dnn_epilogues, float))

/// Version 3: descriptors are handles, and primitive descriptors are made in one call.
#define DNN_3_FUNCTIONS(F) \
  F(int, strided3, "dnnl_memory_desc_create_with_strides", \
    (dnn_layout *, int, const int64_t *, int, const int64_t *)) \
  F(int, tagged3, "dnnl_memory_desc_create_with_tag", (dnn_layout *, int, const int64_t *, int, int)) \
  F(int, layout_clone3, "dnnl_memory_desc_clone", (dnn_layout *, dnn_layout)) \
  F(int, layout_destroy3, "dnnl_memory_desc_destroy", (dnn_layout)) \
  F(int, convolution3, "dnnl_convolution_forward_primitive_desc_create", \
    (dnn_plan *, dnn_engine, int, int, dnn_layout, dnn_layout, dnn_layout, dnn_layout, const int64_t *, \
     const int64_t *, const int64_t *, const int64_t *, dnn_attributes)) \
  F(int, source_gradient3, "dnnl_convolution_backward_data_primitive_desc_create", \
    (dnn_plan *, dnn_engine, int, dnn_layout, dnn_layout, dnn_layout, const int64_t *, const int64_t *, \
     const int64_t *, const int64_t *, dnn_plan, dnn_attributes)) \
  F(int, weights_gradient3, "dnnl_convolution_backward_weights_primitive_desc_create", \
    (dnn_plan *, dnn_engine, int, dnn_layout, dnn_layout, dnn_layout, dnn_layout, const int64_t *, \
     const int64_t *, const int64_t *, const int64_t *, dnn_plan, dnn_attributes)) \
  F(int, pooling3, "dnnl_pooling_forward_primitive_desc_create", \
    (dnn_plan *, dnn_engine, int, int, dnn_layout, dnn_layout, const int64_t *, const int64_t *, \
     const int64_t *, const int64_t *, const int64_t *, dnn_attributes)) \
  F(int, pooling_gradient3, "dnnl_pooling_backward_primitive_desc_create", \
    (dnn_plan *, dnn_engine, int, dnn_layout, dnn_layout, const int64_t *, const int64_t *, const int64_t *, \
     const int64_t *, const int64_t *, dnn_plan, dnn_attributes)) \
  F(int, product3, "dnnl_matmul_primitive_desc_create", \
    (dnn_plan *, dnn_engine, dnn_layout, dnn_layout, dnn_layout, dnn_layout, dnn_attributes)) \
  F(int, add_elementwise3, "dnnl_post_ops_append_eltwise", (dnn_epilogues, int, float, float)) \
  F(int, add_sum3, "dnnl_post_ops_append_sum", (dnn_epilogues, float, int32_t, int))

typedef struct {
  int major;
  dnn_engine engine;
  dnn_stream stream;
#define F(result, member, name, parameters) result(*member) parameters;
  DNN_COMMON_FUNCTIONS(F)
  DNN_2_FUNCTIONS(F)
  DNN_3_FUNCTIONS(F)
#undef F
} dnn_functions;

/// The loaded functions; `major` is 0 if there are none.
const dnn_functions *martlet_dnn_functions(void);

#endif
