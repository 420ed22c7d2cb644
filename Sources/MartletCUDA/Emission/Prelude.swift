import MartletExecution

/// The CUDA C that stands before every kernel: each scalar operation as a function `m_<operation>`, total as
/// `ScalarEvaluator` defines it, and what kernels share: vectors of elements, exchanges between threads, the status.
///
/// The functions' names are those of `ScalarOperation`, so that the emitter needs no list of operations. Nothing in it needs
/// a header, and everything in it is also C++ for the host, given what CUDA builds in.
enum Prelude {
  static let text = types + floats + integers + booleans + halves + conversions + threads

  /// Part of every kernel's key.
  static let digest = CodeStore.digest(text)

  /// `martlet_status` with CUDA's types.
  private static let types = """
    #define m_device static __device__ __forceinline__
    typedef unsigned char m_byte;
    typedef long long m_long;
    typedef unsigned long long m_word;
    struct m_float16 { unsigned short pattern; };
    struct m_bfloat16 { unsigned short pattern; };
    struct m_status { m_long site, index; int code, reserved; };

    /* The index clamped to 0 ..< extent; the first one that had to be is recorded. */
    m_device m_long m_checkIndex(m_long index, m_long extent, m_long site, m_status* status) {
      if (index >= 0 && index < extent) return index;
      if (atomicCAS(&status->code, 0, 1) == 0) { status->site = site; status->index = index; }
      return index < 0 || extent <= 0 ? 0 : extent - 1;
    }

    /* N elements that are moved at once where their address allows it. */
    template <int N, class T> struct __align__(N * sizeof(T) < 16 ? N * sizeof(T) : 16) m_vector { T at[N]; };
    template <int N, class T> m_device m_vector<N, T> m_load(const T* from, bool aligned) {
      if (aligned) return *reinterpret_cast<const m_vector<N, T>*>(from);
      m_vector<N, T> all;
      #pragma unroll
      for (int i = 0; i < N; i++) all.at[i] = from[i];
      return all;
    }
    template <int N, class T> m_device void m_store(T* to, const m_vector<N, T>& all, bool aligned) {
      if (aligned) {
        *reinterpret_cast<m_vector<N, T>*>(to) = all;
      } else {
        #pragma unroll
        for (int i = 0; i < N; i++) to[i] = all.at[i];
      }
    }

    template <class T> m_device T m_select(bool condition, T x, T y) { return condition ? x : y; }

    """

  private static let floats = """
    #define M_FLOAT(T, F) \\
      m_device T m_negate(T x) { return -x; } \\
      m_device T m_absolute(T x) { return fabs##F(x); } \\
      m_device T m_sign(T x) { return x > 0 ? T(1) : x < 0 ? T(-1) : x != x ? x : T(0); } \\
      m_device T m_floor(T x) { return floor##F(x); } \\
      m_device T m_ceil(T x) { return ceil##F(x); } \\
      m_device T m_round(T x) { return rint##F(x); } \\
      m_device T m_sqrt(T x) { return sqrt##F(x); } \\
      m_device T m_rsqrt(T x) { return T(1) / sqrt##F(x); } \\
      m_device T m_reciprocal(T x) { return T(1) / x; } \\
      m_device T m_exp(T x) { return exp##F(x); } \\
      m_device T m_expm1(T x) { return expm1##F(x); } \\
      m_device T m_log(T x) { return log##F(x); } \\
      m_device T m_log1p(T x) { return log1p##F(x); } \\
      m_device T m_sigmoid(T x) { T e = exp##F(x < 0 ? x : -x); return (x < 0 ? e : T(1)) / (T(1) + e); } \\
      m_device T m_sin(T x) { return sin##F(x); } \\
      m_device T m_cos(T x) { return cos##F(x); } \\
      m_device T m_tan(T x) { return tan##F(x); } \\
      m_device T m_atan(T x) { return atan##F(x); } \\
      m_device T m_tanh(T x) { return tanh##F(x); } \\
      m_device T m_erf(T x) { return erf##F(x); } \\
      m_device bool m_isNaN(T x) { return x != x; } \\
      m_device bool m_isFinite(T x) { return x - x == 0; } \\
      m_device bool m_isInfinite(T x) { return x == x && x - x != 0; } \\
      m_device T m_add(T x, T y) { return x + y; } \\
      m_device T m_subtract(T x, T y) { return x - y; } \\
      m_device T m_multiply(T x, T y) { return x * y; } \\
      m_device T m_divide(T x, T y) { return x / y; } \\
      m_device T m_floorDivide(T x, T y) { return floor##F(x / y); } \\
      m_device T m_floorModulo(T x, T y) { \\
        const T rest = fmod##F(x, y); \\
        return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest; \\
      } \\
      m_device T m_minimum(T x, T y) { return x < y || x != x ? x : y; } \\
      m_device T m_maximum(T x, T y) { return x > y || x != x ? x : y; } \\
      m_device T m_power(T x, T y) { return pow##F(x, y); } \\
      M_COMPARISONS(T)
    #define M_COMPARISONS(T) \\
      m_device bool m_equal(T x, T y) { return x == y; } \\
      m_device bool m_notEqual(T x, T y) { return x != y; } \\
      m_device bool m_less(T x, T y) { return x < y; } \\
      m_device bool m_lessEqual(T x, T y) { return x <= y; }
    M_FLOAT(float, f)
    M_FLOAT(double, )

    """

