import MartletCUDA
import MartletLoopIR
import MartletTensors
import Testing

/// Every scalar operation on every type, for special numbers and all pairs of them, against the evaluator.
struct ScalarOperationTests {
  static let types: [ElementType] = [.float32, .float64, .int32, .int64, .uint8, .bool]
  /// Those that there are only conversions of, besides.
  static let converted = types + [.float16, .bfloat16]

  /// How many units in the last place results may be off. The device's functions have errors of their own; see
  /// Docs/Decisions/CUDACodeGeneration.md.
  static let tolerance: [ScalarOperation: UInt64] = [
    .rsqrt: 1, .exp: 1, .expm1: 2, .log: 1, .log1p: 2, .sin: 1, .cos: 1, .tan: 2, .atan: 1, .tanh: 2, .sigmoid: 3,
    .erf: 2,
    .power: 1,
  ]

  static func samples(_ type: ElementType) -> Tensor {
    switch type {
    case .float32:
      return Tensor(
        [
          0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, -7.25, 100, 1e-3, .pi, 88, -89, -104, 1e10, -3e38, .infinity,
          -.infinity,
          .nan, .leastNonzeroMagnitude, -.leastNormalMagnitude / 2, 16_777_215, 0x1p31, -0x1p31, 0x1p63, 254.9, -0.9,
        ] as [Float])
    case .float64:
      return Tensor(
        [
          0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, -7.25, 100, 1e-3, .pi, 709, -745, 1e10, -1e308, .infinity,
          -.infinity, .nan, .leastNonzeroMagnitude, -.leastNormalMagnitude / 2, 0x1p53 + 2, 0x1p31, -0x1p63, 0x1p63,
          2_147_483_647.5, -2_147_483_648.5,
        ] as [Double])
    case .float16, .bfloat16:
      return Tensor(
        rounding: [
          0, -0.0, 1, -1, 0.5, 1.0078125, 3.140625, 100, -7.25, .infinity, -.infinity, .nan, type.leastNonzeroMagnitude,
          -type.greatestFiniteMagnitude, 0x1p-15, 0x1.8p-14,
        ], shape: [16], as: type)
    case .int32:
      return Tensor([0, 1, -1, 2, -2, 3, 7, -7, 10, 31, 32, 33, 255, -256, 65_537, .max, .min] as [Int32])
    case .int64:
      return Tensor([0, 1, -1, 2, -2, 3, 7, -7, 10, 63, 64, 65, 255, 1 << 31, -(1 << 32), .max, .min] as [Int64])
    case .uint8: return Tensor([0, 1, 2, 3, 5, 7, 8, 9, 10, 100, 127, 128, 200, 254, 255] as [UInt8])
    default: return Tensor([false, true])
    }
  }

  /// An operation on one array for each operand, all pairs of samples where there are two; nil where it is not defined.
  private func program(_ operation: ScalarOperation, _ type: ElementType, to result: ElementType) -> StageProgram? {
    let count = Self.samples(type).elementCount
    let arity = operation.arity!
    let extents = arity == 1 ? [count] : [count, count]
    var b = StageBuilder(inputs: Array(repeating: BufferType(type, [count]), count: arity))
    let stage = b.map("\(operation)", result, extents) { b, axes in
      let operands = axes.enumerated().map { b.load(.input($0), type, at: [$1]) }
      return Scalar(b.arena.intern(ScalarRow(operation, result, operands.map(\.id))), result)
    }
    let program = b.finish([stage])
    return (try? program.verify()) == nil ? nil : program
  }

  private func isClose(_ found: Tensor, _ expected: Tensor, _ tolerance: UInt64) -> Bool {
    guard found.elementType.isFloatingPoint else { return found.bytes == expected.bytes }
    return zip(found.doubles(), expected.doubles()).allSatisfy { x, y in
      if x.bitPattern == y.bitPattern || (x.isNaN && y.isNaN) { return true }
      guard x.sign == y.sign else { return false }
      let (a, b): (UInt64, UInt64) =
        found.elementType == .float32
        ? (UInt64(Float(x).bitPattern), UInt64(Float(y).bitPattern)) : (x.bitPattern, y.bitPattern)
      return (a > b ? a - b : b - a) <= tolerance
    }
  }

  @Test func operations() throws {
    var cases: [ScalarOperation: [SimulatedKernels.Case]] = [:]
    for operation in ScalarOperation.allCases where [1, 2].contains(operation.arity) && operation != .checkIndex {
      for type in Self.converted {
        // Of a conversion all results, of others the one that there is.
        let isConversion = operation == .cast || operation == .bitcast
        for result in isConversion ? Self.converted : type == .bool ? [type] : [type, .bool] {
          guard let program = program(operation, type, to: result),
            isConversion || type == .bool || isResult(result, operation)
          else { continue }
          cases[operation, default: []].append(
            SimulatedKernels.Case(
              program: program, inputs: Array(repeating: Self.samples(type), count: operation.arity!),
              label: "\(operation) of \(type) to \(result)"))
        }
      }
    }
    #expect(cases.count == 44)
    for tolerance in Set(Self.tolerance.values).union([0]) {
      let all = ScalarOperation.allCases.filter { Self.tolerance[$0] ?? 0 == tolerance }.flatMap { cases[$0] ?? [] }
      try SimulatedKernels.check(all) { isClose($0, $1, tolerance) }
    }
  }

  /// Every number of 16 bits as a float, and floats around every 13th, back.
  @Test(arguments: [ElementType.float16, .bfloat16]) func halves(_ type: ElementType) throws {
    func convert(_ input: Tensor, to result: ElementType) -> SimulatedKernels.Case {
      var b = StageBuilder(inputs: [BufferType(input.elementType, input.shape)])
      let stage = b.map("Cast", result, input.shape) { b, axes in
        b.cast(b.load(.input(0), input.elementType, at: axes), to: result)
      }
      return SimulatedKernels.Case(
        program: b.finish([stage]), inputs: [input], label: "\(input.elementType) to \(result)")
    }
    let patterns = Array(UInt16.min...UInt16.max)
    let all =
      type == .float16
      ? Tensor(patterns.map { Float16(bitPattern: $0) }) : Tensor(patterns.map { BFloat16(bitPattern: $0) })
    let values = all.doubles()
    let floats = stride(from: 0, to: patterns.count, by: 13).flatMap { i -> [Float] in
      let (x, step) = (Float(values[i]).bitPattern, UInt32(type == .float16 ? 1 << 13 : 1 << 16))
      return [x &+ step / 2 &- 1, x &+ step / 2, x &+ step / 2 &+ 1, x &+ 1].map { Float(bitPattern: $0) }
    }
    try SimulatedKernels.check([convert(all, to: .float32), convert(Tensor(floats), to: type)]) { isClose($0, $1, 0) }
  }

  private func isResult(_ result: ElementType, _ operation: ScalarOperation) -> Bool {
    let tests: Set<ScalarOperation> = [.isNaN, .isInfinite, .isFinite, .equal, .notEqual, .less, .lessEqual]
    return (result == .bool) == tests.contains(operation)
  }
}
