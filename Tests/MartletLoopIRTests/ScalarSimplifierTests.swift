import MartletTensors
import Testing

@testable import MartletLoopIR

@Suite struct ScalarSimplifierTests {
  // MARK: Identities

  /// Builds with axes 0 and 1 of extents 6 and 10 and expects the printed form of one row.
  private func check(
    _ expected: (inout ScalarBuilder, Scalar, Scalar) -> Scalar,
    _ body: (inout ScalarBuilder, Scalar, Scalar) -> Scalar,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    var b = ScalarBuilder()
    b.axisExtents = [6, 10]
    let (i, j) = (b.axis(0), b.axis(1))
    let result = body(&b, i, j)
    let wanted = expected(&b, i, j)
    #expect(result == wanted, sourceLocation: sourceLocation)
  }

  @Test func integerIdentities() {
    check({ _, i, _ in i }) { b, i, _ in b.add(i, b.integer(0)) }
    check({ _, i, _ in i }) { b, i, _ in b.multiply(b.integer(1), i) }
    check({ b, _, _ in b.integer(0) }) { b, i, _ in b.multiply(i, b.integer(0)) }
    check({ b, _, _ in b.integer(0) }) { b, i, j in b.subtract(b.add(i, j), b.add(j, i)) }
    check({ b, i, _ in b.multiply(i, b.integer(6)) }) { b, i, _ in b.multiply(b.multiply(i, b.integer(2)), b.integer(3))
    }
    check({ b, i, _ in b.add(i, b.integer(7)) }) { b, i, _ in b.add(b.add(i, b.integer(9)), b.integer(-2)) }
    check({ _, i, _ in i }) { b, i, _ in b.negate(b.negate(i)) }
  }

  /// Arithmetic in 16 bits is arithmetic on `float32`; of several operations in a row, the last alone rounds.
  @Test(arguments: [ElementType.float16, .bfloat16]) func halves(_ type: ElementType) {
    func narrow(_ b: inout ScalarBuilder, _ x: Scalar) -> Scalar { b.narrow(x, to: type) }
    func load(_ b: inout ScalarBuilder, _ i: Scalar) -> Scalar { b.load(.input(0), type, at: [i]) }
    func wide(_ b: inout ScalarBuilder, _ i: Scalar) -> Scalar { b.cast(load(&b, i), to: .float32) }
    check({ b, i, _ in narrow(&b, b.tanh(b.add(wide(&b, i), b.constant(2, .float32)))) }) { b, i, _ in
      b.tanh(b.add(load(&b, i), b.constant(2, type)))
    }
    check({ b, i, j in b.less(wide(&b, i), wide(&b, j)) }) { b, i, j in b.less(load(&b, i), load(&b, j)) }
    // What is only moved stays as it is.
    check({ b, i, j in b.select(b.less(i, j), load(&b, i), load(&b, j)) }) { b, i, j in
      b.select(b.less(i, j), b.cast(wide(&b, i), to: type), load(&b, j))
    }
    check({ b, i, j in narrow(&b, b.select(b.less(i, j), b.exp(wide(&b, i)), wide(&b, j))) }) { b, i, j in
      b.select(b.less(i, j), b.exp(load(&b, i)), load(&b, j))
    }
    // A cast that was asked for rounds, and goes by way of float32.
    check({ b, i, _ in b.row(.cast, .float32, b.row(.cast, type, b.exp(wide(&b, i)))) }) { b, i, _ in
      b.cast(b.cast(b.exp(wide(&b, i)), to: type), to: .float32)
    }
    check({ b, i, _ in b.cast(b.cast(i, to: .float32), to: type) }) { b, i, _ in b.cast(i, to: type) }
    check({ b, i, _ in b.cast(wide(&b, i), to: .int32) }) { b, i, _ in b.cast(load(&b, i), to: .int32) }
    check({ b, _, _ in b.constant(0.33, type) }) { b, _, _ in b.multiply(b.constant(0.33, type), b.constant(1, type)) }
  }

