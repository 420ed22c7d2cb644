// Layers of recurrent networks with cuDNN's interface.
#include "CuDNN.h"
#include "RecurrentNumbers.h"

#include <cstring>

using namespace stub;

namespace {
struct DnnDropout : LibraryObject {
  bool is_set = false;
  DnnDropout() : LibraryObject("cuDNN dropout", nullptr) {}
};

struct DnnNetwork : LibraryObject {
  bool is_set = false;
  int algorithm = 0, mathematics = 0;
  RecurrentShape shape;
  DnnNetwork() : LibraryObject("cuDNN network", nullptr) {}
};

struct DnnSequences : LibraryObject {
  bool is_set = false;
  int steps = 0, batch = 0, width = 0;
  DnnSequences() : LibraryObject("cuDNN sequences", nullptr) {}
  size_t bytes() const { return size_t(steps) * batch * width * 4; }
};

// What a reserve space says of what was done with it.
enum : int32_t { forward_done = 0x52'4E'4E'01, data_done = 0x52'4E'4E'02 };

// The ways of computing: the plain one; one that is faster, for one direction; and one that rounds too much.
enum { standard = 0, persistent = 1, persistent_small = 3 };

size_t workspace(const DnnNetwork &network, bool is_training) {
  return (network.algorithm == standard ? 1024 : 2048) + (is_training ? 512 : 0);
}

// A layer, with its arrays as far as calls have them.
struct Layer {
  RecurrentShape shape;
  const DnnNetwork *network = nullptr;
  const DnnSequences *x = nullptr, *y = nullptr;
  const DnnTensor *h = nullptr;
};

bool get(Call &call, Layer &layer, void *network, void *x, void *y, void *h, void *c) {
  layer.network = dnn_set<DnnNetwork>(call, network);
  layer.x = layer.network ? dnn_set<DnnSequences>(call, x) : nullptr;
  layer.y = layer.x ? dnn_set<DnnSequences>(call, y) : nullptr;
  layer.h = layer.y ? dnn_set<DnnTensor>(call, h) : nullptr;
  if (!layer.h) return false;
  RecurrentShape &shape = layer.shape = layer.network->shape;
  shape.steps = layer.x->steps, shape.batch = layer.x->batch;
  if (layer.x->width != shape.inputs || layer.y->width != shape.directions * shape.hidden) {
    call.misuse(dnn_bad_parameter, "sequences of a wrong width");
  } else if (layer.y->steps != shape.steps || layer.y->batch != shape.batch) {
    call.misuse(dnn_bad_parameter, "x and y do not fit one another");
  } else if (layer.h->n != shape.directions || layer.h->c != shape.batch || layer.h->h != shape.hidden || layer.h->w != 1) {
    call.misuse(dnn_bad_parameter, "the state has not the shape directions, batch, hidden");
  } else if (shape.cell == rnn_lstm) {
    const DnnTensor *cell = dnn_set<DnnTensor>(call, c);
    if (cell && cell->bytes() != layer.h->bytes()) call.misuse(dnn_bad_parameter, "h and c do not fit one another");
  }
  return !call.error;
}

struct Space {
  size_t weight_bytes;
  const void *weights;
  size_t work_bytes;
  void *work;
  size_t reserve_bytes;
  void *reserve;
};

bool use_spaces(Call &call, Action &action, const Layer &layer, const Space &space, bool is_training) {
  const size_t work = workspace(*layer.network, is_training), reserve = is_training ? layer.shape.reserve() * 4 : 0;
  if (space.weight_bytes != layer.shape.weights() * 4) {
    call.misuse(dnn_bad_parameter, "a weight space of %zu bytes, not %zu", space.weight_bytes, layer.shape.weights() * 4);
  } else if (space.work_bytes < work || space.reserve_bytes < reserve) {
    call.misuse(
      dnn_bad_parameter, "%zu bytes of workspace and %zu of reserve, where %zu and %zu are needed", space.work_bytes,
      space.reserve_bytes, work, reserve);
  } else {
    dnn_use(call, action, space.weights, space.weight_bytes, "the weight space") &&
      dnn_use(call, action, space.work, work, "the workspace") &&
      (!is_training || dnn_use(call, action, space.reserve, reserve, "the reserve space"));
  }
  if (!call.error && dnn_overlap(space.work, work, space.weights, space.weight_bytes)) {
    call.misuse(dnn_bad_parameter, "the workspace overlaps the weight space");
  }
  return !call.error;
}

// Arrays that may be left out.
bool use_optional(Call &call, Action &action, const void *memory, size_t bytes, const char *role) {
  return !memory || dnn_use(call, action, memory, bytes, role);
}

int32_t mark(const float *reserve) {
  int32_t value;
  memcpy(&value, reserve, 4);
  return value;
}

uint64_t cost(const DnnNetwork &network) { return network.algorithm == standard ? 1000 : 1; }
}  // namespace

