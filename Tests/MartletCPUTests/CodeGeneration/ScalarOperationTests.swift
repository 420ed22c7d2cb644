import MartletCPU
import MartletLoopIR
import MartletTensors
import Testing

/// Every operation on every type, as a scalar and as a vector with all kinds of remainder, against the evaluator.
struct ScalarOperationTests {
  static let types: [ElementType] = [.float32, .float64, .int32, .int64, .uint8, .bool]
  /// Those that there are only conversions of, besides.
  static let converted = types + [.float16, .bfloat16]
  static let unary: [ScalarOperation] = [
    .negate, .absolute, .sign, .not, .floor, .ceil, .round, .sqrt, .rsqrt, .reciprocal, .exp, .expm1, .log, .log1p,
    .sin, .cos, .tan, .atan, .tanh, .sigmoid, .erf, .isNaN, .isInfinite, .isFinite,
  ]
  static let binary: [ScalarOperation] = [
    .add, .subtract, .multiply, .divide, .floorDivide, .floorModulo, .minimum, .maximum, .power, .equal, .notEqual,
    .less, .lessEqual, .and, .or, .xor, .shiftLeft, .shiftRightLogical,
  ]
  static let floatOnly: Set<ScalarOperation> = [
    .sqrt, .rsqrt, .exp, .expm1, .log, .log1p, .sin, .cos, .tan, .atan, .tanh, .sigmoid, .erf,
  ]
  static let integerOnly: Set<ScalarOperation> = [.not, .and, .or, .xor, .shiftLeft, .shiftRightLogical]
  static let tests: Set<ScalarOperation> = [
    .isNaN, .isInfinite, .isFinite, .equal, .notEqual, .less, .lessEqual,
  ]
  /// Results of these are close, not equal, to the evaluator's: how many units in the last place they may be away.
  static let tolerance: [ScalarOperation: UInt64] = [
    .rsqrt: 1, .exp: 1, .expm1: 2, .log: 1, .log1p: 2, .sin: 2, .cos: 2, .tan: 2, .atan: 2, .tanh: 2, .sigmoid: 2,
    .erf: 2, .power: 1,
  ]

  /// Remainders of all kinds; for a few operations, as what handles them is the same for all.
  static func remainders(_ operation: ScalarOperation) -> [Int] {
    [.absolute, .isNaN, .add, .equal, .minimum].contains(operation) ? [0, 1, 15, 16, 17, 33] : []
  }

  static func isDefined(_ operation: ScalarOperation, _ type: ElementType) -> Bool {
    type.isFloatingPoint ? !integerOnly.contains(operation) : !floatOnly.contains(operation)
  }

  /// Values of a type, as lanes of the evaluator.
  static func samples(_ type: ElementType) -> [UInt64] {
    switch type {
    case .float32:
      let values: [Float] = [
        0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, -7.25, 100, 1e-3, .pi, 88, -104, 1e10, -3e38, .infinity,
        -.infinity, .nan, .leastNonzeroMagnitude, -.leastNormalMagnitude / 2, 16_777_215, 0x1p31, -0x1p31, 0x1p63,
      ]
      return values.map { Double($0).bitPattern }
    case .float64:
      let values: [Double] = [
        0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, -7.25, 100, 1e-3, .pi, 709, -745, 1e10, -1e308, .infinity,
        -.infinity, .nan, .leastNonzeroMagnitude, -.leastNormalMagnitude / 2, 0x1p53 + 2, 0x1p31, -0x1p63, 0x1p63,
      ]
      return values.map(\.bitPattern)
    case .float16, .bfloat16:
      let patterns: [Int64] = [
        0, 0x8000, 1, 0x8001, 0x3C00, 0xBC00, 0x3F80, 0xBF80, 0x03FF, 0x0400, 0x7BFF, 0x7C00, 0xFC00, 0x7C01, 0x7E00,
        0x7F7F, 0x7F80, 0xFF80, 0x7FC1, 0x4248, 0xC049, 0x4500, 0x43FF, 0x5BFF, 0x5C00,
      ]
      return patterns.map { ScalarEvaluator.lane(bits: $0, type) }
    case .int32:
      return [0, 1, -1, 2, -2, 3, 7, -7, 10, 31, 32, 33, 255, -256, 65_537, Int(Int32.max), Int(Int32.min)]
        .map { UInt64(bitPattern: Int64($0)) }
    case .int64:
      return [0, 1, -1, 2, -2, 3, 7, -7, 10, 63, 64, 65, 255, 1 << 31, -(1 << 32), .max, .min]
        .map { UInt64(bitPattern: $0) }
    case .uint8: return [0, 1, 2, 3, 5, 7, 8, 9, 10, 100, 127, 128, 200, 254, 255]
    default: return [0, 1]
    }
  }