  @Test func divisionsWithinRanges() {
    // The flat index of [6, 10] taken apart again, as two reshapes in a row do.
    func flat(_ b: inout ScalarBuilder, _ i: Scalar, _ j: Scalar) -> Scalar { b.add(b.multiply(i, b.integer(10)), j) }
    check({ _, i, _ in i }) { b, i, j in b.floorDivide(flat(&b, i, j), b.integer(10)) }
    check({ _, _, j in j }) { b, i, j in b.floorModulo(flat(&b, i, j), b.integer(10)) }
    // [6, 10] as [12, 5]
    check({ b, i, j in b.add(b.multiply(i, b.integer(2)), b.floorDivide(j, b.integer(5))) }) { b, i, j in
      b.floorDivide(flat(&b, i, j), b.integer(5))
    }
    // x div 5 · 5 + x mod 5
    check({ _, _, j in j }) { b, _, j in
      b.add(b.multiply(b.floorDivide(j, b.integer(5)), b.integer(5)), b.floorModulo(j, b.integer(5)))
    }
    check({ b, i, j in flat(&b, i, j) }) { b, i, j in
      let x = flat(&b, i, j)
      let (a, c, d) = (b.integer(20), b.integer(4), b.integer(5))
      let outer = b.multiply(b.floorDivide(x, a), a)
      let middle = b.multiply(b.floorModulo(b.floorDivide(x, d), c), d)
      return b.add(b.add(outer, middle), b.floorModulo(x, d))
    }
    check({ b, _, j in b.floorDivide(j, b.integer(6)) }) { b, _, j in
      b.floorDivide(b.floorDivide(j, b.integer(2)), b.integer(3))
    }
    check({ b, _, j in b.floorDivide(j, b.integer(4)) }) { b, _, j in
      b.floorDivide(b.add(b.multiply(j, b.integer(3)), b.integer(2)), b.integer(12))
    }
  }

  @Test func comparisonsWithinRanges() {
    check({ b, _, _ in b.boolean(true) }) { b, i, _ in b.less(i, b.integer(6)) }
    check({ b, _, _ in b.boolean(false) }) { b, i, _ in b.less(i, b.integer(0)) }
    check({ b, _, _ in b.boolean(true) }) { b, i, j in b.less(i, b.add(i, b.add(j, b.integer(1)))) }
    check({ b, _, j in b.less(j, b.integer(4)) }) { b, _, j in b.lessEqual(b.add(j, b.integer(3)), b.integer(6)) }
    check({ _, _, j in j }) { b, _, j in b.checkIndex(j, extent: 10) }
    check({ b, i, j in b.add(i, j) }) { b, i, j in b.checkIndex(b.add(i, j), extent: 15) }
    check({ b, i, j in b.select(b.less(i, b.integer(3)), i, j) }) { b, i, j in
      b.select(b.not(b.less(i, b.integer(3))), j, i)
    }
  }

  @Test func checkThatMayFailStays() {
    var b = ScalarBuilder()
    b.axisExtents = [6]
    let checked = b.checkIndex(b.add(b.axis(0), b.integer(1)), extent: 6, code: 4)
    #expect(b.arena[checked.id].operation == .checkIndex)
    #expect(b.arena[checked.id].payload == 4)
  }

  @Test func logicAndSelection() {
    var b = ScalarBuilder()
    let x = b.load(.input(0), .bool, at: [])
    #expect(b.not(b.not(x)) == x)
    #expect(b.and(x, b.boolean(true)) == x)
    #expect(b.and(b.boolean(false), x) == b.boolean(false))
    #expect(b.or(x, b.boolean(true)) == b.boolean(true))
    #expect(b.select(x, b.boolean(true), b.boolean(false)) == x)
    let y = b.load(.input(1), .float32, at: [])
    #expect(b.select(x, y, y) == y)
    #expect(b.select(b.boolean(true), y, b.constant(3, .float32)) == y)
    #expect(b.load(.input(1), .float32, at: [], if: b.boolean(true)) == y)
    #expect(b.load(.input(1), .float32, at: [], if: b.boolean(false)) == b.constant(0, .float32))
  }

  // MARK: Floats

