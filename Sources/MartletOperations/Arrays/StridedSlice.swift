import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Every `strides[i]`-th element of an array from `begin[i]` to before `end[i]`, along each axis; masks say where an entry
/// means something else. This is NumPy's basic slicing.
public struct StridedSlice: Operation {
  var masks = SliceMasks()
  public init() {}
  init(_ masks: SliceMasks) { self.masks = masks }
  public static let schema = Schema(
    "StridedSlice", inputs: ["input": "T", "begin": "Index", "end": "Index", "strides": "Index"],
    outputs: ["output": "T"], types: ["T": .any, "Index": .index])
  public static let attributeTable: AttributeTable<StridedSlice> = [
    AttributeField("begin_mask", \.masks.begin), AttributeField("end_mask", \.masks.end),
    AttributeField("ellipsis_mask", \.masks.ellipsis), AttributeField("new_axis_mask", \.masks.newAxis),
    AttributeField("shrink_axis_mask", \.masks.shrinkAxis),
  ]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    let slicing = try Slicing(masks, operands[1...])
    guard let source = operands[0].shape.dimensions, let extents = try slicing.extents(source) else {
      return [Inference(type, .unknown)]
    }
    return [Inference(type, Shape(extents), known: try known(operands[0].known, slicing, extents))]
  }

  /// Of a vector of known integers, its chosen elements.
  private func known(
    _ value: KnownValue?, _ slicing: Slicing, _ extents: [Dimension]
  ) throws(Diagnostic) -> KnownValue? {
    guard let value, value.shape.count == 1, let shape = Shape(extents).known, slicing.begin != nil,
      slicing.strides != nil, slicing.begin?.allSatisfy({ $0.known != nil }) == true
    else { return nil }
    let (_, first, step) = try slicing.steps(value.shape)[0]
    let count = shape.reduce(1, *)
    return KnownValue((0..<count).map { value.elements[first + $0 * step] }, shape: shape)
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let bounds = Array(g.operands[1...])
    let extents = shape(of: g.operands[0], type: bounds[0].elementType)
    return [.dense(g.graph.addOne(StridedSliceGrad(masks), [extents] + bounds + [g.dy])), .none, .none, .none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.operandTypes[0]
    let steps = try Slicing(masks, l.operands[1...]).steps(type.extents)
    var b = l.builder()
    let result = b.map("StridedSlice", type.elementType, l.resultShape(0)) { b, axes in
      let indices = steps.map { axis, first, step in
        guard let axis else { return b.integer(first) }
        return b.add(b.multiply(axes[axis], b.integer(step)), b.integer(first))
      }
      return b.load(.input(0), type.elementType, at: indices)
    }
    let extents = l.resultShape(0)
    let taken = steps.map { axis, first, step in
      SlicedAxis(first: first, count: axis.map { extents[$0] } ?? 1, step: step)
    }
    return l.sliced(taken, b.finish([result]))
  }
}

/// An array of zeros of the extents `shape`, but for a slice of it, which is `dy`: the gradient of StridedSlice.
public struct StridedSliceGrad: Operation {
  var masks = SliceMasks()
  public init() {}
  init(_ masks: SliceMasks) { self.masks = masks }
  public static let schema = Schema(
    "StridedSliceGrad",
    inputs: ["shape": "Index", "begin": "Index", "end": "Index", "strides": "Index", "dy": "T"],
    outputs: ["output": "T"], types: ["T": .any, "Index": .index])
  public static let attributeTable: AttributeTable<StridedSliceGrad> = [
    AttributeField("begin_mask", \.masks.begin), AttributeField("end_mask", \.masks.end),
    AttributeField("ellipsis_mask", \.masks.ellipsis), AttributeField("new_axis_mask", \.masks.newAxis),
    AttributeField("shrink_axis_mask", \.masks.shrinkAxis),
  ]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let shape = try operands[0].shapeValue("shape")
    let slicing = try Slicing(masks, operands[1...3])
    if let source = shape.dimensions, let extents = try slicing.extents(source),
      !Shape(extents).isCompatible(with: operands[4].shape)
    {
      throw Diagnostic("", operand: "dy", required: "the slice's shape \(Shape(extents))", found: "\(operands[4].type)")
    }
    return [Inference(operands[4].elementType ?? .float32, shape)]
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.none, .none, .none, .none, .dense(g.graph.addOne(StridedSlice(masks), [g.dy] + Array(g.operands[1...3])))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let extents = l.resultShape(0)
    let type = l.operandTypes[4]
    let steps = try Slicing(masks, l.operands[1...3]).steps(extents)
    var b = l.builder()
    let result = b.map("StridedSliceGrad", type.elementType, extents) { b, axes in
      // What position in the slice an element comes from, and whether there is one.
      var indices = type.extents.map { _ in b.integer(0) }
      var isInside = b.boolean(true)
      for (axis, (resultAxis, first, step)) in steps.enumerated() {
        guard let resultAxis else {
          isInside = b.and(isInside, b.equal(axes[axis], b.integer(first)))
          continue
        }
        if first == 0, step == 1, type.extents[resultAxis] == extents[axis] {
          indices[resultAxis] = axes[axis]
          continue
        }
        let offset = b.subtract(axes[axis], b.integer(first))
        let index = b.floorDivide(offset, b.integer(step))
        let isHit = b.equal(b.floorModulo(offset, b.integer(step)), b.integer(0))
        let isReached = b.and(
          b.lessEqual(b.integer(0), index), b.less(index, b.integer(type.extents[resultAxis])))
        isInside = b.and(isInside, b.and(isHit, isReached))
        indices[resultAxis] = index
      }
      return b.load(.input(4), type.elementType, at: indices, if: isInside)
    }
    return .compute(b.finish([result]))
  }
}
