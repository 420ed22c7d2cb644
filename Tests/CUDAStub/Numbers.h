// Numbers of several types in memory.
#pragma once
#include "Stub.h"

#include <cmath>
#include <cstring>

namespace stub {

enum class Numbers { float32, float64, float16, bfloat16 };

inline size_t width(Numbers type) { return type == Numbers::float64 ? 8 : type == Numbers::float32 ? 4 : 2; }

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

inline double number(const void *base, Numbers type, size_t at) {
  switch (type) {
    case Numbers::float32: return static_cast<const float *>(base)[at];
    case Numbers::float64: return static_cast<const double *>(base)[at];
    case Numbers::float16: return double(static_cast<const _Float16 *>(base)[at]);
    case Numbers::bfloat16: break;
  }
  const uint32_t bits = uint32_t(static_cast<const uint16_t *>(base)[at]) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

inline void put(void *base, Numbers type, size_t at, double value) {
  switch (type) {
    case Numbers::float32: static_cast<float *>(base)[at] = float(value); return;
    case Numbers::float64: static_cast<double *>(base)[at] = value; return;
    case Numbers::float16: static_cast<_Float16 *>(base)[at] = _Float16(float(value)); return;
    case Numbers::bfloat16: break;
  }
  const float result = float(rounded(value));
  uint32_t bits;
  memcpy(&bits, &result, 4);
  static_cast<uint16_t *>(base)[at] = uint16_t(bits >> 16);
}

}  // namespace stub
