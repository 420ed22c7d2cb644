// cuDNN's handles and descriptors, pooling, and what is done element by element.
#include "CuDNN.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace stub {

Stream *dnn_stream(Call &call, DnnHandle *handle) {
  if (!handle) return nullptr;
  if (!handle->stream) {
    call.misuse(dnn_bad_parameter, "the handle was given no stream");
    return nullptr;
  }
  return call.object<Stream>(handle->stream, Kind::stream);
}

bool dnn_use(Call &call, Action &action, const void *memory, size_t bytes, const char *role) {
  const uint64_t address = reinterpret_cast<uint64_t>(memory);
  if (!call.device_range(address, bytes, role)) return false;
  if (address % 4) {
    call.misuse(dnn_bad_parameter, "%s is not aligned", role);
    return false;
  }
  action.device.push_back({address, bytes});
  return true;
}

bool dnn_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
  const uint64_t x = reinterpret_cast<uint64_t>(a), y = reinterpret_cast<uint64_t>(b);
  return x < y + b_bytes && y < x + a_bytes;
}

DnnHandle *dnn_handle(Call &call, void *handle) {
  DnnHandle *library = dnn<DnnHandle>(call, handle);
  if (!library || !library->stream) return library;
  return call.object<Stream>(library->stream, Kind::stream) ? library : nullptr;
}

bool dnn_type(int number, Numbers &type) {
  if (number != 0 && number != 2 && number != 9) return false;
  type = number == 0 ? Numbers::float32 : number == 2 ? Numbers::float16 : Numbers::bfloat16;
  return true;
}

float dnn_factor(const void *value) { return *static_cast<const float *>(value); }

}  // namespace stub

using namespace stub;

STUB size_t cudnnGetVersion(void) { return 91400; }
STUB size_t cudnnGetCudartVersion(void) { return 13000; }

STUB const char *cudnnGetErrorString(int status) {
  switch (status) {
    case 0: return "CUDNN_STATUS_SUCCESS";
    case dnn_bad_parameter: return "CUDNN_STATUS_BAD_PARAM";
    case dnn_not_supported: return "CUDNN_STATUS_NOT_SUPPORTED";
    case 1008: return "CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED";
    case 4004: return "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED";
    case 5000: return "CUDNN_STATUS_EXECUTION_FAILED";
  }
  return "CUDNN_STATUS_INTERNAL_ERROR";
}

STUB int cudnnCreate(void **handle) {
  CALL(cudnnCreate);
  *handle = static_cast<Object *>(add(new DnnHandle(current())));
  return success;
}
STUB int cudnnDestroy(void *handle) {
  CALL(cudnnDestroy);
  DnnHandle *library = dnn_handle(call, handle);
  if (library) library->alive = false;
  return call.error;
}
STUB int cudnnSetStream(void *handle, void *stream_handle) {
  CALL(cudnnSetStream);
  DnnHandle *library = dnn<DnnHandle>(call, handle);
  Stream *stream = library ? call.object<Stream>(stream_handle, Kind::stream) : nullptr;
  if (stream) library->stream = stream;
  return call.error;
}

// MARK: Descriptors

DESCRIPTOR(Tensor, DnnTensor)
DESCRIPTOR(Filter, DnnFilter)
DESCRIPTOR(Convolution, DnnConvolution)
DESCRIPTOR(Pooling, DnnPooling)
DESCRIPTOR(Activation, DnnActivation)

STUB int cudnnSetTensor4dDescriptor(void *handle, int format, int type, int n, int c, int h, int w) {
  CALL_NEEDING(cudnnSetTensor4dDescriptor, nothing);
  DnnTensor *tensor = dnn<DnnTensor>(call, handle);
  if (!tensor) return call.error;
  if (!dnn_type(type, tensor->type) || format < 0 || format > 1) {
    return call.misuse(dnn_not_supported, "type %d, format %d", type, format);
  }
  if (n <= 0 || c <= 0 || h <= 0 || w <= 0) return call.misuse(dnn_bad_parameter, "an extent is not positive");
  tensor->channels_last = format == 1;
  tensor->n = n, tensor->c = c, tensor->h = h, tensor->w = w;
  tensor->is_set = true;
  return success;
}

STUB int cudnnSetFilter4dDescriptor(void *handle, int type, int format, int k, int c, int h, int w) {
  CALL_NEEDING(cudnnSetFilter4dDescriptor, nothing);
  DnnFilter *filter = dnn<DnnFilter>(call, handle);
  if (!filter) return call.error;
  if (!dnn_type(type, filter->type) || format < 0 || format > 1) {
    return call.misuse(dnn_not_supported, "type %d, format %d", type, format);
  }
  if (k <= 0 || c <= 0 || h <= 0 || w <= 0) return call.misuse(dnn_bad_parameter, "an extent is not positive");
  filter->channels_last = format == 1;
  filter->k = k, filter->c = c, filter->h = h, filter->w = w;
  filter->is_set = true;
  return success;
}

