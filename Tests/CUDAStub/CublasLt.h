// What the files of the stand-in for cuBLASLt share.
#pragma once
#include "Stub.h"

#include <cmath>
#include <cstring>

namespace stub {

enum { lt_invalid_value = 7, lt_not_supported = 15 };

// A number to the 7 bits behind the point of bfloat16, rounded to even.
inline double rounded(double value) {
  const float single = float(value);
  uint32_t bits;
  memcpy(&bits, &single, 4);
  if (std::isfinite(single)) bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
  float result;
  memcpy(&result, &bits, 4);
  return result;
}

struct Layout : LibraryObject {
  int type, batch = 1;
  uint64_t rows, columns;
  int64_t leading, stride = 0;
  Layout(int type, uint64_t rows, uint64_t columns, int64_t leading)
    : LibraryObject("cuBLASLt layout", nullptr), type(type), rows(rows), columns(columns), leading(leading) {}
  size_t width() const { return type == 1 ? 8 : type == 0 ? 4 : 2; }
  // From the first element to behind the last.
  size_t bytes() const {
    return (size_t(batch - 1) * size_t(stride) + size_t(columns - 1) * size_t(leading) + size_t(rows)) * width();
  }
  double read(const char *base, int index, uint64_t row, uint64_t column) const {
    const size_t at = size_t(index) * size_t(stride) + size_t(column) * size_t(leading) + size_t(row);
    if (type == 1) return reinterpret_cast<const double *>(base)[at];
    if (type == 2) return double(reinterpret_cast<const _Float16 *>(base)[at]);
    if (type == 0) return reinterpret_cast<const float *>(base)[at];
    const uint32_t bits = uint32_t(reinterpret_cast<const uint16_t *>(base)[at]) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
  }
  void write(char *base, int index, uint64_t row, uint64_t column, double value) const {
    const size_t at = size_t(index) * size_t(stride) + size_t(column) * size_t(leading) + size_t(row);
    if (type == 1) {
      reinterpret_cast<double *>(base)[at] = value;
    } else if (type == 2) {
      reinterpret_cast<_Float16 *>(base)[at] = _Float16(float(value));
    } else if (type == 0) {
      reinterpret_cast<float *>(base)[at] = float(value);
    } else {
      const float result = float(rounded(value));
      uint32_t bits;
      memcpy(&bits, &result, 4);
      reinterpret_cast<uint16_t *>(base)[at] = uint16_t(bits >> 16);
    }
  }
};

struct LtHandle : LibraryObject {
  LtHandle(Context *context) : LibraryObject("cuBLASLt handle", context) {}
};

template <class T> T *get(Call &call, void *handle, const char *kind) {
  Object *object = call.check(handle, Kind::library);
  if (!object) return nullptr;
  T *found = dynamic_cast<T *>(object);
  if (!found) call.misuse(lt_invalid_value, "the %s is a %s", kind, object->name);
  return found;
}

inline int destroy(Call &call, void *handle) {
  Object *object = call.check(handle, Kind::library);
  if (object) object->alive = false;
  return call.error;
}

inline int set(Call &call, void *to, const void *from, size_t bytes, size_t expected) {
  if (bytes != expected) return call.misuse(lt_invalid_value, "%zu bytes for an attribute of %zu", bytes, expected);
  memcpy(to, from, bytes);
  return success;
}

inline uint64_t rows(const Layout &layout, int transposed) { return transposed ? layout.columns : layout.rows; }
inline uint64_t columns(const Layout &layout, int transposed) { return transposed ? layout.rows : layout.columns; }

inline double scalar(const void *value, int type) {
  return type == 1 ? *static_cast<const double *>(value) : double(*static_cast<const float *>(value));
}

inline uint64_t address(const void *pointer) { return reinterpret_cast<uint64_t>(pointer); }

inline bool overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
  return address(a) < address(b) + b_bytes && address(b) < address(a) + a_bytes;
}

}  // namespace stub