  @Test(arguments: [ElementType.float32, .float64]) func inexactFloatRulesNeverFire(_ type: ElementType) {
    var b = ScalarBuilder()
    let x = b.load(.input(0), type, at: [])
    let zero = b.constant(0, type)
    for kept in [
      b.multiply(x, zero), b.add(x, zero), b.subtract(x, x), b.divide(x, x), b.divide(x, b.constant(3, type)),
      b.power(x, zero), b.multiply(b.multiply(x, b.constant(2, type)), b.constant(3, type)),
    ] {
      #expect(kept != x && b.arena[kept.id].operation != .constant)
    }
    #expect(b.add(x, b.constant(-0.0, type)) == x)
    #expect(b.subtract(x, zero) == x)
    #expect(b.divide(x, b.constant(8, type)) == b.multiply(x, b.constant(0.125, type)))
    let y = b.load(.input(1), type, at: [])
    #expect(b.add(x, y) == b.add(y, x))
    #expect(b.minimum(x, y) != b.minimum(y, x))
    #expect(b.less(x, y) != b.not(b.lessEqual(y, x)))
  }

  @Test func foldingRoundsToTheType() {
    var b = ScalarBuilder()
    let third = b.divide(b.constant(1, .float32), b.constant(3, .float32))
    #expect(third == b.constant(Double(Float(1) / Float(3)), .float32))
    let large = b.add(b.constant(16_777_216, .float32), b.constant(1, .float32))
    #expect(large == b.constant(16_777_216, .float32))
    #expect(b.cast(b.constant(3e10, .float32), to: .int32) == b.integer(Int(Int32.max), .int32))
    #expect(b.cast(b.constant(.nan, .float64), to: .int64) == b.integer(0))
    #expect(b.divide(b.integer(7), b.integer(0)) == b.integer(0))
    #expect(b.divide(b.integer(.min), b.integer(-1)) == b.integer(.min))
    #expect(b.floorModulo(b.integer(-7), b.integer(3)) == b.integer(2))
    #expect(b.shiftRightLogical(b.integer(-1, .int32), b.integer(28, .int32)) == b.integer(15, .int32))
  }

  @Test func conversionsThatLoseNothingVanish() {
    var b = ScalarBuilder()
    let x = b.load(.input(0), .int32, at: [])
    #expect(b.cast(b.cast(x, to: .int64), to: .int32) == x)
    #expect(b.cast(b.cast(x, to: .float64), to: .int32) == x)
    #expect(b.cast(b.cast(x, to: .float32), to: .int32) != x)
    // 300 saturates by way of a float and wraps without.
    let saturating = b.cast(b.cast(x, to: .float64), to: .uint8)
    #expect(saturating != b.cast(x, to: .uint8))
  }

  // MARK: Random index expressions

  private indirect enum Expression {
    case axis(Int)
    case constant(Int)
    case binary(ScalarOperation, Expression, Expression)
    case select(Expression, Expression, Expression)

    static let arithmetic: [ScalarOperation] = [
      .add, .add, .subtract, .multiply, .floorDivide, .floorModulo, .floorDivide, .floorModulo, .divide, .minimum,
      .maximum,
    ]

    static func random(_ depth: Int, _ g: inout some RandomNumberGenerator) -> Expression {
      if depth == 0 || Int.random(in: 0..<6, using: &g) == 0 {
        return Bool.random(using: &g)
          ? .axis(Int.random(in: 0..<3, using: &g)) : .constant(Int.random(in: -3...12, using: &g))
      }
      let operation = arithmetic.randomElement(using: &g)!
      if Int.random(in: 0..<10, using: &g) == 0 {
        let test: ScalarOperation = [.less, .lessEqual, .equal, .notEqual].randomElement(using: &g)!
        return .select(
          .binary(test, random(depth - 1, &g), random(depth - 1, &g)), random(depth - 1, &g), random(depth - 1, &g))
      }
      let isDivision = operation == .floorDivide || operation == .floorModulo || operation == .divide
      let right: Expression =
        isDivision || (operation == .multiply && Bool.random(using: &g))
        ? .constant([1, 2, 3, 4, 5, 6, 10, 12, 24, 0, -3].randomElement(using: &g)!) : random(depth - 1, &g)
      return .binary(operation, random(depth - 1, &g), right)
    }

    func build(_ b: inout ScalarBuilder) -> Scalar {
      switch self {
      case .axis(let n): return b.axis(n)
      case .constant(let c): return b.integer(c)
      case .binary(let operation, let x, let y):
        let (x, y) = (x.build(&b), y.build(&b))
        let isTest = [.less, .lessEqual, .equal, .notEqual].contains(operation)
        return b.row(operation, isTest ? .bool : .int64, x, y)
      case .select(let c, let x, let y):
        let (c, x, y) = (c.build(&b), x.build(&b), y.build(&b))
        return b.select(c, x, y)
      }
    }

    /// The value by mathematical definitions of its own.
    func value(_ axes: [Int]) -> Int {
      switch self {
      case .axis(let n): return axes[n]
      case .constant(let c): return c
      case .select(let c, let x, let y): return c.value(axes) != 0 ? x.value(axes) : y.value(axes)
      case .binary(let operation, let x, let y):
        let (x, y) = (x.value(axes), y.value(axes))
        switch operation {
        case .add: return x &+ y
        case .subtract: return x &- y
        case .multiply: return x &* y
        case .divide: return y == 0 ? 0 : x / y
        case .floorDivide: return y == 0 ? 0 : Int((Double(x) / Double(y)).rounded(.down))
        case .floorModulo: return y == 0 ? 0 : x - y * Int((Double(x) / Double(y)).rounded(.down))
        case .minimum: return min(x, y)
        case .maximum: return max(x, y)
        case .less: return x < y ? 1 : 0
        case .lessEqual: return x <= y ? 1 : 0
        case .equal: return x == y ? 1 : 0
        default: return x != y ? 1 : 0
        }
      }
    }
  }