STUB int cudnnSetConvolution2dDescriptor(
  void *handle, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h, int dilation_w, int mode, int type) {
  CALL_NEEDING(cudnnSetConvolution2dDescriptor, nothing);
  DnnConvolution *convolution = dnn<DnnConvolution>(call, handle);
  if (!convolution) return call.error;
  if (mode != 1 || type != 0) return call.misuse(dnn_not_supported, "mode %d, type %d", mode, type);
  if (pad_h < 0 || pad_w < 0 || stride_h <= 0 || stride_w <= 0 || dilation_h <= 0 || dilation_w <= 0) {
    return call.misuse(dnn_bad_parameter, "padding, stride or dilation");
  }
  convolution->pad_h = pad_h, convolution->pad_w = pad_w;
  convolution->stride_h = stride_h, convolution->stride_w = stride_w;
  convolution->dilation_h = dilation_h, convolution->dilation_w = dilation_w;
  convolution->is_set = true;
  return success;
}

STUB int cudnnSetConvolutionGroupCount(void *handle, int groups) {
  CALL_NEEDING(cudnnSetConvolutionGroupCount, nothing);
  DnnConvolution *convolution = dnn<DnnConvolution>(call, handle);
  if (convolution) convolution->groups = groups;
  return call.error;
}

STUB int cudnnSetConvolutionMathType(void *handle, int mathematics) {
  CALL_NEEDING(cudnnSetConvolutionMathType, nothing);
  DnnConvolution *convolution = dnn<DnnConvolution>(call, handle);
  if (convolution) convolution->mathematics = mathematics;
  return call.error;
}

STUB int cudnnSetPooling2dDescriptor(
  void *handle, int mode, int propagation, int window_h, int window_w, int pad_h, int pad_w, int stride_h, int stride_w) {
  CALL_NEEDING(cudnnSetPooling2dDescriptor, nothing);
  DnnPooling *pooling = dnn<DnnPooling>(call, handle);
  if (!pooling) return call.error;
  if (mode < 0 || mode > 3 || propagation != 1) return call.misuse(dnn_not_supported, "mode %d", mode);
  if (window_h <= 0 || window_w <= 0 || pad_h < 0 || pad_w < 0 || stride_h <= 0 || stride_w <= 0 || pad_h >= window_h ||
      pad_w >= window_w) {
    return call.misuse(dnn_bad_parameter, "window, padding or stride");
  }
  pooling->mode = mode;
  pooling->window_h = window_h, pooling->window_w = window_w;
  pooling->pad_h = pad_h, pooling->pad_w = pad_w;
  pooling->stride_h = stride_h, pooling->stride_w = stride_w;
  pooling->is_set = true;
  return success;
}

STUB int cudnnSetActivationDescriptor(void *handle, int mode, int, double) {
  CALL_NEEDING(cudnnSetActivationDescriptor, nothing);
  DnnActivation *activation = dnn<DnnActivation>(call, handle);
  if (!activation) return call.error;
  if (mode != 1 && mode != 5) return call.misuse(dnn_not_supported, "mode %d", mode);
  activation->mode = mode;
  activation->is_set = true;
  return success;
}

// MARK: Element by element

STUB int cudnnAddTensor(
  void *handle, const void *alpha, void *a_handle, const void *a, const void *beta, void *c_handle, void *c) {
  CALL(cudnnAddTensor);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  DnnTensor *from = stream ? dnn_set<DnnTensor>(call, a_handle) : nullptr;
  DnnTensor *to = from ? dnn_set<DnnTensor>(call, c_handle) : nullptr;
  if (!to) return call.error;
  if (from->type != to->type) return call.misuse(dnn_not_supported, "the types differ");
  if ((from->n != 1 && from->n != to->n) || (from->c != 1 && from->c != to->c) || (from->h != 1 && from->h != to->h) ||
      (from->w != 1 && from->w != to->w)) {
    return call.misuse(dnn_bad_parameter, "the tensors do not fit one another");
  }
  auto action = std::make_shared<Action>();
  action->what = "an addition";
  if (!dnn_use(call, *action, a, from->bytes(), "a") || !dnn_use(call, *action, c, to->bytes(), "c")) return call.error;
  const DnnTensor x = *from, y = *to;
  const float scale = dnn_factor(alpha), keep = dnn_factor(beta);
  action->run = [=] {
    for (int n = 0; n < y.n; n++) {
      for (int k = 0; k < y.c; k++) {
        for (int h = 0; h < y.h; h++) {
          for (int w = 0; w < y.w; w++) {
            const size_t to = y.at(n, k, h, w);
            const size_t at = x.at(x.n == 1 ? 0 : n, x.c == 1 ? 0 : k, x.h == 1 ? 0 : h, x.w == 1 ? 0 : w);
            put(c, y.type, to, scale * number(a, x.type, at) + (keep == 0 ? 0 : keep * number(c, y.type, to)));
          }
        }
      }
    }
    return 0;
  };
  return enqueue(call, stream, action);
}