  /// `U` is the unsigned type in which arithmetic wraps.
  private static let integers = """
    m_device bool m_isNegative(int x) { return x < 0; }
    m_device bool m_isNegative(m_long x) { return x < 0; }
    m_device bool m_isNegative(m_byte) { return false; }
    #define M_INTEGER(T, U) \\
      m_device T m_negate(T x) { return (T)(U(0) - U(x)); } \\
      m_device T m_absolute(T x) { return m_isNegative(x) ? (T)(U(0) - U(x)) : x; } \\
      m_device T m_sign(T x) { return (T)((x > T(0)) - m_isNegative(x)); } \\
      m_device T m_not(T x) { return (T)~x; } \\
      m_device T m_floor(T x) { return x; } \\
      m_device T m_ceil(T x) { return x; } \\
      m_device T m_round(T x) { return x; } \\
      m_device bool m_isNaN(T) { return false; } \\
      m_device bool m_isInfinite(T) { return false; } \\
      m_device bool m_isFinite(T) { return true; } \\
      m_device T m_add(T x, T y) { return (T)(U(x) + U(y)); } \\
      m_device T m_subtract(T x, T y) { return (T)(U(x) - U(y)); } \\
      m_device T m_multiply(T x, T y) { return (T)(U(x) * U(y)); } \\
      m_device T m_divide(T x, T y) { return y == 0 ? T(0) : m_isNegative(T(-1)) && y == T(-1) ? m_negate(x) : (T)(x / y); } \\
      m_device T m_reciprocal(T x) { return m_divide(T(1), x); } \\
      m_device T m_floorDivide(T x, T y) { \\
        if (y == 0) return 0; \\
        if (m_isNegative(T(-1)) && y == T(-1)) return m_negate(x); \\
        const T quotient = (T)(x / y); \\
        return x % y != 0 && m_isNegative(x) != m_isNegative(y) ? (T)(quotient - 1) : quotient; \\
      } \\
      m_device T m_floorModulo(T x, T y) { \\
        if (y == 0 || (m_isNegative(T(-1)) && y == T(-1))) return 0; \\
        const T rest = (T)(x % y); \\
        return rest != 0 && m_isNegative(rest) != m_isNegative(y) ? (T)(rest + y) : rest; \\
      } \\
      m_device T m_minimum(T x, T y) { return x < y ? x : y; } \\
      m_device T m_maximum(T x, T y) { return x > y ? x : y; } \\
      m_device T m_power(T x, T y) { \\
        if (m_isNegative(y)) return x == T(1) ? T(1) : x == T(-1) ? (y & 1 ? T(-1) : T(1)) : T(0); \\
        T result = 1; \\
        for (U rest = U(y); rest != 0; rest = (U)(rest >> 1)) { \\
          if (rest & 1) result = m_multiply(result, x); \\
          x = m_multiply(x, x); \\
        } \\
        return result; \\
      } \\
      m_device T m_and(T x, T y) { return (T)(x & y); } \\
      m_device T m_or(T x, T y) { return (T)(x | y); } \\
      m_device T m_xor(T x, T y) { return (T)(x ^ y); } \\
      m_device T m_shiftLeft(T x, T y) { return (T)(U(x) << (y & T(8 * sizeof(T) - 1))); } \\
      m_device T m_shiftRightLogical(T x, T y) { return (T)(U(x) >> (y & T(8 * sizeof(T) - 1))); } \\
      M_COMPARISONS(T)
    M_INTEGER(int, unsigned)
    M_INTEGER(m_long, m_word)
    M_INTEGER(m_byte, m_byte)

    """