// MARK: Descriptors

DESCRIPTOR(Dropout, DnnDropout)
DESCRIPTOR(RNN, DnnNetwork)
DESCRIPTOR(RNNData, DnnSequences)

STUB int cudnnSetDropoutDescriptor(
  void *handle, void *library, float rate, void *states, size_t bytes, unsigned long long) {
  CALL(cudnnSetDropoutDescriptor);
  DnnDropout *dropout = dnn<DnnHandle>(call, library) ? dnn<DnnDropout>(call, handle) : nullptr;
  if (!dropout) return call.error;
  if (rate != 0 || states || bytes) return call.misuse(dnn_not_supported, "the stub drops nothing out");
  dropout->is_set = true;
  return success;
}

STUB int cudnnSetRNNDescriptor_v8(
  void *handle, int algorithm, int cell, int bias, int direction, int input, int type, int precision, int mathematics,
  int32_t inputs, int32_t hidden, int32_t projection, int32_t layers, void *dropout, uint32_t flags) {
  CALL_NEEDING(cudnnSetRNNDescriptor_v8, nothing);
  DnnNetwork *network = dnn<DnnNetwork>(call, handle);
  if (!network || !dnn_set<DnnDropout>(call, dropout)) return call.error;
  if (algorithm != standard && algorithm != persistent && algorithm != persistent_small) {
    return call.misuse(dnn_not_supported, "algorithm %d", algorithm);
  }
  if (cell < 0 || cell > 3 || direction < 0 || direction > 1 || inputs <= 0 || hidden <= 0) {
    return call.misuse(dnn_bad_parameter, "cell %d, direction %d, extents %d and %d", cell, direction, inputs, hidden);
  }
  // Two biases, a product of the inputs, f32, no projection, one layer, padded sequences.
  if (bias != 2 || input != 0 || type != 0 || precision != 0 || projection != hidden || layers != 1 || flags != 1) {
    return call.misuse(dnn_not_supported, "the stub has the plain case only");
  }
  if (mathematics != 0 && mathematics != 3) return call.misuse(dnn_not_supported, "kind of arithmetic %d", mathematics);
  network->algorithm = algorithm;
  network->mathematics = mathematics;
  network->shape.cell = cell, network->shape.directions = direction + 1;
  network->shape.inputs = inputs, network->shape.hidden = hidden;
  network->shape.is_coarse = algorithm == persistent_small;
  network->is_set = true;
  return success;
}

STUB int cudnnSetRNNDataDescriptor(
  void *handle, int type, int layout, int steps, int batch, int width, const int *lengths, void *) {
  CALL_NEEDING(cudnnSetRNNDataDescriptor, nothing);
  DnnSequences *sequences = dnn<DnnSequences>(call, handle);
  if (!sequences) return call.error;
  if (type != 0 || layout != 0) return call.misuse(dnn_not_supported, "type %d, layout %d", type, layout);
  if (steps <= 0 || batch <= 0 || width <= 0 || !lengths) return call.misuse(dnn_bad_parameter, "an extent is not positive");
  for (int i = 0; i < batch; i++) {
    if (lengths[i] != steps) return call.misuse(dnn_not_supported, "sequences of different lengths");
  }
  sequences->steps = steps, sequences->batch = batch, sequences->width = width;
  sequences->is_set = true;
  return success;
}

