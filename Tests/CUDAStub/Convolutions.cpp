// Convolutions with cuDNN's interface, by plain loops.
#include "CuDNN.h"

#include <algorithm>
#include <cstring>

using namespace stub;

namespace {
enum class Role { forward, data, filter };

struct Performance {
  int32_t algorithm, status;
  float milliseconds;
  size_t workspace;
  int32_t deterministic, mathematics, reserved[3];
};

// The ways of a role, the fastest first: some are of no use, since they round to f16 or TF32, need much memory, or add up in
// any order.
std::vector<Performance> ways(Role role, int mathematics) {
  const size_t much = size_t(1) << 40;
  switch (role) {
    case Role::forward:
      return {{1, 0, 0.05f, 4096, 1, 2, {}}, {1, 0, 0.1f, 4096, 1, 1, {}}, {6, 0, 0.2f, much, 1, mathematics, {}}, {0, 3000, 0.3f, 0, 1, mathematics, {}},
              {1, 0, 0.4f, 4096, 1, mathematics, {}}, {0, 0, 0.5f, 0, 1, mathematics, {}}};
    case Role::data:
      return {{1, 0, 0.1f, 8192, 1, 1, {}}, {0, 0, 0.2f, 0, 0, mathematics, {}}, {1, 0, 0.3f, 8192, 1, mathematics, {}}};
    case Role::filter:
      return {{3, 0, 0.1f, 4096, 0, mathematics, {}}, {1, 0, 0.2f, 16384, 1, mathematics, {}}};
  }
  return {};
}

// What an algorithm needs; the largest number if there is no such.
size_t needed(Role role, int algorithm) {
  if (role == Role::forward) return algorithm == 0 ? 0 : algorithm == 1 ? 4096 : SIZE_MAX;
  if (role == Role::data) return algorithm == 0 ? 0 : algorithm == 1 ? 8192 : SIZE_MAX;
  return algorithm == 3 ? 4096 : algorithm == 1 ? 16384 : SIZE_MAX;
}

// Images of many channels that come last take long without tensor cores.
uint64_t cost(const DnnTensor &image, const DnnConvolution &convolution) {
  return image.channels_last && image.c >= 16 && convolution.mathematics == 3 ? 1000 : 1;
}

struct Shapes {
  const DnnTensor *x = nullptr, *y = nullptr;
  const DnnFilter *w = nullptr;
  const DnnConvolution *convolution = nullptr;
};

int windows(int extent, int pad, int kernel, int dilation, int stride) {
  return (extent + 2 * pad - ((kernel - 1) * dilation + 1)) / stride + 1;
}

bool get(Call &call, Shapes &shapes, void *x, void *w, void *convolution, void *y) {
  if (!(shapes.x = dnn_set<DnnTensor>(call, x)) || !(shapes.w = dnn_set<DnnFilter>(call, w)) ||
      !(shapes.convolution = dnn_set<DnnConvolution>(call, convolution)) || !(shapes.y = dnn_set<DnnTensor>(call, y))) {
    return false;
  }
  const DnnTensor &from = *shapes.x, &to = *shapes.y;
  const DnnFilter &filter = *shapes.w;
  const DnnConvolution &c = *shapes.convolution;
  if (from.c != filter.c * c.groups || to.c != filter.k || filter.k % c.groups || from.n != to.n) {
    call.misuse(dnn_bad_parameter, "channels, groups or images do not fit one another");
  } else if (
    to.h != windows(from.h, c.pad_h, filter.h, c.dilation_h, c.stride_h) ||
    to.w != windows(from.w, c.pad_w, filter.w, c.dilation_w, c.stride_w)) {
    call.misuse(dnn_bad_parameter, "the result has not as many pixels as there are windows");
  } else if (from.channels_last != to.channels_last || from.channels_last != filter.channels_last) {
    call.misuse(dnn_not_supported, "the layouts differ");
  } else if (from.type != to.type || from.type != filter.type) {
    call.misuse(dnn_not_supported, "the types differ");
  }
  return !call.error;
}

// Calls body(index of x, index of w, index of y) for each product.
template <class Body> void for_products(const DnnTensor &x, const DnnFilter &w, const DnnConvolution &c, const DnnTensor &y, Body body) {
  const int outputs = w.k / c.groups;
  for (int n = 0; n < y.n; n++) {
    for (int h = 0; h < y.h; h++) {
      for (int v = 0; v < y.w; v++) {
        for (int k = 0; k < w.k; k++) {
          const size_t to = y.at(n, k, h, v);
          for (int r = 0; r < w.h; r++) {
            const int i = h * c.stride_h - c.pad_h + r * c.dilation_h;
            if (i < 0 || i >= x.h) continue;
            for (int s = 0; s < w.w; s++) {
              const int j = v * c.stride_w - c.pad_w + s * c.dilation_w;
              if (j < 0 || j >= x.w) continue;
              for (int q = 0; q < w.c; q++) body(x.at(n, k / outputs * w.c + q, i, j), w.at(k, q, r, s), to);
            }
          }
        }
      }
    }
  }
}

bool use_workspace(
  Call &call, Action &action, Role role, const DnnConvolution &convolution, int algorithm, void *workspace, size_t bytes) {
  const size_t least = needed(role, algorithm);
  if (convolution.mathematics == 2) {
    call.misuse(dnn_bad_parameter, "f32 may be rounded to f16");
  } else if (least == SIZE_MAX) {
    call.misuse(dnn_not_supported, "the stub has no algorithm %d", algorithm);
  } else if (bytes < least) {
    call.misuse(dnn_bad_parameter, "%zu bytes of workspace where algorithm %d needs %zu", bytes, algorithm, least);
  } else if (least) {
    dnn_use(call, action, workspace, least, "the workspace");
  }
  return !call.error;
}

int give(Role role, const DnnConvolution &convolution, int asked, int *found, void *results, size_t limit) {
  *found = 0;
  for (const Performance &way : ways(role, convolution.mathematics)) {
    if (*found == asked || way.workspace > limit) continue;
    memcpy(static_cast<char *>(results) + sizeof(Performance) * size_t(*found), &way, sizeof way);
    ++*found;
  }
  return success;
}

// Runs all ways, which leaves garbage in the result and in the workspace.
int measure(
  Call &call, DnnHandle *handle, Role role, const Shapes &shapes, const void *x, const void *w, const void *y, void *result,
  size_t result_bytes, int asked, int *found, void *results, void *workspace, size_t bytes) {
  Stream *stream = dnn_stream(call, handle);
  if (!stream) return call.error;
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.misuse(dnn_not_supported, "ways are timed during a capture");
  }
  Action action;
  if (!dnn_use(call, action, x, shapes.x->bytes(), "x") || !dnn_use(call, action, w, shapes.w->bytes(), "w") ||
      !dnn_use(call, action, y, shapes.y->bytes(), "y") || (bytes && !dnn_use(call, action, workspace, bytes, "the workspace"))) {
    return call.error;
  }
  complete(stream->tail);
  memset(result, 0xEE, result_bytes);
  if (bytes) memset(workspace, 0xEE, bytes);
  return give(role, *shapes.convolution, asked, found, results, bytes);
}
}  // namespace