  private static let booleans = """
    m_device bool m_negate(bool x) { return x; }
    m_device bool m_absolute(bool x) { return x; }
    m_device bool m_sign(bool x) { return x; }
    m_device bool m_not(bool x) { return !x; }
    m_device bool m_floor(bool x) { return x; }
    m_device bool m_ceil(bool x) { return x; }
    m_device bool m_round(bool x) { return x; }
    m_device bool m_reciprocal(bool x) { return x; }
    m_device bool m_isNaN(bool) { return false; }
    m_device bool m_isInfinite(bool) { return false; }
    m_device bool m_isFinite(bool) { return true; }
    m_device bool m_add(bool x, bool y) { return x != y; }
    m_device bool m_subtract(bool x, bool y) { return x != y; }
    m_device bool m_multiply(bool x, bool y) { return x && y; }
    m_device bool m_divide(bool x, bool y) { return x && y; }
    m_device bool m_floorDivide(bool x, bool y) { return x && y; }
    m_device bool m_floorModulo(bool, bool) { return false; }
    m_device bool m_minimum(bool x, bool y) { return x && y; }
    m_device bool m_maximum(bool x, bool y) { return x || y; }
    m_device bool m_power(bool x, bool y) { return x || !y; }
    m_device bool m_and(bool x, bool y) { return x && y; }
    m_device bool m_or(bool x, bool y) { return x || y; }
    m_device bool m_xor(bool x, bool y) { return x != y; }
    m_device bool m_shiftLeft(bool x, bool y) { return x && !y; }
    m_device bool m_shiftRightLogical(bool x, bool y) { return x && !y; }
    M_COMPARISONS(bool)

    """

  /// Floats of 16 bits are converted, never computed with: to the nearest, ties to even; NaN stays NaN.
  private static let halves = """
    m_device float m_widen(m_bfloat16 x) { return __int_as_float((int)((unsigned)x.pattern << 16)); }
    m_device m_bfloat16 m_narrow(m_bfloat16, float x) {
      const unsigned bits = (unsigned)__float_as_int(x);
      const m_bfloat16 nan = {(unsigned short)(bits >> 16 | 0x40)};
      const m_bfloat16 rounded = {(unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
      return x != x ? nan : rounded;
    }
    #ifdef __CUDA_ARCH__
    m_device float m_widen(m_float16 x) {
      float y;
      asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.pattern));
      return y;
    }
    m_device m_float16 m_narrow(m_float16 y, float x) {
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.pattern) : "f"(x));
      return y;
    }
    #else
    m_device float m_widen(m_float16 x) {
      const unsigned magnitude = (x.pattern & 0x7fffu) << 13, sign = (x.pattern & 0x8000u) << 16;
      const unsigned number = (unsigned)__float_as_int(__int_as_float((int)magnitude) * 5.192296858534828e33f);
      return __int_as_float((int)(sign | number | (magnitude < 0x0f800000 ? 0 : 0x7f800000)));
    }
    m_device m_float16 m_narrow(m_float16, float x) {
      const unsigned bits = (unsigned)__float_as_int(x), magnitude = bits & 0x7fffffff;
      unsigned number = (magnitude + 0xc8000fff + (magnitude >> 13 & 1)) >> 13;
      if (magnitude < 0x38800000) number = (unsigned)__float_as_int(__int_as_float((int)magnitude) + 0.5f) - 0x3f000000;
      if (magnitude >= 0x47800000) number = x != x ? 0x7e00 : 0x7c00;
      const m_float16 y = {(unsigned short)(number | bits >> 16 & 0x8000)};
      return y;
    }
    #endif

    """