  static func write(_ lanes: [UInt64], _ type: ElementType) -> [UInt8] {
    lanes.flatMap { lane in
      withUnsafeBytes(of: ScalarEvaluator.bits(lane: lane, type)) { Array($0.prefix(type.byteWidth)) }
    }
  }

  static func read(_ bytes: [UInt8], _ type: ElementType, _ index: Int) -> UInt64 {
    var bits: Int64 = 0
    withUnsafeMutableBytes(of: &bits) {
      $0.copyBytes(from: bytes[index * type.byteWidth..<(index + 1) * type.byteWidth])
    }
    return ScalarEvaluator.lane(bits: bits, type)
  }

  static func isClose(_ x: UInt64, _ y: UInt64, _ type: ElementType, tolerance: UInt64) -> Bool {
    if x == y { return true }
    guard type.isFloatingPoint else { return false }
    let (x, y) = (Double(bitPattern: x), Double(bitPattern: y))
    if x.isNaN || y.isNaN { return x.isNaN && y.isNaN }
    if x.sign != y.sign { return false }
    if type == .float32 {
      let (a, b) = (Float(x).bitPattern, Float(y).bitPattern)
      return (a > b ? a - b : b - a) <= tolerance
    }
    let (a, b) = (x.bitPattern, y.bitPattern)
    return (a > b ? a - b : b - a) <= tolerance
  }

  /// Runs `operation` over `inputs` cut to several lengths and compares each element with the evaluator's.
  func check(
    _ operation: ScalarOperation, _ result: ElementType, from operand: ElementType, _ inputs: [[UInt64]],
    counts: [Int] = [], compiler: NestCompiler? = nil
  ) throws {
    let count = inputs[0].count
    let tolerance = operand.isFloatingPoint ? Self.tolerance[operation] ?? 0 : 0
    let cases = [(1, count), (16, count)] + counts.map { (16, min($0, count)) }
    for (width, count) in cases {
      let nest = KernelHarness.elementwise(
        Array(repeating: operand, count: inputs.count), result, counts: [count], lanes: [width]
      ) { b, loads in
        b.intern(ScalarRow(operation, result, loads.map(\.id)))
      }
      let kernel = try (compiler ?? KernelHarness.compiler).compile([nest])[0]
      var memory = inputs.map { Self.write($0, operand) } + [Array(repeating: 0xA5, count: inputs[0].count * 8)]
      let pointers = memory.indices.map { i in memory[i].withUnsafeMutableBytes { $0.baseAddress! } }
      withExtendedLifetime(memory) { _ = KernelHarness.run(kernel, pointers) }
      var (x, y, z) = (inputs[0], inputs.count > 1 ? inputs[1] : [0], inputs.count > 2 ? inputs[2] : [0])
      var expected = Array(repeating: UInt64(0), count: inputs[0].count)
      ScalarEvaluator.evaluate(
        operation, result, from: operand, into: &expected, count: count, &x, &y, &z)
      let stored = memory[inputs.count]
      for i in 0..<count {
        let found = Self.read(stored, result, i)
        if Self.isClose(found, expected[i], result, tolerance: tolerance) { continue }
        Issue.record(
          "\(operation) \(operand) lanes \(width) count \(count) at \(i): \(inputs.map { $0[i] }): \(found), not \(expected[i])"
        )
      }
      #expect(stored[(count * result.byteWidth)...].allSatisfy { $0 == 0xA5 }, "\(operation) writes beyond \(count)")
    }
  }

  @Test(arguments: types) func unaryOperations(_ type: ElementType) throws {
    for operation in Self.unary where Self.isDefined(operation, type) {
      var samples = Self.samples(type)
      while samples.count < 40 { samples += samples }
      let result: ElementType = Self.tests.contains(operation) ? .bool : type
      try check(operation, result, from: type, [samples], counts: Self.remainders(operation))
    }
  }