  @Test(arguments: 0..<8) func randomIndexExpressionsKeepTheirValues(_ seed: Int) {
    var g = SplitMix(seed: UInt64(seed))
    for round in 0..<150 {
      let extents = (0..<3).map { _ in [1, 2, 3, 4, 6, 10, 12].randomElement(using: &g)! }
      let expression = Expression.random(Int.random(in: 2...5, using: &g), &g)
      var known = ScalarBuilder()
      known.axisExtents = extents
      let simplified = expression.build(&known)
      var open = ScalarBuilder()
      let general = expression.build(&open)
      for _ in 0..<12 {
        let axes = extents.map { Int.random(in: 0..<$0, using: &g) }
        let wanted = Int64(expression.value(axes))
        // Larger numbers than these are beyond the doubles that the expectation divides with.
        guard abs(wanted) < 1 << 50 else { continue }
        #expect(
          evaluate(simplified.id, in: known.arena, axes: axes) == wanted, "seed \(seed) round \(round): \(expression)")
        #expect(
          evaluate(general.id, in: open.arena, axes: axes) == wanted, "seed \(seed) round \(round): \(expression)")
        let range = known.range(of: simplified.id)
        #expect(range.lower <= wanted && wanted <= range.upper, "seed \(seed) round \(round): \(expression)")
      }
    }
  }

  /// Flat indices of random shapes taken apart into random factorisations and put together again.
  @Test(arguments: 0..<4) func reshapesThereAndBackVanish(_ seed: Int) {
    var g = SplitMix(seed: UInt64(seed))
    for _ in 0..<40 {
      let shape = (0..<3).map { _ in [1, 2, 3, 4, 5, 6, 8].randomElement(using: &g)! }
      var b = ScalarBuilder()
      b.axisExtents = shape
      var flat = b.integer(0)
      for (n, extent) in shape.enumerated() { flat = b.add(b.multiply(flat, b.integer(extent)), b.axis(n)) }
      let count = shape.reduce(1, *)
      let divisors = (1...count).filter { count % $0 == 0 }
      let inner = divisors.randomElement(using: &g)!
      let outer = divisors.filter { (count / inner) % $0 == 0 }.randomElement(using: &g)!
      // [count] as [·, outer, inner], flattened again
      let last = b.floorModulo(flat, b.integer(inner))
      let middle = b.floorModulo(b.floorDivide(flat, b.integer(inner)), b.integer(outer))
      let first = b.floorDivide(flat, b.integer(inner * outer))
      let again = b.add(b.multiply(b.add(b.multiply(first, b.integer(outer)), middle), b.integer(inner)), last)
      #expect(again == flat, "seed \(seed): \(shape) as [·, \(outer), \(inner)]")
    }
  }
}

/// A small generator with a seed. Source: S. Vigna, splitmix64 (public domain reference).
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
