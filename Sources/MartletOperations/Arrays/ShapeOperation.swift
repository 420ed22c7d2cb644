import MartletDiagnostics
import MartletGraph
import MartletTensors

/// The extents of an array, as a vector.
public struct ShapeOperation: Operation {
  public var outputType = ElementType.int32
  public init() {}
  public init(_ outputType: ElementType) { self.outputType = outputType }
  public static let schema = Schema(
    "Shape", inputs: ["input": "T"], outputs: ["output": "out_type"], types: ["T": .any, "out_type": .index])
  public static let attributeTable: AttributeTable<ShapeOperation> = [AttributeField("out_type", \.outputType)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard let extents = operands[0].shape.dimensions else { return [Inference(outputType, [nil])] }
    return [Inference(outputType, Shape([extents.count]), known: KnownValue(vector: extents))]
  }
  public var differentiation: Differentiation { .none("a shape does not vary with the elements") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let extents = l.operandShape(0)
    return .constant(Constant(Tensor(extents, shape: [extents.count], as: outputType)))
  }
}

/// The extents of several arrays, a vector for each.
public struct ShapeN: Operation {
  public var outputType = ElementType.int32
  public init() {}
  public init(_ outputType: ElementType) { self.outputType = outputType }
  public static let schema = Schema(
    "ShapeN", inputs: ["input": "N*T"], outputs: ["output": "N*out_type"], types: ["T": .any, "out_type": .index])
  public static let attributeTable: AttributeTable<ShapeN> = [AttributeField("out_type", \.outputType)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    var results: [Inference] = []
    for operand in operands { results += try ShapeOperation(outputType).infer([operand], context) }
    return results
  }
  public var differentiation: Differentiation { .none("shapes do not vary with the elements") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = outputType
    return .composite { expansion throws(Diagnostic) in expansion.operands.map { shape(of: $0, type: type) } }
  }
}

/// The number of elements of an array.
public struct SizeOperation: Operation {
  public var outputType = ElementType.int32
  public init() {}
  public init(_ outputType: ElementType) { self.outputType = outputType }
  public static let schema = Schema(
    "Size", inputs: ["input": "T"], outputs: ["output": "out_type"], types: ["T": .any, "out_type": .index])
  public static let attributeTable: AttributeTable<SizeOperation> = [AttributeField("out_type", \.outputType)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(outputType, .scalar, known: operands[0].shape.elementCount.map { KnownValue(scalar: $0) })]
  }
  public var differentiation: Differentiation { .none("a size does not vary with the elements") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    .constant(Constant(Tensor([l.operandTypes[0].elementCount], shape: [], as: outputType)))
  }
}

/// The number of dimensions of an array.
public struct RankOperation: Operation {
  public init() {}
  public static let schema = Schema("Rank", inputs: ["input": "T"], outputs: ["output": "int32"], types: ["T": .any])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(.int32, .scalar, known: operands[0].shape.rank.map { KnownValue(scalar: Dimension($0)) })]
  }
  public var differentiation: Differentiation { .none("a rank does not vary with the elements") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    .constant(Constant(Tensor(Int32(l.operandShape(0).count))))
  }
}

/// The extents of an array, as a vector of `int32` or `int64`.
public func shape(of x: Output, type: ElementType = .int32, name: String? = nil) -> Output {
  x.graph.addOne(ShapeOperation(type), [x], name: name)
}

/// The number of elements of an array, an `int32` or `int64`.
public func size(of x: Output, type: ElementType = .int32, name: String? = nil) -> Output {
  x.graph.addOne(SizeOperation(type), [x], name: name)
}

/// The number of dimensions of an array, an `int32`.
public func rank(of x: Output, name: String? = nil) -> Output { x.graph.addOne(RankOperation(), [x], name: name) }

/// The extents of an array: a constant if they are all known while the graph is built.
func shapeVector(of x: Output) -> Output {
  if let extents = x.shape.known { return x.vector(extents) }
  return shape(of: x)
}
