import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The sums of the elements up to each one along an axis.
public struct Cumsum: CumulativeReduction {
  /// Whether each sum leaves its own element out.
  public var exclusive = false
  /// Whether sums run from the last element to the first.
  public var reverse = false
  public init() {}
  public init(exclusive: Bool, reverse: Bool) { (self.exclusive, self.reverse) = (exclusive, reverse) }
  public static let schema = Schema(cumulative: "Cumsum")
  public static let attributeTable: AttributeTable<Cumsum> = [
    AttributeField("exclusive", \.exclusive), AttributeField("reverse", \.reverse),
  ]
  static var initial: Double { 0 }
  func combine(_ b: inout ScalarBuilder, _ state: Scalar, _ x: Scalar) -> Scalar { b.add(state, x) }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(Cumsum(exclusive: exclusive, reverse: !reverse), [g.dy, g.operands[1]])), .none]
  }
}

/// The products of the elements up to each one along an axis.
///
/// Where the axis and its extent are known while the graph is built, the gradient is right at zeros, too, and so are those
/// of higher order. Else it divides by the elements, as TensorFlow's does, so it is NaN where one is 0.
public struct Cumprod: CumulativeReduction {
  /// Whether each product leaves its own element out.
  public var exclusive = false
  /// Whether products run from the last element to the first.
  public var reverse = false
  public init() {}
  public init(exclusive: Bool, reverse: Bool) { (self.exclusive, self.reverse) = (exclusive, reverse) }
  public static let schema = Schema(cumulative: "Cumprod")
  public static let attributeTable: AttributeTable<Cumprod> = [
    AttributeField("exclusive", \.exclusive), AttributeField("reverse", \.reverse),
  ]
  static var initial: Double { 1 }
  func combine(_ b: inout ScalarBuilder, _ state: Scalar, _ x: Scalar) -> Scalar { b.multiply(state, x) }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let x = g.operands[0]
    guard let given = g.operands[1].operand.integer, let rank = x.rank,
      let extent = x.shape[try normalizedAxis(given, rank: rank, "axis")].known
    else {
      let total = g.graph.addOne(
        Cumsum(exclusive: exclusive, reverse: !reverse), [g.results[0] * g.dy, g.operands[1]])
      return [.dense(total / x), .none]
    }
    let line = Line(axis: try normalizedAxis(given, rank: rank, "axis"), rank: rank, extent: extent, isReverse: reverse)
    // What stands before element k times s[k], the sum of the upstream behind it, each times what stands between. That is
    // s[k] = b[k] + a[k] s[k + 1], solved by doubling (P. Kogge, H. Stone, "A parallel algorithm for the efficient solution
    // of a general class of recurrence equations", 1973).
    let before = g.graph.addOne(Cumprod(exclusive: true, reverse: reverse), [x, g.operands[1]])
    var sum = exclusive ? line.following(g.dy, by: 1) : g.dy
    var factor = line.following(x, by: 1)
    var step = 1
    while step < extent {
      sum = sum + factor * line.following(sum, by: step)
      if 2 * step < extent { factor = factor * line.following(factor, by: step) }
      step *= 2
    }
    return [.dense(before * sum), .none]
  }

  /// The axis that products run along.
  private struct Line {
    var axis: Int
    var rank: Int
    var extent: Int
    var isReverse: Bool

    /// At each place the element that comes `count` later; zero beyond the last.
    func following(_ x: Output, by count: Int) -> Output {
      guard count < extent else { return zerosLike(x) }
      var begin = [Int](repeating: 0, count: rank)
      var size = [Int](repeating: -1, count: rank)
      var paddings = [(before: Int, after: Int)](repeating: (0, 0), count: rank)
      begin[axis] = isReverse ? 0 : count
      size[axis] = extent - count
      paddings[axis] = isReverse ? (count, 0) : (0, count)
      return pad(slice(x, begin: begin, size: size), paddings)
    }
  }
}

protocol CumulativeReduction: Operation {
  var exclusive: Bool { get set }
  var reverse: Bool { get set }
  static var initial: Double { get }
  func combine(_ b: inout ScalarBuilder, _ state: Scalar, _ x: Scalar) -> Scalar
}

extension Schema {
  init(cumulative name: String) {
    self.init(
      name, inputs: ["x": "T", "axis": "Tidx"], outputs: ["out": "T"], types: ["T": .numeric, "Tidx": .index])
  }
}

extension CumulativeReduction {
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[1].axis(of: operands[0].shape.rank, "axis")
    return [Inference(operands[0].elementType ?? .float32, operands[0].shape)]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let operand = l.operandTypes[0]
    let type = operand.elementType
    let axis = try l.axis(1, of: operand.extents.count, "axis")
    var b = l.builder()
    let result = b.scan(
      schema.name, type, operand.extents, along: axis, reversed: reverse, exclusive: exclusive, initial: Self.initial
    ) { b, state, axes in
      combine(&b, state, b.load(.input(0), type, at: axes))
    }
    return .compute(b.finish([result]))
  }
}

/// The sums of the elements up to each one along an axis; a negative axis counts from the end.
public func cumulativeSum(
  _ x: Output, axis: Int, exclusive: Bool = false, reverse: Bool = false, name: String? = nil
) -> Output {
  x.graph.addOne(Cumsum(exclusive: exclusive, reverse: reverse), [x, x.graph.constant(axis)], name: name)
}
/// The products of the elements up to each one along an axis; a negative axis counts from the end.
public func cumulativeProduct(
  _ x: Output, axis: Int, exclusive: Bool = false, reverse: Bool = false, name: String? = nil
) -> Output {
  x.graph.addOne(Cumprod(exclusive: exclusive, reverse: reverse), [x, x.graph.constant(axis)], name: name)
}