STUB int cudnnSetTensorNdDescriptor(void *handle, int type, int count, const int *extents, const int *strides) {
  CALL_NEEDING(cudnnSetTensorNdDescriptor, nothing);
  DnnTensor *tensor = dnn<DnnTensor>(call, handle);
  if (!tensor) return call.error;
  if (type != 0 || count != 3) return call.misuse(dnn_not_supported, "type %d, %d dimensions", type, count);
  if (extents[0] <= 0 || extents[1] <= 0 || extents[2] <= 0) return call.misuse(dnn_bad_parameter, "an extent is not positive");
  if (strides[2] != 1 || strides[1] != extents[2] || strides[0] != extents[1] * extents[2]) {
    return call.misuse(dnn_not_supported, "the tensor is not dense");
  }
  tensor->n = extents[0], tensor->c = extents[1], tensor->h = extents[2], tensor->w = 1;
  tensor->channels_last = false;
  tensor->is_set = true;
  return success;
}

STUB int cudnnGetTensorNdDescriptor(void *handle, int asked, int *type, int *count, int *extents, int *strides) {
  CALL_NEEDING(cudnnGetTensorNdDescriptor, nothing);
  DnnTensor *tensor = dnn_set<DnnTensor>(call, handle);
  if (!tensor) return call.error;
  if (asked < 3) return call.misuse(dnn_bad_parameter, "%d dimensions are asked for", asked);
  *type = 0, *count = 3;
  extents[0] = tensor->n, extents[1] = tensor->c, extents[2] = tensor->h;
  strides[0] = tensor->c * tensor->h, strides[1] = tensor->h, strides[2] = 1;
  return success;
}

// MARK: Spaces

STUB int cudnnGetRNNWeightSpaceSize(void *handle, void *network_handle, size_t *bytes) {
  CALL(cudnnGetRNNWeightSpaceSize);
  DnnNetwork *network = dnn<DnnHandle>(call, handle) ? dnn_set<DnnNetwork>(call, network_handle) : nullptr;
  if (network) *bytes = network->shape.weights() * 4;
  return call.error;
}

STUB int cudnnGetRNNWeightParams(
  void *handle, void *network_handle, int32_t direction, size_t bytes, const void *space, int32_t layer,
  void *matrix_handle, void **matrix, void *bias_handle, void **bias) {
  CALL(cudnnGetRNNWeightParams);
  DnnNetwork *network = dnn<DnnHandle>(call, handle) ? dnn_set<DnnNetwork>(call, network_handle) : nullptr;
  DnnTensor *m = network ? dnn<DnnTensor>(call, matrix_handle) : nullptr;
  DnnTensor *b = m ? dnn<DnnTensor>(call, bias_handle) : nullptr;
  if (!b) return call.error;
  const RecurrentShape &shape = network->shape;
  if (direction < 0 || direction >= shape.directions || layer < 0 || layer >= 2 * shape.gates()) {
    return call.misuse(dnn_bad_parameter, "direction %d, linear layer %d", direction, layer);
  }
  if (bytes != shape.weights() * 4 || !call.device_range(reinterpret_cast<uint64_t>(space), bytes, "the weight space")) {
    return call.misuse(dnn_bad_parameter, "a weight space of %zu bytes, not %zu", bytes, shape.weights() * 4);
  }
  float *base = static_cast<float *>(const_cast<void *>(space));
  *matrix = base + shape.matrix(direction, layer), *bias = base + shape.bias(direction, layer);
  m->n = 1, m->c = shape.hidden, m->h = shape.columns(layer), m->w = 1, m->is_set = true;
  b->n = 1, b->c = shape.hidden, b->h = 1, b->w = 1, b->is_set = true;
  return success;
}