// MARK: Ways

STUB int cudnnGetConvolutionForwardAlgorithm_v7(
  void *handle, void *x, void *w, void *convolution, void *y, int asked, int *found, void *results) {
  CALL(cudnnGetConvolutionForwardAlgorithm_v7);
  Shapes shapes;
  if (!dnn_handle(call, handle) || !get(call, shapes, x, w, convolution, y)) return call.error;
  return give(Role::forward, *shapes.convolution, asked, found, results, SIZE_MAX);
}

STUB int cudnnGetConvolutionBackwardDataAlgorithm_v7(
  void *handle, void *w, void *dy, void *convolution, void *dx, int asked, int *found, void *results) {
  CALL(cudnnGetConvolutionBackwardDataAlgorithm_v7);
  Shapes shapes;
  if (!dnn_handle(call, handle) || !get(call, shapes, dx, w, convolution, dy)) return call.error;
  return give(Role::data, *shapes.convolution, asked, found, results, SIZE_MAX);
}

STUB int cudnnGetConvolutionBackwardFilterAlgorithm_v7(
  void *handle, void *x, void *dy, void *convolution, void *dw, int asked, int *found, void *results) {
  CALL(cudnnGetConvolutionBackwardFilterAlgorithm_v7);
  Shapes shapes;
  if (!dnn_handle(call, handle) || !get(call, shapes, x, dw, convolution, dy)) return call.error;
  return give(Role::filter, *shapes.convolution, asked, found, results, SIZE_MAX);
}

STUB int cudnnFindConvolutionForwardAlgorithmEx(
  void *handle, void *x_type, const void *x, void *w_type, const void *w, void *convolution, void *y_type, void *y,
  int asked, int *found, void *results, void *workspace, size_t bytes) {
  CALL(cudnnFindConvolutionForwardAlgorithmEx);
  Shapes shapes;
  DnnHandle *library = dnn<DnnHandle>(call, handle);
  if (!library || !get(call, shapes, x_type, w_type, convolution, y_type)) return call.error;
  return measure(
    call, library, Role::forward, shapes, x, w, y, y, shapes.y->bytes(), asked, found, results, workspace, bytes);
}

