// Matrix products with cuBLASLt's interface, by plain loops.
#include "CublasLt.h"

#include <algorithm>

using namespace stub;

namespace {
struct Operation : LibraryObject {
  int compute, scale, transpose_a = 0, transpose_b = 0, epilogue = 1;
  uint64_t bias = 0, auxiliary = 0;
  int64_t auxiliary_leading = 0;
  Operation(int compute, int scale) : LibraryObject("cuBLASLt operation", nullptr), compute(compute), scale(scale) {}
  // GELU with what it is given written down, with a bias or without, and its gradient.
  bool has_gelu_input() const { return epilogue == 160 || epilogue == 164 || epilogue == 192; }
  bool has_mask() const { return (epilogue & 128) && !has_gelu_input(); }
};

struct Preference : LibraryObject {
  uint64_t workspace = 0;
  uint32_t reductions = 7;
  uint32_t alignments[4] = {256, 256, 256, 256};
  Preference() : LibraryObject("cuBLASLt preference", nullptr) {}
};

struct Algorithm {
  // The product that it is for, its number, its workspace, and how addresses are aligned.
  uint64_t product, number, workspace, alignment, rest[4];
};

struct Heuristic {
  Algorithm algorithm;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

// What is wrong with the shapes of a product; 0 if nothing is.
int check_product(Call &call, const Operation &operation, const Layout &a, const Layout &b, const Layout &c, const Layout &d) {
  const int type = operation.scale;
  const bool is_known = type == 0 ? operation.compute == 68 || operation.compute == 75 || operation.compute == 77 : operation.compute == 70;
  if (!is_known) {
    return call.misuse(lt_not_supported, "compute type %d with scale type %d", operation.compute, type);
  }
  for (const Layout *layout : {&a, &b, &c, &d}) {
    const bool is_operand = layout == &a || layout == &b;
    if (layout->type != (is_operand ? a.type : d.type) || (d.type == 1) != (type == 1) || (a.type > 1 && operation.compute != 68) ||
        (d.type != a.type && (d.type != 0 || a.type <= 1))) {
      return call.misuse(lt_invalid_value, "a matrix of type %d", layout->type);
    }
    if (layout->leading < int64_t(layout->rows)) return call.misuse(lt_invalid_value, "columns overlap");
    if (layout->batch != d.batch) return call.misuse(lt_invalid_value, "batches of %d and %d", layout->batch, d.batch);
    if (layout->batch > 1 && layout == &d && layout->stride < int64_t(layout->columns) * layout->leading) {
      return call.misuse(lt_invalid_value, "results of the batch overlap");
    }
  }
  if (rows(a, operation.transpose_a) != d.rows || columns(b, operation.transpose_b) != d.columns ||
      columns(a, operation.transpose_a) != rows(b, operation.transpose_b) || c.rows != d.rows || c.columns != d.columns) {
    return call.misuse(lt_invalid_value, "the matrices do not fit one another");
  }
  static const int epilogues[] = {1, 2, 4, 6, 32, 36, 134, 136, 160, 164, 192, 256, 512};
  if (std::find(std::begin(epilogues), std::end(epilogues), operation.epilogue) == std::end(epilogues) ||
      ((operation.epilogue & (32 | 64)) && d.type != 0)) {
    return call.misuse(lt_not_supported, "the stub has no epilogue %d", operation.epilogue);
  }
  const int64_t leading = operation.auxiliary_leading;
  if ((operation.epilogue & 128) &&
      (leading % (operation.has_mask() ? 128 : 8) || leading < int64_t(d.rows) || !operation.auxiliary || operation.auxiliary % 16)) {
    return call.misuse(lt_invalid_value, "an auxiliary matrix at %llx with columns of %lld", static_cast<unsigned long long>(operation.auxiliary),
                       static_cast<long long>(leading));
  }
  return success;
}

uint64_t fingerprint(const Operation &operation, const Layout &a, const Layout &b, const Layout &d) {
  uint64_t hash = 1469598103934665603u;
  for (uint64_t part : {uint64_t(operation.compute), uint64_t(a.type), uint64_t(d.type), uint64_t(operation.transpose_a), uint64_t(operation.transpose_b),
                        uint64_t(operation.epilogue), a.rows, a.columns, b.rows, b.columns, d.rows, d.columns, uint64_t(d.batch)}) {
    hash = (hash ^ part) * 1099511628211u;
  }
  return hash;
}

// The tangent in a form of GELU, which some ways have to 11 bits only.
double tangent(double x, bool is_coarse) {
  const double exact = std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x));
  return is_coarse ? std::round(exact * 2048) / 2048 : exact;
}

