import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// For each index a vector of `depth` elements along a new axis: `on_value` at the index, `off_value` elsewhere. An index
/// outside `0 ..< depth` gives `off_value` alone.
public struct OneHot: Operation {
  /// The place of the new axis in the result; −1 is last.
  public var axis = -1
  public init() {}
  public init(axis: Int) { self.axis = axis }
  public static let schema = Schema(
    "OneHot", inputs: ["indices": "TI", "depth": "int32", "on_value": "T", "off_value": "T"],
    outputs: ["output": "T"], types: ["TI": .integer, "T": .any])
  public static let attributeTable: AttributeTable<OneHot> = [AttributeField("axis", \.axis)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    for (i, name) in [(1, "depth"), (2, "on_value"), (3, "off_value")] { _ = try operands[i].shape(ofRank: 0, name) }
    let type = operands[2].elementType ?? .float32
    let depth = operands[1].elements?.first ?? .fresh()
    if let depth = depth.known, depth < 0 {
      throw Diagnostic("", operand: "depth", required: "a number of 0 or more", found: "\(depth)")
    }
    guard var extents = operands[0].shape.dimensions else { return [Inference(type, .unknown)] }
    // TensorFlow knows -1 as the only negative axis; further ones count from the end as well.
    extents.insert(depth, at: try normalizedAxis(axis, rank: extents.count + 1, "axis"))
    return [Inference(type, Shape(extents))]
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let isOn = g.graph.addOne(
      OneHot(axis: axis), [g.operands[0], g.operands[1], g.graph.constant(true), g.graph.constant(false)])
    let (zero, scalar) = (g.dy.scalar(0), g.dy.vector([]))
    return [
      .none, .none,
      g.isNeeded[2] ? .dense(sumToShape(select(isOn, g.dy, zero), scalar)) : .none,
      g.isNeeded[3] ? .dense(sumToShape(select(isOn, zero, g.dy), scalar)) : .none,
    ]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    _ = try l.integers(1, "depth")
    let (indices, type) = (l.operandTypes[0], l.results[0].elementType)
    let place = try normalizedAxis(axis, rank: indices.extents.count + 1, "axis")
    var b = l.builder()
    let result = b.map("OneHot", type, l.resultShape(0)) { b, axes in
      var outer = axes
      outer.remove(at: place)
      let index = b.cast(b.load(.input(0), indices.elementType, at: outer), to: .int64)
      let (on, off) = (b.load(.input(2), type, at: []), b.load(.input(3), type, at: []))
      return b.select(b.equal(index, axes[place]), on, off)
    }
    return .compute(b.finish([result]))
  }
}

/// For each index a vector of `depth` elements along a new axis, the last by default: `on` at the index, `off` elsewhere.
public func oneHot(
  _ indices: Output, depth: Int, on: Double = 1, off: Double = 0, type: ElementType = .float32, axis: Int = -1,
  name: String? = nil
) -> Output {
  let graph = indices.graph
  return graph.addOne(
    OneHot(axis: axis),
    [indices, graph.constant(depth, .int32), graph.constant(on, type), graph.constant(off, type)], name: name)
}