STUB int cudnnFindConvolutionBackwardDataAlgorithmEx(
  void *handle, void *w_type, const void *w, void *dy_type, const void *dy, void *convolution, void *dx_type, void *dx,
  int asked, int *found, void *results, void *workspace, size_t bytes) {
  CALL(cudnnFindConvolutionBackwardDataAlgorithmEx);
  Shapes shapes;
  DnnHandle *library = dnn<DnnHandle>(call, handle);
  if (!library || !get(call, shapes, dx_type, w_type, convolution, dy_type)) return call.error;
  return measure(
    call, library, Role::data, shapes, dx, w, dy, dx, shapes.x->bytes(), asked, found, results, workspace, bytes);
}

STUB int cudnnFindConvolutionBackwardFilterAlgorithmEx(
  void *handle, void *x_type, const void *x, void *dy_type, const void *dy, void *convolution, void *dw_type, void *dw,
  int asked, int *found, void *results, void *workspace, size_t bytes) {
  CALL(cudnnFindConvolutionBackwardFilterAlgorithmEx);
  Shapes shapes;
  DnnHandle *library = dnn<DnnHandle>(call, handle);
  if (!library || !get(call, shapes, x_type, dw_type, convolution, dy_type)) return call.error;
  return measure(
    call, library, Role::filter, shapes, x, dw, dy, dw, shapes.w->bytes(), asked, found, results, workspace, bytes);
}

// MARK: Calls

namespace {
// y = activation(alpha · x ∗ w + keep · z + bias); z may be y.
int convolve(
  Call &call, void *handle, const Shapes &shapes, const void *x, const void *w, int algorithm, void *workspace, size_t bytes,
  float alpha, float keep, const void *z, const void *bias, bool has_relu, void *y) {
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  if (!stream) return call.error;
  auto action = std::make_shared<Action>();
  action->what = "a convolution";
  const DnnTensor from = *shapes.x, to = *shapes.y;
  const DnnFilter filter = *shapes.w;
  const DnnConvolution convolution = *shapes.convolution;
  if (!dnn_use(call, *action, x, from.bytes(), "x") || !dnn_use(call, *action, w, filter.bytes(), "w") ||
      !dnn_use(call, *action, y, to.bytes(), "y") || (keep != 0 && !dnn_use(call, *action, z, to.bytes(), "z")) ||
      (bias && !dnn_use(call, *action, bias, size_t(to.c) * width(to.type), "the bias")) ||
      !use_workspace(call, *action, Role::forward, convolution, algorithm, workspace, bytes)) {
    return call.error;
  }
  if (dnn_overlap(y, to.bytes(), x, from.bytes()) || dnn_overlap(y, to.bytes(), w, filter.bytes()) ||
      (keep != 0 && z != y && dnn_overlap(y, to.bytes(), z, to.bytes()))) {
    return call.misuse(dnn_bad_parameter, "the result overlaps an operand");
  }
  action->cost = cost(from, convolution);
  const size_t scratch = needed(Role::forward, algorithm);
  action->run = [=] {
    if (scratch) memset(workspace, 0xEE, scratch);
    std::vector<double> sums(to.count());
    for_products(from, filter, convolution, to, [&](size_t i, size_t j, size_t k) {
      sums[k] += number(x, from.type, i) * number(w, filter.type, j);
    });
    for (int n = 0; n < to.n; n++) {
      for (int c = 0; c < to.c; c++) {
        for (int h = 0; h < to.h; h++) {
          for (int v = 0; v < to.w; v++) {
            const size_t at = to.at(n, c, h, v);
            double value = alpha * sums[at];
            if (keep != 0) value += double(keep) * number(z, to.type, at);
            if (bias) value += number(bias, to.type, size_t(c));
            if (has_relu && value < 0) value = 0;
            put(y, to.type, at, value);
          }
        }
      }
    }
    return 0;
  };
  return enqueue(call, stream, action);
}

// The gradient of an image or of a filter.
int differentiate(
  Call &call, void *handle, Role role, const Shapes &shapes, const void *x, const void *w, const void *dy, int algorithm,
  void *workspace, size_t bytes, const void *alpha, const void *beta, void *result) {
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  if (!stream) return call.error;
  if (dnn_factor(alpha) != 1 || dnn_factor(beta) != 0) return call.misuse(dnn_not_supported, "the stub has the plain case only");
  auto action = std::make_shared<Action>();
  action->what = role == Role::data ? "the gradient of an image" : "the gradient of a filter";
  const DnnTensor image = *shapes.x, gradient = *shapes.y;
  const DnnFilter filter = *shapes.w;
  const DnnConvolution convolution = *shapes.convolution;
  if (!dnn_use(call, *action, x, image.bytes(), "the image") || !dnn_use(call, *action, w, filter.bytes(), "the filter") ||
      !dnn_use(call, *action, dy, gradient.bytes(), "the result's gradient") ||
      !use_workspace(call, *action, role, convolution, algorithm, workspace, bytes)) {
    return call.error;
  }
  const size_t written = role == Role::data ? image.bytes() : filter.bytes();
  if (dnn_overlap(result, written, dy, gradient.bytes()) ||
      dnn_overlap(result, written, role == Role::data ? w : x, role == Role::data ? filter.bytes() : image.bytes())) {
    return call.misuse(dnn_bad_parameter, "the result overlaps an operand");
  }
  action->cost = cost(image, convolution);
  const size_t scratch = needed(role, algorithm);
  action->run = [=] {
    if (scratch) memset(workspace, 0xEE, scratch);
    std::vector<double> sums(role == Role::data ? image.count() : filter.count());
    for_products(image, filter, convolution, gradient, [&](size_t i, size_t j, size_t k) {
      if (role == Role::data) {
        sums[i] += number(w, filter.type, j) * number(dy, gradient.type, k);
      } else {
        sums[j] += number(x, image.type, i) * number(dy, gradient.type, k);
      }
    });
    for (size_t i = 0; i < sums.size(); i++) put(result, image.type, i, sums[i]);
    return 0;
  };
  return enqueue(call, stream, action);
}
}  // namespace