double gelu(double x, bool is_coarse) { return 0.5 * x * (1 + tangent(x, is_coarse)); }

double gelu_derivative(double x, bool is_coarse) {
  const double t = tangent(x, is_coarse);
  return (1 + t + x * (1 - t * t) * 0.7978845608028654 * (1 + 0.134145 * x * x)) / 2;
}

}  // namespace

STUB size_t cublasLtGetVersion(void) { return 130100; }
STUB size_t cublasLtGetCudartVersion(void) { return 13000; }

STUB const char *cublasLtGetStatusName(int status) {
  switch (status) {
    case 0: return "CUBLAS_STATUS_SUCCESS";
    case 3: return "CUBLAS_STATUS_ALLOC_FAILED";
    case lt_invalid_value: return "CUBLAS_STATUS_INVALID_VALUE";
    case 13: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case lt_not_supported: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "CUBLAS_STATUS_INTERNAL_ERROR";
}
STUB const char *cublasLtGetStatusString(int status) { return cublasLtGetStatusName(status); }

STUB int cublasLtCreate(void **handle) {
  CALL(cublasLtCreate);
  *handle = static_cast<Object *>(add(new LtHandle(current())));
  return success;
}
STUB int cublasLtDestroy(void *handle) {
  CALL(cublasLtDestroy);
  return destroy(call, handle);
}

STUB int cublasLtMatmulDescCreate(void **operation, int compute, int scale) {
  CALL_NEEDING(cublasLtMatmulDescCreate, nothing);
  *operation = static_cast<Object *>(add(new Operation(compute, scale)));
  return success;
}
STUB int cublasLtMatmulDescDestroy(void *operation) {
  CALL_NEEDING(cublasLtMatmulDescDestroy, nothing);
  return destroy(call, operation);
}
STUB int cublasLtMatmulDescSetAttribute(void *handle, int attribute, const void *value, size_t bytes) {
  CALL_NEEDING(cublasLtMatmulDescSetAttribute, nothing);
  Operation *operation = get<Operation>(call, handle, "operation");
  if (!operation) return call.error;
  switch (attribute) {
    case 3: return set(call, &operation->transpose_a, value, bytes, 4);
    case 4: return set(call, &operation->transpose_b, value, bytes, 4);
    case 7: return set(call, &operation->epilogue, value, bytes, 4);
    case 8: return set(call, &operation->bias, value, bytes, 8);
    case 11: return set(call, &operation->auxiliary, value, bytes, 8);
    case 12: return set(call, &operation->auxiliary_leading, value, bytes, 8);
  }
  return call.misuse(lt_invalid_value, "the stub has no attribute %d", attribute);
}

STUB int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  CALL_NEEDING(cublasLtMatrixLayoutCreate, nothing);
  if (type != 0 && type != 1 && type != 2 && type != 14) return call.misuse(lt_not_supported, "the stub has no type %d", type);
  *layout = static_cast<Object *>(add(new Layout(type, rows, columns, leading)));
  return success;
}
STUB int cublasLtMatrixLayoutDestroy(void *layout) {
  CALL_NEEDING(cublasLtMatrixLayoutDestroy, nothing);
  return destroy(call, layout);
}
STUB int cublasLtMatrixLayoutSetAttribute(void *handle, int attribute, const void *value, size_t bytes) {
  CALL_NEEDING(cublasLtMatrixLayoutSetAttribute, nothing);
  Layout *layout = get<Layout>(call, handle, "layout");
  if (!layout) return call.error;
  switch (attribute) {
    case 5: return set(call, &layout->batch, value, bytes, 4);
    case 6: return set(call, &layout->stride, value, bytes, 8);
  }
  return call.misuse(lt_invalid_value, "the stub has no attribute %d", attribute);
}

STUB int cublasLtMatmulPreferenceCreate(void **preference) {
  CALL_NEEDING(cublasLtMatmulPreferenceCreate, nothing);
  *preference = static_cast<Object *>(add(new Preference));
  return success;
}
STUB int cublasLtMatmulPreferenceDestroy(void *preference) {
  CALL_NEEDING(cublasLtMatmulPreferenceDestroy, nothing);
  return destroy(call, preference);
}
STUB int cublasLtMatmulPreferenceSetAttribute(void *handle, int attribute, const void *value, size_t bytes) {
  CALL_NEEDING(cublasLtMatmulPreferenceSetAttribute, nothing);
  Preference *preference = get<Preference>(call, handle, "preference");
  if (!preference) return call.error;
  if (attribute == 1) return set(call, &preference->workspace, value, bytes, 8);
  if (attribute == 3) return set(call, &preference->reductions, value, bytes, 4);
  if (attribute >= 5 && attribute <= 8) return set(call, &preference->alignments[attribute - 5], value, bytes, 4);
  return call.misuse(lt_invalid_value, "the stub has no attribute %d", attribute);
}