STUB int cudnnActivationForward(
  void *handle, void *activation_handle, const void *alpha, void *x_handle, const void *x, const void *beta,
  void *y_handle, void *y) {
  CALL(cudnnActivationForward);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  DnnActivation *activation = stream ? dnn_set<DnnActivation>(call, activation_handle) : nullptr;
  DnnTensor *from = activation ? dnn_set<DnnTensor>(call, x_handle) : nullptr;
  DnnTensor *to = from ? dnn_set<DnnTensor>(call, y_handle) : nullptr;
  if (!to) return call.error;
  if (activation->mode != 1) return call.misuse(dnn_bad_parameter, "mode %d", activation->mode);
  if (from->type != to->type || from->count() != to->count() || from->channels_last != to->channels_last || dnn_factor(alpha) != 1 || dnn_factor(beta) != 0) {
    return call.misuse(dnn_not_supported, "the stub has the plain case only");
  }
  auto action = std::make_shared<Action>();
  action->what = "an activation";
  if (!dnn_use(call, *action, x, from->bytes(), "x") || !dnn_use(call, *action, y, to->bytes(), "y")) return call.error;
  const size_t count = to->count();
  const Numbers type = to->type;
  action->run = [=] {
    for (size_t i = 0; i < count; i++) {
      const double value = number(x, type, i);
      put(y, type, i, value < 0 ? 0 : value);
    }
    return 0;
  };
  return enqueue(call, stream, action);
}

// MARK: Pooling

static bool windows_fit(Call &call, const DnnPooling &pooling, const DnnTensor &image, const DnnTensor &result) {
  if (image.n != result.n || image.c != result.c || image.type != result.type || image.channels_last != result.channels_last) {
    call.misuse(dnn_bad_parameter, "image and result do not fit one another");
  } else if ((result.h - 1) * pooling.stride_h - pooling.pad_h >= image.h || (result.w - 1) * pooling.stride_w - pooling.pad_w >= image.w) {
    call.misuse(dnn_bad_parameter, "a window lies beside the image");
  }
  return !call.error;
}

// The pixels of the window of a result's pixel that are in the image.
template <class Body> static void in_window(const DnnPooling &p, const DnnTensor &image, int y, int x, Body body) {
  for (int r = 0; r < p.window_h; r++) {
    for (int s = 0; s < p.window_w; s++) {
      const int h = y * p.stride_h - p.pad_h + r, w = x * p.stride_w - p.pad_w + s;
      if (h >= 0 && h < image.h && w >= 0 && w < image.w) body(h, w);
    }
  }
}

STUB int cudnnPoolingForward(
  void *handle, void *pooling_handle, const void *alpha, void *x_handle, const void *x, const void *beta,
  void *y_handle, void *y) {
  CALL(cudnnPoolingForward);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  DnnPooling *pooling = stream ? dnn_set<DnnPooling>(call, pooling_handle) : nullptr;
  DnnTensor *image = pooling ? dnn_set<DnnTensor>(call, x_handle) : nullptr;
  DnnTensor *result = image ? dnn_set<DnnTensor>(call, y_handle) : nullptr;
  if (!result || !windows_fit(call, *pooling, *image, *result)) return call.error;
  if (dnn_factor(alpha) != 1 || dnn_factor(beta) != 0) return call.misuse(dnn_not_supported, "the stub has the plain case only");
  auto action = std::make_shared<Action>();
  action->what = "pooling";
  if (!dnn_use(call, *action, x, image->bytes(), "x") || !dnn_use(call, *action, y, result->bytes(), "y")) return call.error;
  if (dnn_overlap(x, image->bytes(), y, result->bytes())) return call.misuse(dnn_bad_parameter, "x and y overlap");
  const DnnPooling p = *pooling;
  const DnnTensor from = *image, to = *result;
  const bool is_coarse = from.type == Numbers::bfloat16 && p.window_h * p.window_w > 16;
  action->run = [=] {
    for (int n = 0; n < to.n; n++) {
      for (int c = 0; c < to.c; c++) {
        for (int h = 0; h < to.h; h++) {
          for (int w = 0; w < to.w; w++) {
            const bool is_maximum = p.mode == 0 || p.mode == 3;
            double state = is_maximum ? -INFINITY : 0;
            int count = 0;
            in_window(p, from, h, w, [&](int i, int j) {
              const double value = number(x, from.type, from.at(n, c, i, j));
              if (!is_maximum) {
                // Large windows are not added up as exactly as one might think.
                state = is_coarse ? rounded(state + value) : state + value;
              } else if (value > state || std::isnan(value)) {
                state = value;
              }
              count++;
            });
            const int divisor = p.mode == 1 ? p.window_h * p.window_w : count;
            put(y, to.type, to.at(n, c, h, w), is_maximum ? state : state / divisor);
          }
        }
      }
    }
    return 0;
  };
  return enqueue(call, stream, action);
}

