/// NVIDIA's convolutions, pooling, batch normalization and recurrent networks, loaded at run time. Declarations are our own, after the cuDNN 9 reference.
#ifndef MARTLET_CUDNN_H
#define MARTLET_CUDNN_H

#include <stddef.h>
#include <stdint.h>

#include "CUDADriver.h"

typedef struct martlet_cudnn_handle_s *martlet_cudnn_handle;
typedef struct martlet_cudnn_tensor_s *martlet_cudnn_tensor;
typedef struct martlet_cudnn_filter_s *martlet_cudnn_filter;
typedef struct martlet_cudnn_convolution_s *martlet_cudnn_convolution;
typedef struct martlet_cudnn_pooling_s *martlet_cudnn_pooling;
typedef struct martlet_cudnn_activation_s *martlet_cudnn_activation;
typedef struct martlet_cudnn_dropout_s *martlet_cudnn_dropout;
typedef struct martlet_cudnn_network_s *martlet_cudnn_network;
typedef struct martlet_cudnn_sequences_s *martlet_cudnn_sequences;

/// How fast a way to convolve is.
typedef struct {
  int32_t algorithm;
  /// 0 where the rest holds.
  int32_t status;
  float milliseconds;
  size_t workspace_bytes;
  int32_t is_deterministic;
  int32_t mathematics;
  int32_t reserved[3];
} martlet_cudnn_performance;

enum {
  martlet_cudnn_float32 = 0,
  martlet_cudnn_float16 = 2,
  martlet_cudnn_bfloat16 = 9,
  martlet_cudnn_nchw = 0,
  martlet_cudnn_nhwc = 1,
  martlet_cudnn_cross_correlation = 1,
  /// Tensor cores, with f32 rounded to TF32.
  martlet_cudnn_default_mathematics = 0,
  /// Tensor cores, for what has 16 bits; f32 would be rounded to TF32.
  martlet_cudnn_tensor_mathematics = 1,
  /// f32 as it is.
  martlet_cudnn_multiply_add = 3,
  martlet_cudnn_propagate_nan = 1,
  martlet_cudnn_maximum = 0,
  martlet_cudnn_maximum_deterministic = 3,
  martlet_cudnn_average_excluding_padding = 2,
  martlet_cudnn_relu = 1,
  martlet_cudnn_identity = 5,
  martlet_cudnn_forward_implicit_precomputed = 1,
  martlet_cudnn_recurrent_standard = 0,
  martlet_cudnn_recurrent_persistent = 1,
  martlet_cudnn_recurrent_persistent_small = 3,
  martlet_cudnn_recurrent_relu = 0,
  martlet_cudnn_recurrent_tanh = 1,
  martlet_cudnn_recurrent_lstm = 2,
  martlet_cudnn_recurrent_gru = 3,
  martlet_cudnn_two_biases = 2,
  martlet_cudnn_linear_input = 0,
  martlet_cudnn_padded_sequences = 1,
  /// Steps before elements of the batch.
  martlet_cudnn_steps_first = 0,
  martlet_cudnn_inference = 0,
  martlet_cudnn_training = 1,
  martlet_cudnn_add_gradients = 0,
  /// Moments of channels, over images and pixels.
  martlet_cudnn_spatial = 1,
  martlet_cudnn_spatial_persistent = 2,
};

