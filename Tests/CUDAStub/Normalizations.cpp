// Batch normalization with cuDNN's interface, by plain loops.
#include "CuDNN.h"

#include <vector>

using namespace stub;

namespace {
enum { spatial = 1, spatial_persistent = 2 };

// Whether a tensor has a number for each channel.
bool is_vector(const DnnTensor &tensor, const DnnTensor &images) {
  return tensor.n == 1 && tensor.c == images.c && tensor.h == 1 && tensor.w == 1 && tensor.type == Numbers::float32;
}

bool is_same(const DnnTensor &a, const DnnTensor &b) {
  return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w && a.type == b.type && a.channels_last == b.channels_last;
}

// Images and vectors; null, with the call's error set, if they do not fit one another.
const DnnTensor *images(Call &call, int mode, void *x_handle, void *y_handle, void *vector_handle, double epsilon) {
  DnnTensor *x = dnn_set<DnnTensor>(call, x_handle);
  DnnTensor *y = x ? dnn_set<DnnTensor>(call, y_handle) : nullptr;
  DnnTensor *vector = y ? dnn_set<DnnTensor>(call, vector_handle) : nullptr;
  if (!vector) return nullptr;
  if (!is_same(*x, *y)) {
    call.misuse(dnn_bad_parameter, "the images do not fit one another");
  } else if (!is_vector(*vector, *x)) {
    call.misuse(dnn_bad_parameter, "the vectors have not one float32 for each channel");
  } else if (mode != spatial && mode != spatial_persistent) {
    call.misuse(dnn_not_supported, "the stub has no mode %d", mode);
  } else if (mode == spatial_persistent && !x->channels_last) {
    call.misuse(dnn_not_supported, "the persistent mode may overflow where channels come first");
  } else if (!(epsilon >= 0)) {
    call.misuse(dnn_bad_parameter, "epsilon %g", epsilon);
  }
  return call.error ? nullptr : x;
}

// Some time to begin, and passes over memory at the rate of a copy, which the persistent mode does not need.
uint64_t cost(int mode, const DnnTensor &images) { return 3 + (mode == spatial ? images.bytes() / 1024 : 0); }

// Calls body(index, channel) for each element of images.
template <class Body> void for_elements(const DnnTensor &t, Body body) {
  for (int n = 0; n < t.n; n++) {
    for (int c = 0; c < t.c; c++) {
      for (int h = 0; h < t.h; h++) {
        for (int w = 0; w < t.w; w++) body(t.at(n, c, h, w), c);
      }
    }
  }
}

bool is_plain(Call &call, const void *alpha, const void *beta) {
  if (dnn_factor(alpha) != 1 || dnn_factor(beta) != 0) call.misuse(dnn_not_supported, "the stub has the plain case only");
  return !call.error;
}

const float *floats(const void *memory) { return static_cast<const float *>(memory); }
float *floats(void *memory) { return static_cast<float *>(memory); }
}  // namespace

STUB int cudnnBatchNormalizationForwardInference(
  void *handle, int mode, const void *alpha, const void *beta, void *x_type, const void *x, void *y_type, void *y,
  void *vector_type, const void *scale, const void *bias, const void *mean, const void *variance, double epsilon) {
  CALL(cudnnBatchNormalizationForwardInference);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  const DnnTensor *type = stream ? images(call, mode, x_type, y_type, vector_type, epsilon) : nullptr;
  if (!type || !is_plain(call, alpha, beta)) return call.error;
  const DnnTensor t = *type;
  const size_t vector = size_t(t.c) * 4;
  auto action = std::make_shared<Action>();
  action->what = "a normalization";
  if (!dnn_use(call, *action, x, t.bytes(), "x") || !dnn_use(call, *action, y, t.bytes(), "y") ||
      !dnn_use(call, *action, scale, vector, "the scale") || !dnn_use(call, *action, bias, vector, "the bias") ||
      !dnn_use(call, *action, mean, vector, "the mean") || !dnn_use(call, *action, variance, vector, "the variance")) {
    return call.error;
  }
  action->run = [=] {
    for_elements(t, [&](size_t i, int c) {
      const double normal = (number(x, t.type, i) - floats(mean)[c]) / std::sqrt(double(floats(variance)[c]) + epsilon);
      put(y, t.type, i, floats(scale)[c] * normal + floats(bias)[c]);
    });
    return 0;
  };
  return enqueue(call, stream, action);
}