  @Test(arguments: types) func binaryOperations(_ type: ElementType) throws {
    let samples = Self.samples(type)
    var x = samples.flatMap { value in samples.map { _ in value } }
    var y = samples.flatMap { _ in samples }
    while x.count < 40 { (x, y) = (x + x, y + y) }
    for operation in Self.binary where Self.isDefined(operation, type) {
      let result: ElementType = Self.tests.contains(operation) ? .bool : type
      try check(operation, result, from: type, [x, y], counts: Self.remainders(operation))
    }
  }

  /// One rounding: 2⁻²⁴ more or less in a factor is not lost before the sum.
  @Test func multiplyAdd() throws {
    let x = 1 + Float.ulpOfOne
    #expect(x * x - (1 + 2 * Float.ulpOfOne) == 0)
    for type in [ElementType.float32, .float64] {
      let samples = Self.samples(type)
      let (y, z) = (samples.flatMap { value in samples.map { _ in value } }, samples.flatMap { _ in samples })
      for value in samples {
        try check(.multiplyAdd, type, from: type, [Array(repeating: value, count: y.count), y, z])
      }
    }
    let operands = [x, x, -(1 + 2 * Float.ulpOfOne)].map { [Double($0).bitPattern] }
    var (a, b, c) = (operands[0], operands[1], operands[2])
    var result: [UInt64] = [0]
    ScalarEvaluator.evaluate(.multiplyAdd, .float32, from: .float32, into: &result, count: 1, &a, &b, &c)
    #expect(Double(bitPattern: result[0]) == Double(Float.ulpOfOne * Float.ulpOfOne))
  }

  @Test(arguments: converted, converted) func casts(_ source: ElementType, _ target: ElementType) throws {
    var samples = Self.samples(source)
    while samples.count < 40 { samples += samples }
    try check(.cast, target, from: source, [samples], counts: [1, 17])
    if source.byteWidth == target.byteWidth, source != .bool || target != .uint8 {
      try check(.bitcast, target, from: source, [samples])
    }
  }

  /// Every number of 16 bits as a float, and floats around every one of them, infinities and NaN among them, back.
  @Test(arguments: [nil] + KernelHarness.olderProcessors.map { $0 }, [ElementType.float16, .bfloat16])
  func halves(_ processor: String?, _ type: ElementType) throws {
    let compiler = try processor.map { try KernelHarness.compiler(for: $0) }
    let all = (0..<0x10000).map { ScalarEvaluator.lane(bits: $0, type) }
    try check(.cast, .float32, from: type, [all], compiler: compiler)
    let step: UInt32 = type == .float16 ? 1 << 13 : 1 << 16
    let floats = stride(from: UInt32(0), to: .max - step, by: 0x9_1003).flatMap { start in
      let tie = start & ~(step - 1) | step / 2
      return [start, tie - 1, tie, tie + 1, tie + step]
    }
    let subnormal = (0..<4096).map { UInt32(0x3300_0000) + UInt32($0) << 12 | 0x8000_0000 * UInt32($0 % 2) }
    let lanes = (floats + subnormal + [0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0xFFFF_FFFF, 0x477F_EFFF, 0x477F_F000])
      .map { ScalarEvaluator.lane(bits: Int64($0), .float32) }
    try check(.cast, type, from: .float32, [lanes], compiler: compiler)
  }

  #if arch(x86_64)
    @Test(arguments: KernelHarness.olderProcessors, types)
    func olderProcessors(_ processor: String, _ type: ElementType) throws {
      let compiler = try KernelHarness.compiler(for: processor)
      let samples = Self.samples(type)
      let (x, y) = (samples.flatMap { value in samples.map { _ in value } }, samples.flatMap { _ in samples })
      for operation in Self.unary + Self.binary where Self.isDefined(operation, type) {
        let inputs = operation.arity == 1 ? [samples] : [x, y]
        let result: ElementType = Self.tests.contains(operation) ? .bool : type
        try check(operation, result, from: type, inputs, compiler: compiler)
      }
      for target in Self.converted { try check(.cast, target, from: type, [samples], compiler: compiler) }
    }
  #endif
}