STUB int cudnnConvolutionForward(
  void *handle, const void *alpha, void *x_type, const void *x, void *w_type, const void *w, void *convolution,
  int algorithm, void *workspace, size_t bytes, const void *beta, void *y_type, void *y) {
  CALL(cudnnConvolutionForward);
  Shapes shapes;
  if (!get(call, shapes, x_type, w_type, convolution, y_type)) return call.error;
  return convolve(
    call, handle, shapes, x, w, algorithm, workspace, bytes, dnn_factor(alpha), dnn_factor(beta), y, nullptr, false, y);
}

STUB int cudnnConvolutionBiasActivationForward(
  void *handle, const void *alpha, void *x_type, const void *x, void *w_type, const void *w, void *convolution,
  int algorithm, void *workspace, size_t bytes, const void *beta, void *z_type, const void *z, void *bias_type,
  const void *bias, void *activation_handle, void *y_type, void *y) {
  CALL(cudnnConvolutionBiasActivationForward);
  Shapes shapes;
  if (!get(call, shapes, x_type, w_type, convolution, y_type)) return call.error;
  DnnTensor *residual = dnn_set<DnnTensor>(call, z_type);
  DnnTensor *channels = residual ? dnn_set<DnnTensor>(call, bias_type) : nullptr;
  DnnActivation *activation = channels ? dnn_set<DnnActivation>(call, activation_handle) : nullptr;
  if (!activation) return call.error;
  if (residual->bytes() != shapes.y->bytes() || channels->c != shapes.y->c || channels->type != shapes.y->type || channels->count() != size_t(channels->c) || !bias) {
    return call.misuse(dnn_bad_parameter, "the residual or the bias does not fit the result");
  }
  if (activation->mode == 5 && algorithm != 1) {
    return call.misuse(dnn_bad_parameter, "algorithm %d without an activation", algorithm);
  }
  return convolve(
    call, handle, shapes, x, w, algorithm, workspace, bytes, dnn_factor(alpha), dnn_factor(beta), z, bias,
    activation->mode == 1, y);
}

STUB int cudnnConvolutionBackwardData(
  void *handle, const void *alpha, void *w_type, const void *w, void *dy_type, const void *dy, void *convolution,
  int algorithm, void *workspace, size_t bytes, const void *beta, void *dx_type, void *dx) {
  CALL(cudnnConvolutionBackwardData);
  Shapes shapes;
  if (!get(call, shapes, dx_type, w_type, convolution, dy_type)) return call.error;
  return differentiate(
    call, handle, Role::data, shapes, dx, w, dy, algorithm, workspace, bytes, alpha, beta, dx);
}

STUB int cudnnConvolutionBackwardFilter(
  void *handle, const void *alpha, void *x_type, const void *x, void *dy_type, const void *dy, void *convolution,
  int algorithm, void *workspace, size_t bytes, const void *beta, void *dw_type, void *dw) {
  CALL(cudnnConvolutionBackwardFilter);
  Shapes shapes;
  if (!get(call, shapes, x_type, dw_type, convolution, dy_type)) return call.error;
  return differentiate(
    call, handle, Role::filter, shapes, x, dw, dy, algorithm, workspace, bytes, alpha, beta, dw);
}
