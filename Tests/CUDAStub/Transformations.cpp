// Transpositions with cuBLASLt's interface, by plain loops.
#include "CublasLt.h"

using namespace stub;

namespace {
struct Transform : LibraryObject {
  int scale, transpose_a = 0, transpose_b = 0;
  Transform(int scale) : LibraryObject("cuBLASLt transform", nullptr), scale(scale) {}
};
}  // namespace

STUB int cublasLtMatrixTransformDescCreate(void **transform, int scale) {
  CALL_NEEDING(cublasLtMatrixTransformDescCreate, nothing);
  *transform = static_cast<Object *>(add(new Transform(scale)));
  return success;
}
STUB int cublasLtMatrixTransformDescDestroy(void *transform) {
  CALL_NEEDING(cublasLtMatrixTransformDescDestroy, nothing);
  return destroy(call, transform);
}
STUB int cublasLtMatrixTransformDescSetAttribute(void *handle, int attribute, const void *value, size_t bytes) {
  CALL_NEEDING(cublasLtMatrixTransformDescSetAttribute, nothing);
  Transform *transform = get<Transform>(call, handle, "transform");
  if (!transform) return call.error;
  switch (attribute) {
    case 2: return set(call, &transform->transpose_a, value, bytes, 4);
    case 3: return set(call, &transform->transpose_b, value, bytes, 4);
  }
  return call.misuse(lt_invalid_value, "the stub has no attribute %d", attribute);
}

STUB int cublasLtMatrixTransform(
  void *handle, void *transform_handle, const void *alpha, const void *a, void *a_handle, const void *beta,
  const void *b, void *, void *c, void *c_handle, void *stream_handle) {
  CALL(cublasLtMatrixTransform);
  LtHandle *library = get<LtHandle>(call, handle, "handle");
  Transform *transform = library ? get<Transform>(call, transform_handle, "transform") : nullptr;
  Layout *al = transform ? get<Layout>(call, a_handle, "layout") : nullptr;
  Layout *cl = al ? get<Layout>(call, c_handle, "layout") : nullptr;
  Stream *stream = cl ? call.object<Stream>(stream_handle, Kind::stream) : nullptr;
  if (!stream) return call.error;
  const double scale = scalar(alpha, transform->scale);
  if (b || scalar(beta, transform->scale) != 0) return call.misuse(lt_not_supported, "the stub transforms one matrix");
  if (rows(*al, transform->transpose_a) != cl->rows || columns(*al, transform->transpose_a) != cl->columns ||
      al->batch != cl->batch || al->type != cl->type || al->leading < int64_t(al->rows) || cl->leading < int64_t(cl->rows)) {
    return call.misuse(lt_invalid_value, "the matrices do not fit one another");
  }
  if (!call.device_range(address(a), al->bytes(), "a") || !call.device_range(address(c), cl->bytes(), "c")) return call.error;
  if (overlap(a, al->bytes(), c, cl->bytes())) return call.misuse(lt_invalid_value, "the result overlaps the operand");
  auto action = std::make_shared<Action>();
  action->what = "a transposition";
  action->device = {{address(a), al->bytes()}, {address(c), cl->bytes()}};
  const Layout x = *al, z = *cl;
  const int transposed = transform->transpose_a;
  action->run = [=] {
    for (int i = 0; i < z.batch; i++) {
      for (uint64_t column = 0; column < z.columns; column++) {
        for (uint64_t row = 0; row < z.rows; row++) {
          const char *from = static_cast<const char *>(a);
          z.write(
            static_cast<char *>(c), i, row, column,
            scale * (transposed ? x.read(from, i, column, row) : x.read(from, i, row, column)));
        }
      }
    }
    return 0;
  };
  return enqueue(call, stream, action);
}