  /// `m_cast<T>(x)` and `m_bitcast<T>(x)`. Floats become integers saturated and truncated towards zero, and 0 for NaN.
  private static let conversions = """
    template <class T> struct m_to {
      template <class S> m_device T cast(S x) { return (T)x; }
      m_device T bits(T x) { return x; }
    };
    template <> struct m_to<int> {
      template <class S> m_device int cast(S x) { return (int)x; }
      m_device int cast(double x) {
        return x != x ? 0 : x <= -2147483648.0 ? -2147483647 - 1 : x >= 2147483647.0 ? 2147483647 : (int)x;
      }
      m_device int cast(float x) {
        return x != x ? 0 : x <= -2147483648.0f ? -2147483647 - 1 : x >= 2147483648.0f ? 2147483647 : (int)x;
      }
      m_device int bits(int x) { return x; }
      m_device int bits(float x) { return __float_as_int(x); }
    };
    template <> struct m_to<m_long> {
      template <class S> m_device m_long cast(S x) { return (m_long)x; }
      m_device m_long cast(double x) {
        return x != x ? 0 : x <= -9223372036854775808.0 ? -9223372036854775807LL - 1
          : x >= 9223372036854775808.0 ? 9223372036854775807LL : (m_long)x;
      }
      m_device m_long cast(float x) { return cast((double)x); }
      m_device m_long bits(m_long x) { return x; }
      m_device m_long bits(double x) { return __double_as_longlong(x); }
    };
    template <> struct m_to<m_byte> {
      template <class S> m_device m_byte cast(S x) { return (m_byte)x; }
      m_device m_byte cast(double x) { return x > 0 ? x >= 255 ? 255 : (m_byte)x : 0; }
      m_device m_byte cast(float x) { return x > 0 ? x >= 255 ? 255 : (m_byte)x : 0; }
      m_device m_byte bits(m_byte x) { return x; }
      m_device m_byte bits(bool x) { return x; }
    };
    template <> struct m_to<bool> {
      template <class S> m_device bool cast(S x) { return x != 0; }
      m_device bool cast(bool x) { return x; }
      m_device bool bits(m_byte x) { return x & 1; }
      m_device bool bits(bool x) { return x; }
    };
    template <> struct m_to<float> {
      template <class S> m_device float cast(S x) { return (float)x; }
      m_device float cast(m_float16 x) { return m_widen(x); }
      m_device float cast(m_bfloat16 x) { return m_widen(x); }
      m_device float bits(int x) { return __int_as_float(x); }
      m_device float bits(float x) { return x; }
    };
    template <> struct m_to<double> {
      template <class S> m_device double cast(S x) { return (double)x; }
      m_device double bits(m_long x) { return __longlong_as_double(x); }
      m_device double bits(double x) { return x; }
    };
    #define M_HALF(T, S) \
      template <> struct m_to<T> { \
        m_device T cast(T x) { return x; } \
        m_device T cast(float x) { return m_narrow(T(), x); } \
        m_device T bits(T x) { return x; } \
        m_device T bits(S x) { return T{x.pattern}; } \
      };
    M_HALF(m_float16, m_bfloat16)
    M_HALF(m_bfloat16, m_float16)
    template <class T, class S> m_device T m_cast(S x) { return m_to<T>::cast(x); }
    template <class T, class S> m_device T m_bitcast(S x) { return m_to<T>::bits(x); }

    """

  private static let threads = """
    /* The value that the thread at this distance, by exclusive or of the numbers, has. */
    template <class T> m_device T m_exchange(T x, int distance, unsigned mask) {
      return __shfl_xor_sync(mask, x, distance);
    }
    m_device bool m_exchange(bool x, int distance, unsigned mask) {
      return __shfl_xor_sync(mask, (int)x, distance) != 0;
    }
    m_device m_byte m_exchange(m_byte x, int distance, unsigned mask) {
      return (m_byte)__shfl_xor_sync(mask, (int)x, distance);
    }
    #define M_EXCHANGE(T) \
      m_device T m_exchange(T x, int distance, unsigned mask) { \
        return T{(unsigned short)__shfl_xor_sync(mask, (int)x.pattern, distance)}; \
      } \
      m_device T m_first(T x, unsigned mask) { \
        return T{(unsigned short)__shfl_sync(mask, (int)x.pattern, __ffs(mask) - 1)}; \
      }
    M_EXCHANGE(m_float16)
    M_EXCHANGE(m_bfloat16)
    /* The value of the first thread in the mask. */
    template <class T> m_device T m_first(T x, unsigned mask) { return __shfl_sync(mask, x, __ffs(mask) - 1); }
    m_device bool m_first(bool x, unsigned mask) { return __shfl_sync(mask, (int)x, __ffs(mask) - 1) != 0; }
    m_device m_byte m_first(m_byte x, unsigned mask) { return (m_byte)__shfl_sync(mask, (int)x, __ffs(mask) - 1); }
    /* The value of a thread of the warp before this one, and that of the last. */
    template <class T> m_device T m_earlier(T x, int distance) { return __shfl_up_sync(0xffffffffu, x, distance); }
    template <class T> m_device T m_last(T x) { return __shfl_sync(0xffffffffu, x, 31); }
    /* Combinations with an element in memory that no other thread comes between. */
    m_device void m_atomic_add(float* at, float x) { atomicAdd(at, x); }
    m_device void m_atomic_add(double* at, double x) { atomicAdd(at, x); }
    m_device void m_atomic_add(int* at, int x) { atomicAdd(at, x); }
    m_device void m_atomic_add(m_long* at, m_long x) { atomicAdd((m_word*)at, (m_word)x); }
    template <class T> m_device void m_atomic_minimum(T* at, T x) { atomicMin(at, x); }
    template <class T> m_device void m_atomic_maximum(T* at, T x) { atomicMax(at, x); }

    """
}