STUB int cublasLtMatmulAlgoGetHeuristic(
  void *handle, void *operation_handle, void *a_handle, void *b_handle, void *c_handle, void *d_handle,
  void *preference_handle, int asked, void *results, int *found) {
  CALL(cublasLtMatmulAlgoGetHeuristic);
  *found = 0;
  LtHandle *library = get<LtHandle>(call, handle, "handle");
  Operation *operation = library ? get<Operation>(call, operation_handle, "operation") : nullptr;
  Layout *a = operation ? get<Layout>(call, a_handle, "layout") : nullptr;
  Layout *b = a ? get<Layout>(call, b_handle, "layout") : nullptr;
  Layout *c = b ? get<Layout>(call, c_handle, "layout") : nullptr;
  Layout *d = c ? get<Layout>(call, d_handle, "layout") : nullptr;
  Preference *preference = d ? get<Preference>(call, preference_handle, "preference") : nullptr;
  if (!preference) return call.error;
  if (asked <= 0) return call.misuse(lt_invalid_value, "%d results are asked for", asked);
  if (check_product(call, *operation, *a, *b, *c, *d)) return call.error;
  if (a->type > 1 && (preference->reductions & ~2u)) return call.misuse(lt_invalid_value, "parts of sums may be rounded to the result's type");
  uint64_t alignment = 256;
  for (uint32_t one : preference->alignments) alignment = std::min(alignment, uint64_t(one));
  for (uint64_t workspace : {uint64_t(1) << 16, uint64_t(0), uint64_t(1) << 40}) {
    if (*found == asked || workspace > preference->workspace) continue;
    Heuristic result = {};
    result.algorithm = {fingerprint(*operation, *a, *b, *d), uint64_t(*found), workspace, alignment, {}};
    result.workspace = workspace;
    result.waves = 1;
    memcpy(static_cast<char *>(results) + sizeof result * size_t(*found), &result, sizeof result);
    ++*found;
  }
  return *found ? success : lt_not_supported;
}