/// The functions of cuDNN that are used: F(name, parameters). All return 0 or an error.
#define MARTLET_CUDNN_FUNCTIONS(F) \
  F(Create, (martlet_cudnn_handle *handle)) \
  F(Destroy, (martlet_cudnn_handle handle)) \
  F(SetStream, (martlet_cudnn_handle handle, martlet_cuda_stream stream)) \
  F(CreateTensorDescriptor, (martlet_cudnn_tensor *tensor)) \
  F(SetTensor4dDescriptor, (martlet_cudnn_tensor tensor, int format, int type, int n, int c, int h, int w)) \
  F(DestroyTensorDescriptor, (martlet_cudnn_tensor tensor)) \
  F(CreateFilterDescriptor, (martlet_cudnn_filter *filter)) \
  F(SetFilter4dDescriptor, (martlet_cudnn_filter filter, int type, int format, int k, int c, int h, int w)) \
  F(DestroyFilterDescriptor, (martlet_cudnn_filter filter)) \
  F(CreateConvolutionDescriptor, (martlet_cudnn_convolution *convolution)) \
  F(SetConvolution2dDescriptor, \
    (martlet_cudnn_convolution convolution, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h, \
     int dilation_w, int mode, int compute_type)) \
  F(SetConvolutionGroupCount, (martlet_cudnn_convolution convolution, int groups)) \
  F(SetConvolutionMathType, (martlet_cudnn_convolution convolution, int mathematics)) \
  F(DestroyConvolutionDescriptor, (martlet_cudnn_convolution convolution)) \
  F(CreatePoolingDescriptor, (martlet_cudnn_pooling *pooling)) \
  F(SetPooling2dDescriptor, \
    (martlet_cudnn_pooling pooling, int mode, int nan_propagation, int window_h, int window_w, int pad_h, int pad_w, \
     int stride_h, int stride_w)) \
  F(DestroyPoolingDescriptor, (martlet_cudnn_pooling pooling)) \
  F(CreateActivationDescriptor, (martlet_cudnn_activation *activation)) \
  F(SetActivationDescriptor, (martlet_cudnn_activation activation, int mode, int nan_propagation, double bound)) \
  F(DestroyActivationDescriptor, (martlet_cudnn_activation activation)) \
  F(GetConvolutionForwardAlgorithm_v7, \
    (martlet_cudnn_handle handle, martlet_cudnn_tensor x, martlet_cudnn_filter w, \
     martlet_cudnn_convolution convolution, martlet_cudnn_tensor y, int asked, int *found, \
     martlet_cudnn_performance *results)) \
  F(FindConvolutionForwardAlgorithmEx, \
    (martlet_cudnn_handle handle, martlet_cudnn_tensor x_type, const void *x, martlet_cudnn_filter w_type, \
     const void *w, martlet_cudnn_convolution convolution, martlet_cudnn_tensor y_type, void *y, int asked, \
     int *found, martlet_cudnn_performance *results, void *workspace, size_t workspace_bytes)) \
  F(ConvolutionForward, \
    (martlet_cudnn_handle handle, const void *alpha, martlet_cudnn_tensor x_type, const void *x, \
     martlet_cudnn_filter w_type, const void *w, martlet_cudnn_convolution convolution, int algorithm, \
     void *workspace, size_t workspace_bytes, const void *beta, martlet_cudnn_tensor y_type, void *y)) \
  F(ConvolutionBiasActivationForward, \
    (martlet_cudnn_handle handle, const void *alpha, martlet_cudnn_tensor x_type, const void *x, \
     martlet_cudnn_filter w_type, const void *w, martlet_cudnn_convolution convolution, int algorithm, \
     void *workspace, size_t workspace_bytes, const void *beta, martlet_cudnn_tensor z_type, const void *z, \
     martlet_cudnn_tensor bias_type, const void *bias, martlet_cudnn_activation activation, \
     martlet_cudnn_tensor y_type, void *y)) \
  F(GetConvolutionBackwardDataAlgorithm_v7, \
    (martlet_cudnn_handle handle, martlet_cudnn_filter w, martlet_cudnn_tensor dy, \
     martlet_cudnn_convolution convolution, martlet_cudnn_tensor dx, int asked, int *found, \
     martlet_cudnn_performance *results)) \
  F(FindConvolutionBackwardDataAlgorithmEx, \
    (martlet_cudnn_handle handle, martlet_cudnn_filter w_type, const void *w, martlet_cudnn_tensor dy_type, \
     const void *dy, martlet_cudnn_convolution convolution, martlet_cudnn_tensor dx_type, void *dx, int asked, \
     int *found, martlet_cudnn_performance *results, void *workspace, size_t workspace_bytes)) \
  F(ConvolutionBackwardData, \
    (martlet_cudnn_handle handle, const void *alpha, martlet_cudnn_filter w_type, const void *w, \
     martlet_cudnn_tensor dy_type, const void *dy, martlet_cudnn_convolution convolution, int algorithm, \
     void *workspace, size_t workspace_bytes, const void *beta, martlet_cudnn_tensor dx_type, void *dx)) \
  F(GetConvolutionBackwardFilterAlgorithm_v7, \
    (martlet_cudnn_handle handle, martlet_cudnn_tensor x, martlet_cudnn_tensor dy, \
     martlet_cudnn_convolution convolution, martlet_cudnn_filter dw, int asked, int *found, \
     martlet_cudnn_performance *results)) \
  F(FindConvolutionBackwardFilterAlgorithmEx, \
    (martlet_cudnn_handle handle, martlet_cudnn_tensor x_type, const void *x, martlet_cudnn_tensor dy_type, \
     const void *dy, martlet_cudnn_convolution convolution, martlet_cudnn_filter dw_type, void *dw, int asked, \
     int *found, martlet_cudnn_performance *results, void *workspace, size_t workspace_bytes)) \
  F(ConvolutionBackwardFilter, \
    (martlet_cudnn_handle handle, const void *alpha, martlet_cudnn_tensor x_type, const void *x, \
     martlet_cudnn_tensor dy_type, const void *dy, martlet_cudnn_convolution convolution, int algorithm, \
     void *workspace, size_t workspace_bytes, const void *beta, martlet_cudnn_filter dw_type, void *dw)) \
  F(AddTensor, \
    (martlet_cudnn_handle handle, const void *alpha, martlet_cudnn_tensor a_type, const void *a, const void *beta, \
     martlet_cudnn_tensor c_type, void *c)) \
  F(ActivationForward, \
    (martlet_cudnn_handle handle, martlet_cudnn_activation activation, const void *alpha, \
     martlet_cudnn_tensor x_type, const void *x, const void *beta, martlet_cudnn_tensor y_type, void *y)) \
  F(PoolingForward, \
    (martlet_cudnn_handle handle, martlet_cudnn_pooling pooling, const void *alpha, martlet_cudnn_tensor x_type, \
     const void *x, const void *beta, martlet_cudnn_tensor y_type, void *y)) \
  F(PoolingBackward, \
    (martlet_cudnn_handle handle, martlet_cudnn_pooling pooling, const void *alpha, martlet_cudnn_tensor y_type, \
     const void *y, martlet_cudnn_tensor dy_type, const void *dy, martlet_cudnn_tensor x_type, const void *x, \
     const void *beta, martlet_cudnn_tensor dx_type, void *dx)) \
  F(BatchNormalizationForwardInference, \
    (martlet_cudnn_handle handle, int mode, const void *alpha, const void *beta, martlet_cudnn_tensor x_type, \
     const void *x, martlet_cudnn_tensor y_type, void *y, martlet_cudnn_tensor vector_type, const void *scale, \
     const void *bias, const void *mean, const void *variance, double epsilon)) \
  F(BatchNormalizationForwardTraining, \
    (martlet_cudnn_handle handle, int mode, const void *alpha, const void *beta, martlet_cudnn_tensor x_type, \
     const void *x, martlet_cudnn_tensor y_type, void *y, martlet_cudnn_tensor vector_type, const void *scale, \
     const void *bias, double factor, void *running_mean, void *running_variance, double epsilon, void *mean, \
     void *inverse_deviation)) \
  F(BatchNormalizationBackward, \
    (martlet_cudnn_handle handle, int mode, const void *alpha_data, const void *beta_data, \
     const void *alpha_vectors, const void *beta_vectors, martlet_cudnn_tensor x_type, const void *x, \
     martlet_cudnn_tensor dy_type, const void *dy, martlet_cudnn_tensor dx_type, void *dx, \
     martlet_cudnn_tensor vector_type, const void *scale, void *dscale, void *dbias, double epsilon, \
     const void *mean, const void *inverse_deviation)) \
  F(SetTensorNdDescriptor, \
    (martlet_cudnn_tensor tensor, int type, int count, const int *extents, const int *strides)) \
  F(GetTensorNdDescriptor, \
    (martlet_cudnn_tensor tensor, int asked, int *type, int *count, int *extents, int *strides)) \
  F(CreateDropoutDescriptor, (martlet_cudnn_dropout *dropout)) \
  F(SetDropoutDescriptor, \
    (martlet_cudnn_dropout dropout, martlet_cudnn_handle handle, float rate, void *states, size_t state_bytes, \
     unsigned long long seed)) \
  F(DestroyDropoutDescriptor, (martlet_cudnn_dropout dropout)) \
  F(CreateRNNDescriptor, (martlet_cudnn_network *network)) \
  F(SetRNNDescriptor_v8, \
    (martlet_cudnn_network network, int algorithm, int cell, int bias_mode, int direction_mode, int input_mode, \
     int type, int compute_type, int mathematics, int32_t input_width, int32_t hidden_width, \
     int32_t projection_width, int32_t layers, martlet_cudnn_dropout dropout, uint32_t flags)) \
  F(DestroyRNNDescriptor, (martlet_cudnn_network network)) \
  F(CreateRNNDataDescriptor, (martlet_cudnn_sequences *sequences)) \
  F(SetRNNDataDescriptor, \
    (martlet_cudnn_sequences sequences, int type, int layout, int steps, int batch, int width, const int *lengths, \
     void *padding)) \
  F(DestroyRNNDataDescriptor, (martlet_cudnn_sequences sequences)) \
  F(GetRNNWeightSpaceSize, (martlet_cudnn_handle handle, martlet_cudnn_network network, size_t *bytes)) \
  F(GetRNNWeightParams, \
    (martlet_cudnn_handle handle, martlet_cudnn_network network, int32_t pseudo_layer, size_t weight_bytes, \
     const void *weights, int32_t linear_layer, martlet_cudnn_tensor matrix_type, void **matrix, \
     martlet_cudnn_tensor bias_type, void **bias)) \
  F(GetRNNTempSpaceSizes, \
    (martlet_cudnn_handle handle, martlet_cudnn_network network, int mode, martlet_cudnn_sequences x, \
     size_t *workspace_bytes, size_t *reserve_bytes)) \
  F(RNNForward, \
    (martlet_cudnn_handle handle, martlet_cudnn_network network, int mode, const int32_t *device_lengths, \
     martlet_cudnn_sequences x_type, const void *x, martlet_cudnn_sequences y_type, void *y, \
     martlet_cudnn_tensor h_type, const void *hx, void *hy, martlet_cudnn_tensor c_type, const void *cx, void *cy, \
     size_t weight_bytes, const void *weights, size_t workspace_bytes, void *workspace, size_t reserve_bytes, \
     void *reserve)) \
  F(RNNBackwardData_v8, \
    (martlet_cudnn_handle handle, martlet_cudnn_network network, const int32_t *device_lengths, \
     martlet_cudnn_sequences y_type, const void *y, const void *dy, martlet_cudnn_sequences x_type, void *dx, \
     martlet_cudnn_tensor h_type, const void *hx, const void *dhy, void *dhx, martlet_cudnn_tensor c_type, \
     const void *cx, const void *dcy, void *dcx, size_t weight_bytes, const void *weights, size_t workspace_bytes, \
     void *workspace, size_t reserve_bytes, void *reserve)) \
  F(RNNBackwardWeights_v8, \
    (martlet_cudnn_handle handle, martlet_cudnn_network network, int mode, const int32_t *device_lengths, \
     martlet_cudnn_sequences x_type, const void *x, martlet_cudnn_tensor h_type, const void *hx, \
     martlet_cudnn_sequences y_type, const void *y, size_t weight_bytes, void *dweights, size_t workspace_bytes, \
     void *workspace, size_t reserve_bytes, void *reserve))

typedef struct {
  /// 10000 · major + 100 · minor + patch.
  size_t (*GetVersion)(void);
  /// 1000 · major + 10 · minor of the CUDA that it was built for.
  size_t (*GetCudartVersion)(void);
  const char *(*GetErrorString)(int status);
#define F(name, parameters) int(*name) parameters;
  MARTLET_CUDNN_FUNCTIONS(F)
#undef F
} martlet_cudnn;

/// Finds the functions in a library that `dlopen` gave. Returns NULL, or the name of the first that is missing.
const char *martlet_cudnn_find(void *handle, martlet_cudnn *library);

#endif
