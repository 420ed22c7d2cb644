import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The numbers from `start` on in steps of `delta`, as far as they lie before `limit`.
public struct RangeOperation: Operation {
  public init() {}
  public static let schema = Schema(
    "Range", inputs: ["start": "Tidx", "limit": "Tidx", "delta": "Tidx"], outputs: ["output": "Tidx"],
    types: ["Tidx": .signed])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    for (operand, name) in zip(operands, ["start", "limit", "delta"]) { _ = try operand.shape(ofRank: 0, name) }
    let type = operands[0].elementType ?? .int32
    if type.isFloatingPoint {
      let values = operands.compactMap { $0.constant?.tensor.doubles().first }
      guard values.count == 3 else { return [Inference(type, [nil])] }
      try Self.check(values[0], values[1], values[2])
      let count = ((values[1] - values[0]) / values[2]).magnitude.rounded(.up)
      guard let count = Int(exactly: count) else {
        throw Diagnostic("the range is too long", operand: "limit", found: "\(count) elements")
      }
      return [Inference(type, Shape([count]))]
    }
    let values = operands.compactMap { $0.elements?.first }
    guard values.count == 3, let delta = values[2].known else { return [Inference(type, [nil])] }
    let (start, limit) = (values[0], values[1])
    try Self.check(Double(start.known ?? 0), Double(limit.known ?? start.known ?? 0), Double(delta))
    // An extent is never negative, so that 0 ..< extent needs no maximum.
    let distance = delta > 0 ? limit - start : start - limit
    let count = distance.ceilDivided(by: delta == .min ? .max : abs(delta))
    let length = start.known == 0 && delta == 1 && limit.isExtentLike ? count : count.max(0)
    var known: KnownValue?
    if let length = length.known, length <= KnownValue.maximumCount {
      known = KnownValue(vector: (0..<length).map { start + Dimension(delta) * $0 })
    }
    return [Inference(type, Shape([length]), known: known)]
  }

  private static func check(_ start: Double, _ limit: Double, _ delta: Double) throws(Diagnostic) {
    guard delta != 0, !delta.isNaN else {
      throw Diagnostic("", operand: "delta", required: "a number other than zero", found: "\(delta)")
    }
    guard start == limit || (start < limit) == (delta > 0) else {
      throw Diagnostic(
        "the range runs away from its limit", operand: "delta", required: delta > 0 ? "start ≤ limit" : "start ≥ limit",
        found: "start \(start), limit \(limit)")
    }
  }

  public var differentiation: Differentiation { .none("its length would vary with the operands") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    var b = l.builder()
    let result = b.map("Range", type, l.resultShape(0)) { b, axes in
      let step = b.multiply(b.cast(axes[0], to: type), b.load(.input(2), type, at: []))
      return b.add(b.load(.input(0), type, at: []), step)
    }
    return .compute(b.finish([result]))
  }
}

/// The numbers from `start` on in steps of `delta`, as far as they lie before `limit`; scalars of one type.
public func range(_ start: Output, _ limit: Output, delta: Output? = nil, name: String? = nil) -> Output {
  start.graph.addOne(RangeOperation(), [start, limit, delta ?? limit.scalar(1)], name: name)
}

extension Graph {
  /// The `int32` numbers from `start` on in steps of `delta`, as far as they lie before `limit`.
  public func range(_ start: Int, _ limit: Int, delta: Int = 1, name: String? = nil) -> Output {
    addOne(RangeOperation(), [constant(start), constant(limit), constant(delta)], name: name)
  }
}
