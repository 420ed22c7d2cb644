import Glibc
import MartletCPU
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

/// The vector functions over the whole range of `float32`, against the C library in double precision.
struct VectorMathTests {
  struct Function: Sendable, CustomTestStringConvertible {
    var operation: ScalarOperation
    /// In units in the last place of the exact result.
    var bound: Double
    var exact: @Sendable (Double) -> Double
    var testDescription: String { "\(operation)" }
  }

  static let functions: [Function] = [
    Function(operation: .exp, bound: 0.9) { exp($0) },
    Function(operation: .expm1, bound: 1.45) { expm1($0) },
    Function(operation: .log, bound: 0.9) { log($0) },
    Function(operation: .log1p, bound: 1.6) { log1p($0) },
    Function(operation: .sin, bound: 1.6) { sin($0) },
    Function(operation: .cos, bound: 1.6) { cos($0) },
    Function(operation: .tan, bound: 0.51) { tan($0) },
    Function(operation: .atan, bound: 1.6) { atan($0) },
    Function(operation: .tanh, bound: 1.6) { tanh($0) },
    Function(operation: .sigmoid, bound: 2.45) { $0 < 0 ? exp($0) / (1 + exp($0)) : 1 / (1 + exp(-$0)) },
    Function(operation: .erf, bound: 1) { erf($0) },
    Function(operation: .rsqrt, bound: 1.5) { 1 / $0.squareRoot() },
  ]

  /// The greatest error of a function over `samples` arguments whose bits are multiples of `stride`.
  static func greatestError(_ function: Function, stride: UInt32, samples: Int) throws -> (error: Double, at: Float) {
    let block = 1 << 16
    let nest = KernelHarness.elementwise([.float32], .float32, counts: [block], lanes: [16]) { b, x in
      b.intern(ScalarRow(function.operation, .float32, [x[0].id]))
    }
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    let arguments = UnsafeMutablePointer<Float>.allocate(capacity: block)
    let results = UnsafeMutablePointer<Float>.allocate(capacity: block)
    defer {
      arguments.deallocate()
      results.deallocate()
    }
    var worst = (error: 0.0, at: Float(0))
    var bits: UInt32 = 0
    for _ in 0..<(samples + block - 1) / block {
      for i in 0..<block {
        arguments[i] = Float(bitPattern: bits)
        bits &+= stride
      }
      KernelHarness.run(kernel, [arguments, results])
      for i in 0..<block {
        let exact = function.exact(Double(arguments[i]))
        let error = errorInPlaces(results[i], exact)
        if !(error <= worst.error) { worst = (error, arguments[i]) }
      }
    }
    return worst
  }

  /// How far `found` is from `exact`, in units in the last place; infinite where one is NaN, or zeros differ in sign.
  static func errorInPlaces(_ found: Float, _ exact: Double) -> Double {
    if found.isNaN || exact.isNaN { return found.isNaN && exact.isNaN ? 0 : .infinity }
    if found.sign != exact.sign { return .infinity }
    // Infinity stands for the power of two that would be next.
    let (x, y) = (min(abs(Double(found)), 0x1p128), min(abs(exact), 0x1p128))
    let exponent = min(127, max(Int(y == 0 ? -126 : y.exponent), -126))
    return abs(x - y) / Double(sign: .plus, exponent: exponent - 23, significand: 1)
  }

  @Test(arguments: functions) func wholeRange(_ function: Function) throws {
    // The stride is odd, so that the arguments are spread over all exponents and have all low bits.
    let (error, at) = try Self.greatestError(function, stride: 2_097_143, samples: 1 << 21)
    #expect(error <= function.bound, "\(function.operation)(\(at)) is off by \(error) units in the last place")
  }

  /// Where the processor scales whole vectors by powers of two, that gives the bits of the multiplications elsewhere.
  @Test func exponentialsOfAnyWidthHaveTheSameBits() throws {
    let count = 1 << 18
    let kernels = try KernelHarness.compiler.compile(
      [16, 4].map { lanes in
        KernelHarness.elementwise([.float32], .float32, counts: [count], lanes: [lanes]) { b, x in b.exp(x[0]) }
      }
        + [8, 2].map { lanes in
          KernelHarness.elementwise([.float64], .float64, counts: [count], lanes: [lanes]) { b, x in b.exp(x[0]) }
        })
    // Arguments whose results are infinite, normal, subnormal and 0; infinities and NaN.
    let special = [Double.infinity, -.infinity, .nan, 0, -0.0]
    let x = special + (special.count..<count).map { Double($0) / Double(count) * 1600 - 800 }
    let wide = kernels[2...].map { kernel in
      let output = GuardedMemory([Double](repeating: 0, count: count), at: .end)
      KernelHarness.run(kernel, [GuardedMemory(x, at: .end), output])
      return output.values.map(\.bitPattern)
    }
    #expect(wide[0] == wide[1])
    let single = kernels[..<2].map { kernel in
      let output = GuardedMemory([Float](repeating: 0, count: count), at: .end)
      KernelHarness.run(kernel, [GuardedMemory(x.map { Float($0 / 6) }, at: .end), output])
      return output.values.map(\.bitPattern)
    }
    #expect(single[0] == single[1])
  }

  @Test func powers() throws {
    let count = 1 << 17
    let nest = KernelHarness.elementwise([.float32, .float32], .float32, counts: [count], lanes: [16]) { b, x in
      b.power(x[0], x[1])
    }
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    var generator = SeededGenerator(seed: 3)
    let x = (0..<count).map { _ in Float(bitPattern: UInt32.random(in: 0...0xFFFF_FFFF, using: &generator)) }
    let y = x.map { x in
      // Exponents for which most results are finite.
      let limit = Float(130 / max(abs(log2(Double(x.magnitude))), 1e-3))
      let exponent = limit.isNaN ? 2 : Float.random(in: -limit...limit, using: &generator)
      return x < 0 ? exponent.rounded() : exponent
    }
    let output = GuardedMemory([Float](repeating: 0, count: count), at: .end)
    KernelHarness.run(kernel, [GuardedMemory(x, at: .end), GuardedMemory(y, at: .end), output])
    var worst = (error: 0.0, at: 0)
    for (i, found) in output.values.enumerated() {
      let error = Self.errorInPlaces(found, pow(Double(x[i]), Double(y[i])))
      if !(error <= worst.error) { worst = (error, i) }
    }
    #expect(worst.error <= 0.51, "\(x[worst.at]) to the power \(y[worst.at]) is off by \(worst.error)")
  }
}