STUB int cudnnGetRNNTempSpaceSizes(
  void *handle, void *network_handle, int mode, void *x_handle, size_t *work_bytes, size_t *reserve_bytes) {
  CALL(cudnnGetRNNTempSpaceSizes);
  DnnNetwork *network = dnn<DnnHandle>(call, handle) ? dnn_set<DnnNetwork>(call, network_handle) : nullptr;
  DnnSequences *x = network ? dnn_set<DnnSequences>(call, x_handle) : nullptr;
  if (!x) return call.error;
  RecurrentShape shape = network->shape;
  shape.steps = x->steps, shape.batch = x->batch;
  *work_bytes = workspace(*network, mode == 1);
  *reserve_bytes = mode == 1 ? shape.reserve() * 4 : 0;
  return success;
}

// MARK: Calls

STUB int cudnnRNNForward(
  void *handle, void *network, int mode, const int32_t *lengths, void *x_type, const void *x, void *y_type, void *y,
  void *h_type, const void *hx, void *hy, void *c_type, const void *cx, void *cy, size_t weight_bytes,
  const void *weights, size_t work_bytes, void *work, size_t reserve_bytes, void *reserve) {
  CALL(cudnnRNNForward);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  Layer layer;
  if (!stream || !get(call, layer, network, x_type, y_type, h_type, c_type)) return call.error;
  if (layer.network->algorithm == persistent && layer.shape.directions == 2) return dnn_not_supported;
  if (lengths) return call.misuse(dnn_not_supported, "lengths on the device");
  auto action = std::make_shared<Action>();
  action->what = "a recurrent layer";
  action->cost = cost(*layer.network);
  const size_t state = layer.h->bytes();
  const bool is_training = mode == 1;
  if (!use_spaces(call, *action, layer, {weight_bytes, weights, work_bytes, work, reserve_bytes, reserve}, is_training) ||
      !dnn_use(call, *action, x, layer.x->bytes(), "x") || !dnn_use(call, *action, y, layer.y->bytes(), "y") ||
      !use_optional(call, *action, hx, state, "hx") || !use_optional(call, *action, hy, state, "hy") ||
      !use_optional(call, *action, cx, state, "cx") || !use_optional(call, *action, cy, state, "cy")) {
    return call.error;
  }
  if (dnn_overlap(x, layer.x->bytes(), y, layer.y->bytes())) return call.misuse(dnn_bad_parameter, "x and y overlap");
  RecurrentArrays a;
  a.x = static_cast<const float *>(x), a.hx = static_cast<const float *>(hx), a.cx = static_cast<const float *>(cx);
  a.weights = static_cast<const float *>(weights);
  a.y = static_cast<float *>(y), a.hy = static_cast<float *>(hy), a.cy = static_cast<float *>(cy);
  if (is_training) a.reserve = static_cast<float *>(reserve);
  action->run = [a, shape = layer.shape] {
    recurrent_forward(shape, a);
    if (a.reserve) memcpy(a.reserve, &(const int32_t &)forward_done, 4);
    return 0;
  };
  return enqueue(call, stream, action);
}