STUB int cudnnBatchNormalizationForwardTraining(
  void *handle, int mode, const void *alpha, const void *beta, void *x_type, const void *x, void *y_type, void *y,
  void *vector_type, const void *scale, const void *bias, double factor, void *running_mean, void *running_variance,
  double epsilon, void *mean, void *inverse_deviation) {
  CALL(cudnnBatchNormalizationForwardTraining);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  const DnnTensor *type = stream ? images(call, mode, x_type, y_type, vector_type, epsilon) : nullptr;
  if (!type || !is_plain(call, alpha, beta)) return call.error;
  const DnnTensor t = *type;
  const size_t vector = size_t(t.c) * 4, count = t.count() / size_t(t.c);
  auto action = std::make_shared<Action>();
  action->what = "a normalization";
  action->cost = cost(mode, t);
  if (!running_mean != !running_variance || !mean != !inverse_deviation) {
    return call.misuse(dnn_bad_parameter, "one of two moments is missing");
  }
  if (!dnn_use(call, *action, x, t.bytes(), "x") || !dnn_use(call, *action, y, t.bytes(), "y") ||
      !dnn_use(call, *action, scale, vector, "the scale") || !dnn_use(call, *action, bias, vector, "the bias") ||
      (running_mean && (!dnn_use(call, *action, running_mean, vector, "the running mean") ||
                        !dnn_use(call, *action, running_variance, vector, "the running variance"))) ||
      (mean && (!dnn_use(call, *action, mean, vector, "the mean") ||
                !dnn_use(call, *action, inverse_deviation, vector, "the inverse deviation")))) {
    return call.error;
  }
  if (dnn_overlap(x, t.bytes(), y, t.bytes())) return call.misuse(dnn_bad_parameter, "x and y overlap");
  action->run = [=] {
    std::vector<double> means(t.c), squares(t.c);
    for_elements(t, [&](size_t i, int c) { means[c] += number(x, t.type, i) / double(count); });
    for_elements(t, [&](size_t i, int c) {
      const double difference = number(x, t.type, i) - means[c];
      squares[c] += difference * difference;
    });
    for_elements(t, [&](size_t i, int c) {
      const double normal = (number(x, t.type, i) - means[c]) / std::sqrt(squares[c] / double(count) + epsilon);
      put(y, t.type, i, floats(scale)[c] * normal + floats(bias)[c]);
    });
    for (int c = 0; c < t.c; c++) {
      if (running_mean) {
        // What is there counts even with the weight 0, if it is no number.
        float &old_mean = floats(running_mean)[c], &old_variance = floats(running_variance)[c];
        old_mean = float(factor * means[c] + (1 - factor) * old_mean);
        old_variance = float(factor * squares[c] / double(count - 1) + (1 - factor) * old_variance);
      }
      if (mean) {
        floats(mean)[c] = float(means[c]);
        floats(inverse_deviation)[c] = float(1 / std::sqrt(squares[c] / double(count) + epsilon));
      }
    }
    return 0;
  };
  return enqueue(call, stream, action);
}

STUB int cudnnBatchNormalizationBackward(
  void *handle, int mode, const void *alpha, const void *beta, const void *alpha_vectors, const void *beta_vectors,
  void *x_type, const void *x, void *dy_type, const void *dy, void *dx_type, void *dx, void *vector_type,
  const void *scale, void *dscale, void *dbias, double epsilon, const void *mean, const void *inverse_deviation) {
  CALL(cudnnBatchNormalizationBackward);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  const DnnTensor *type = stream ? images(call, mode, x_type, dy_type, vector_type, epsilon) : nullptr;
  if (type) type = images(call, mode, x_type, dx_type, vector_type, epsilon);
  if (!type || !is_plain(call, alpha, beta) || !is_plain(call, alpha_vectors, beta_vectors)) return call.error;
  const DnnTensor t = *type;
  const size_t vector = size_t(t.c) * 4;
  auto action = std::make_shared<Action>();
  action->what = "the gradient of a normalization";
  action->cost = cost(mode, t);
  if (!mean || !inverse_deviation) return call.misuse(dnn_not_supported, "the stub does not compute moments again");
  if (!dnn_use(call, *action, x, t.bytes(), "x") || !dnn_use(call, *action, dy, t.bytes(), "dy") ||
      !dnn_use(call, *action, dx, t.bytes(), "dx") || !dnn_use(call, *action, scale, vector, "the scale") ||
      !dnn_use(call, *action, dscale, vector, "the scale's gradient") ||
      !dnn_use(call, *action, dbias, vector, "the bias's gradient") || !dnn_use(call, *action, mean, vector, "the mean") ||
      !dnn_use(call, *action, inverse_deviation, vector, "the inverse deviation")) {
    return call.error;
  }
  if (dnn_overlap(dx, t.bytes(), x, t.bytes()) || dnn_overlap(dx, t.bytes(), dy, t.bytes())) {
    return call.misuse(dnn_bad_parameter, "dx overlaps an operand");
  }
  action->run = [=] {
    const double count = double(t.count()) / t.c;
    std::vector<double> products(t.c), sums(t.c);
    auto normal = [&](size_t i, int c) { return (number(x, t.type, i) - floats(mean)[c]) * floats(inverse_deviation)[c]; };
    for_elements(t, [&](size_t i, int c) {
      sums[c] += number(dy, t.type, i);
      products[c] += number(dy, t.type, i) * normal(i, c);
    });
    for_elements(t, [&](size_t i, int c) {
      const double inner = number(dy, t.type, i) - (sums[c] + normal(i, c) * products[c]) / count;
      put(dx, t.type, i, floats(scale)[c] * floats(inverse_deviation)[c] * inner);
    });
    for (int c = 0; c < t.c; c++) floats(dscale)[c] = float(products[c]), floats(dbias)[c] = float(sums[c]);
    return 0;
  };
  return enqueue(call, stream, action);
}
