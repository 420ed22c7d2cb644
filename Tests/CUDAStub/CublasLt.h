// What the files of the stand-in for cuBLASLt share.
#pragma once
#include "Numbers.h"

namespace stub {

enum { lt_invalid_value = 7, lt_not_supported = 15 };

struct Layout : LibraryObject {
  int type, batch = 1;
  uint64_t rows, columns;
  int64_t leading, stride = 0;
  Layout(int type, uint64_t rows, uint64_t columns, int64_t leading)
    : LibraryObject("cuBLASLt layout", nullptr), type(type), rows(rows), columns(columns), leading(leading) {}
  Numbers numbers() const {
    return type == 1 ? Numbers::float64 : type == 2 ? Numbers::float16 : type == 14 ? Numbers::bfloat16 : Numbers::float32;
  }
  size_t width() const { return stub::width(numbers()); }
  // From the first element to behind the last.
  size_t bytes() const {
    return (size_t(batch - 1) * size_t(stride) + size_t(columns - 1) * size_t(leading) + size_t(rows)) * width();
  }
  double read(const char *base, int index, uint64_t row, uint64_t column) const {
    return number(base, numbers(), size_t(index) * size_t(stride) + size_t(column) * size_t(leading) + size_t(row));
  }
  void write(char *base, int index, uint64_t row, uint64_t column, double value) const {
    put(base, numbers(), size_t(index) * size_t(stride) + size_t(column) * size_t(leading) + size_t(row), value);
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