STUB int cudnnPoolingBackward(
  void *handle, void *pooling_handle, const void *alpha, void *y_handle, const void *y, void *dy_handle, const void *dy,
  void *x_handle, const void *x, const void *beta, void *dx_handle, void *dx) {
  CALL(cudnnPoolingBackward);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  DnnPooling *pooling = stream ? dnn_set<DnnPooling>(call, pooling_handle) : nullptr;
  DnnTensor *value = pooling ? dnn_set<DnnTensor>(call, y_handle) : nullptr;
  DnnTensor *result = value ? dnn_set<DnnTensor>(call, dy_handle) : nullptr;
  DnnTensor *operand = result ? dnn_set<DnnTensor>(call, x_handle) : nullptr;
  DnnTensor *image = operand ? dnn_set<DnnTensor>(call, dx_handle) : nullptr;
  if (!image || !windows_fit(call, *pooling, *image, *result)) return call.error;
  if (image->type != Numbers::float32) return call.misuse(dnn_not_supported, "a gradient in 16 bits");
  // Mode 0 would do on a device too, but not with the same bits in every run.
  if (pooling->mode != 2 && pooling->mode != 3) return call.misuse(dnn_not_supported, "mode %d", pooling->mode);
  const bool is_maximum = pooling->mode == 3;
  if (dnn_factor(alpha) != 1 || dnn_factor(beta) != 0) return call.misuse(dnn_not_supported, "the stub has the plain case only");
  auto action = std::make_shared<Action>();
  action->what = "the gradient of pooling";
  if (!dnn_use(call, *action, dy, result->bytes(), "dy") || !dnn_use(call, *action, dx, image->bytes(), "dx") ||
      !dnn_use(call, *action, y, value->bytes(), "y") || !dnn_use(call, *action, x, operand->bytes(), "x")) {
    return call.error;
  }
  if (dnn_overlap(dy, result->bytes(), dx, image->bytes())) return call.misuse(dnn_bad_parameter, "dy and dx overlap");
  if (is_maximum && (value->bytes() != result->bytes() || operand->bytes() != image->bytes() ||
                     dnn_overlap(x, operand->bytes(), dx, image->bytes()) || dnn_overlap(y, value->bytes(), dx, image->bytes()))) {
    return call.misuse(dnn_bad_parameter, "x and y do not fit dx and dy");
  }
  const DnnPooling p = *pooling;
  const DnnTensor from = *result, to = *image;
  action->run = [=] {
    std::fill_n(static_cast<float *>(dx), to.bytes() / 4, 0.0f);
    for (int n = 0; n < from.n; n++) {
      for (int c = 0; c < from.c; c++) {
        for (int h = 0; h < from.h; h++) {
          for (int w = 0; w < from.w; w++) {
            if (is_maximum) {
              // Which of equal maxima gets the gradient is not promised: it is the last, so that nobody may rely on the first.
              const float most = static_cast<const float *>(y)[from.at(n, c, h, w)];
              size_t last = SIZE_MAX;
              in_window(p, to, h, w, [&](int i, int j) {
                if (static_cast<const float *>(x)[to.at(n, c, i, j)] == most) last = to.at(n, c, i, j);
              });
              if (last != SIZE_MAX) static_cast<float *>(dx)[last] += static_cast<const float *>(dy)[from.at(n, c, h, w)];
              continue;
            }
            int count = 0;
            in_window(p, to, h, w, [&](int, int) { count++; });
            const float share = static_cast<const float *>(dy)[from.at(n, c, h, w)] / float(count);
            in_window(p, to, h, w, [&](int i, int j) { static_cast<float *>(dx)[to.at(n, c, i, j)] += share; });
          }
        }
      }
    }
    return 0;
  };
  return enqueue(call, stream, action);
}