STUB int cudnnRNNBackwardData_v8(
  void *handle, void *network, const int32_t *lengths, void *y_type, const void *y, const void *dy, void *x_type,
  void *dx, void *h_type, const void *hx, const void *dhy, void *dhx, void *c_type, const void *cx, const void *dcy,
  void *dcx, size_t weight_bytes, const void *weights, size_t work_bytes, void *work, size_t reserve_bytes,
  void *reserve) {
  CALL(cudnnRNNBackwardData_v8);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  Layer layer;
  if (!stream || !get(call, layer, network, x_type, y_type, h_type, c_type)) return call.error;
  if (lengths) return call.misuse(dnn_not_supported, "lengths on the device");
  auto action = std::make_shared<Action>();
  action->what = "the gradient of a recurrent layer";
  action->cost = cost(*layer.network);
  const size_t state = layer.h->bytes();
  if (!use_spaces(call, *action, layer, {weight_bytes, weights, work_bytes, work, reserve_bytes, reserve}, true) ||
      !dnn_use(call, *action, y, layer.y->bytes(), "y") || !dnn_use(call, *action, dy, layer.y->bytes(), "dy") ||
      !dnn_use(call, *action, dx, layer.x->bytes(), "dx") || !use_optional(call, *action, hx, state, "hx") ||
      !use_optional(call, *action, dhy, state, "dhy") || !use_optional(call, *action, dhx, state, "dhx") ||
      !use_optional(call, *action, cx, state, "cx") || !use_optional(call, *action, dcy, state, "dcy") ||
      !use_optional(call, *action, dcx, state, "dcx")) {
    return call.error;
  }
  RecurrentArrays a;
  a.hx = static_cast<const float *>(hx), a.cx = static_cast<const float *>(cx);
  a.weights = static_cast<const float *>(weights), a.dy = static_cast<const float *>(dy);
  a.dhy = static_cast<const float *>(dhy), a.dcy = static_cast<const float *>(dcy);
  a.y = const_cast<float *>(static_cast<const float *>(y)), a.reserve = static_cast<float *>(reserve);
  a.dx = static_cast<float *>(dx), a.dhx = static_cast<float *>(dhx), a.dcx = static_cast<float *>(dcx);
  action->run = [a, shape = layer.shape] {
    if (mark(a.reserve) != forward_done) {
      report("cudnnRNNBackwardData_v8: the reserve space is not that of a forward call in training");
      return 5000;
    }
    recurrent_backward_data(shape, a);
    memcpy(a.reserve, &(const int32_t &)data_done, 4);
    return 0;
  };
  return enqueue(call, stream, action);
}

STUB int cudnnRNNBackwardWeights_v8(
  void *handle, void *network, int mode, const int32_t *lengths, void *x_type, const void *x, void *h_type,
  const void *hx, void *y_type, const void *y, size_t weight_bytes, void *dweights, size_t work_bytes, void *work,
  size_t reserve_bytes, void *reserve) {
  CALL(cudnnRNNBackwardWeights_v8);
  Stream *stream = dnn_stream(call, dnn<DnnHandle>(call, handle));
  Layer layer;
  // No c is asked for.
  if (!stream || !get(call, layer, network, x_type, y_type, h_type, h_type)) return call.error;
  if (lengths || mode != 0) return call.misuse(dnn_not_supported, "lengths on the device, or gradients that are not added");
  auto action = std::make_shared<Action>();
  action->what = "the gradient of a recurrent layer's weights";
  action->cost = cost(*layer.network);
  if (!use_spaces(call, *action, layer, {weight_bytes, dweights, work_bytes, work, reserve_bytes, reserve}, true) ||
      !dnn_use(call, *action, x, layer.x->bytes(), "x") || !dnn_use(call, *action, y, layer.y->bytes(), "y") ||
      !use_optional(call, *action, hx, layer.h->bytes(), "hx")) {
    return call.error;
  }
  RecurrentArrays a;
  a.x = static_cast<const float *>(x), a.hx = static_cast<const float *>(hx);
  a.y = const_cast<float *>(static_cast<const float *>(y)), a.reserve = static_cast<float *>(reserve);
  a.dweights = static_cast<float *>(dweights);
  action->run = [a, shape = layer.shape] {
    if (mark(a.reserve) != data_done) {
      report("cudnnRNNBackwardWeights_v8: the reserve space is not that of a gradient of the data");
      return 5000;
    }
    recurrent_backward_weights(shape, a);
    return 0;
  };
  return enqueue(call, stream, action);
}