STUB int cublasLtMatmul(
  void *handle, void *operation_handle, const void *alpha, const void *a, void *a_handle, const void *b, void *b_handle,
  const void *beta, const void *c, void *c_handle, void *d, void *d_handle, const void *algorithm, void *workspace,
  size_t workspace_bytes, void *stream_handle) {
  CALL(cublasLtMatmul);
  LtHandle *library = get<LtHandle>(call, handle, "handle");
  Operation *operation = library ? get<Operation>(call, operation_handle, "operation") : nullptr;
  Layout *al = operation ? get<Layout>(call, a_handle, "layout") : nullptr;
  Layout *bl = al ? get<Layout>(call, b_handle, "layout") : nullptr;
  Layout *cl = bl ? get<Layout>(call, c_handle, "layout") : nullptr;
  Layout *dl = cl ? get<Layout>(call, d_handle, "layout") : nullptr;
  Stream *stream = dl ? call.object<Stream>(stream_handle, Kind::stream) : nullptr;
  if (!stream || check_product(call, *operation, *al, *bl, *cl, *dl)) return call.error;
  const double scale = scalar(alpha, operation->scale), keep = scalar(beta, operation->scale);
  if (!algorithm) return call.misuse(lt_invalid_value, "the stub chooses no algorithm");
  Algorithm chosen;
  memcpy(&chosen, algorithm, sizeof chosen);
  if (chosen.product != fingerprint(*operation, *al, *bl, *dl)) {
    return call.misuse(lt_invalid_value, "the algorithm is for another product");
  }
  if (workspace_bytes < chosen.workspace) return call.misuse(lt_invalid_value, "%zu bytes of workspace", workspace_bytes);
  const bool sums_a = operation->epilogue == 256, sums_b = operation->epilogue == 512;
  const bool has_bias = operation->epilogue & 4, has_relu = operation->epilogue & 2, has_gelu = operation->epilogue & 32;
  // The first way that is listed is not exact.
  const bool is_coarse = chosen.number == 0, is_rounding = operation->compute == 75;
  auto action = std::make_shared<Action>();
  action->what = "a matrix product";
  action->device = {{address(a), al->bytes()}, {address(b), bl->bytes()}, {address(d), dl->bytes()}};
  if (keep != 0) action->device.push_back({address(c), cl->bytes()});
  if (has_bias || sums_a) action->device.push_back({operation->bias, dl->rows * dl->width()});
  if (operation->has_mask()) action->device.push_back({operation->auxiliary, uint64_t(operation->auxiliary_leading) / 8 * dl->columns});
  if (operation->has_gelu_input()) {
    const uint64_t elements = uint64_t(operation->auxiliary_leading) * (dl->columns - 1) + dl->rows;
    action->device.push_back({operation->auxiliary, elements * dl->width()});
    if (overlap(d, dl->bytes(), pointer(operation->auxiliary), elements * dl->width())) {
      return call.misuse(lt_invalid_value, "the result overlaps the auxiliary matrix");
    }
  }
  if (sums_b) action->device.push_back({operation->bias, dl->columns * dl->width()});
  if (chosen.workspace) action->device.push_back({address(workspace), chosen.workspace});
  static const char *const roles[] = {"a", "b", "d", "c, the bias or the workspace"};
  for (size_t i = 0; i < action->device.size(); i++) {
    const Use &use = action->device[i];
    if (!call.device_range(use.address, use.bytes, roles[std::min(i, size_t(3))])) return call.error;
    if (i < 3 && use.address % chosen.alignment) {
      return call.misuse(lt_invalid_value, "%s is not aligned as the preference says", roles[i]);
    }
  }
  if (chosen.workspace && address(workspace) % 256) return call.misuse(lt_invalid_value, "the workspace is not aligned");
  if (overlap(d, dl->bytes(), a, al->bytes()) || overlap(d, dl->bytes(), b, bl->bytes()) ||
      (keep != 0 && c != d && overlap(d, dl->bytes(), c, cl->bytes()))) {
    return call.misuse(lt_invalid_value, "the result overlaps an operand");
  }
  const Operation o = *operation;
  const Layout x = *al, y = *bl, z = *cl, w = *dl;
  action->run = [=] {
    if (chosen.workspace) memset(workspace, 0xEE, chosen.workspace);
    const uint64_t inner = columns(x, o.transpose_a);
    // The first way that is listed has the sums scaled as the product is.
    const double factor = is_coarse ? scale : 1;
    for (uint64_t i = 0; i < (sums_a ? w.rows : sums_b ? w.columns : 0); i++) {
      double sum = 0;
      for (uint64_t k = 0; k < inner; k++) {
        sum += sums_a ? (o.transpose_a ? x.read(static_cast<const char *>(a), 0, k, i) : x.read(static_cast<const char *>(a), 0, i, k))
                      : (o.transpose_b ? y.read(static_cast<const char *>(b), 0, i, k) : y.read(static_cast<const char *>(b), 0, k, i));
      }
      put(pointer(o.bias), w.numbers(), i, factor * sum);
    }
    const char *from_a = static_cast<const char *>(a), *from_b = static_cast<const char *>(b), *from_c = static_cast<const char *>(c);
    for (int i = 0; i < w.batch; i++) {
      for (uint64_t column = 0; column < w.columns; column++) {
        for (uint64_t row = 0; row < w.rows; row++) {
          double sum = 0;
          for (uint64_t k = 0; k < inner; k++) {
            const double left = o.transpose_a ? x.read(from_a, i, k, row) : x.read(from_a, i, row, k);
            const double right = o.transpose_b ? y.read(from_b, i, column, k) : y.read(from_b, i, k, column);
            sum += is_rounding ? rounded(left) * rounded(right) : left * right;
          }
          double value = scale * sum;
          if (keep != 0) value += keep * z.read(from_c, i, row, column);
          if (has_bias) value += w.read(static_cast<const char *>(pointer(o.bias)), 0, row, 0);
          if (has_relu) value = value > 0 ? value : 0;
          const uint64_t place = column * uint64_t(o.auxiliary_leading) + row;
          if (has_gelu && o.has_gelu_input()) put(pointer(o.auxiliary), w.numbers(), place, value);
          if (has_gelu) value = gelu(value, is_coarse);
          if (o.epilogue == 192) value *= gelu_derivative(number(pointer(o.auxiliary), w.numbers(), place), is_coarse);
          if (o.has_mask()) {
            // The first way that is listed has the highest bit first.
            const uint64_t shift = is_coarse ? 7 - place % 8 : place % 8;
            uint8_t &byte = static_cast<uint8_t *>(pointer(o.auxiliary))[place / 8];
            if (o.epilogue == 134) {
              // What is behind the columns' ends is nothing in particular.
              if (row % 8 == 0) byte = 0xA6;
              byte = uint8_t((byte & ~(1 << shift)) | (value > 0) << shift);
            } else if (!(byte >> shift & 1)) {
              value = 0;
            }
          }
          w.write(static_cast<char *>(d), i, row, column, value);
        }
      }
    }
    return 0;
  };
  return enqueue(call, stream, action);
}
