import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The position of the greatest element along one axis: of equal ones the first. NaN is passed over.
public struct ArgMax: ArgReduction {
  public var outputType = ElementType.int64
  public init() {}
  public init(outputType: ElementType) { self.outputType = outputType }
  public static let schema = Schema(argReduction: "ArgMax")
  public static let attributeTable: AttributeTable<ArgMax> = [AttributeField("output_type", \.outputType)]
  static var isMaximum: Bool { true }
}

/// The position of the smallest element along one axis: of equal ones the first. NaN is passed over.
public struct ArgMin: ArgReduction {
  public var outputType = ElementType.int64
  public init() {}
  public init(outputType: ElementType) { self.outputType = outputType }
  public static let schema = Schema(argReduction: "ArgMin")
  public static let attributeTable: AttributeTable<ArgMin> = [AttributeField("output_type", \.outputType)]
  static var isMaximum: Bool { false }
}

protocol ArgReduction: Operation {
  var outputType: ElementType { get set }
  static var isMaximum: Bool { get }
}

extension Schema {
  init(argReduction name: String) {
    self.init(
      name, inputs: ["input": "T", "dimension": "Tidx"], outputs: ["output": "output_type"],
      types: ["T": .any, "Tidx": .index, "output_type": .index])
  }
}

extension ArgReduction {
  public var differentiation: Differentiation { .none("its result is a position") }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard let dimensions = operands[0].shape.dimensions else { return [Inference(outputType, .unknown)] }
    guard !dimensions.isEmpty else {
      throw Diagnostic("", operand: "input", required: "an array with dimensions", found: "\(operands[0].type)")
    }
    guard let axis = try operands[1].axis(of: dimensions.count, "dimension") else {
      return [Inference(outputType, try .unknown(ofRank: dimensions.count - 1, "input"))]
    }
    if dimensions[axis].known == 0 {
      throw Diagnostic("there is nothing to choose from", operand: "input", found: "\(operands[0].type)")
    }
    var rest = dimensions
    rest.remove(at: axis)
    return [Inference(outputType, Shape(rest))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let operand = l.operandTypes[0]
    let type = operand.elementType
    let rank = operand.extents.count
    let axis = try l.axis(1, of: rank, "dimension")
    let outputType = outputType
    var b = l.builder()
    // The state is a value and its position; the highest position stands for "none yet".
    let none = b.scalars.highest(.int64)
    let start = Self.isMaximum ? b.scalars.lowest(type) : b.scalars.highest(type)
    func better(_ b: inout ScalarBuilder, _ state: [Scalar], _ other: [Scalar]) -> [Scalar] {
      let isBetter = Self.isMaximum ? b.greater(other[0], state[0]) : b.less(other[0], state[0])
      let isEarlier = b.and(b.equal(other[0], state[0]), b.less(other[1], state[1]))
      let isTaken = b.or(isBetter, isEarlier)
      return [b.select(isTaken, other[0], state[0]), b.select(isTaken, other[1], state[1])]
    }
    let result = b.reduce(
      schema.name, outputType, l.resultShape(0), over: [operand.extents[axis]], initial: [start, none]
    ) { b, state, outer, inner in
      let indices = interleaved(outer, inner, [axis], rank: rank, keepDims: false)
      return better(&b, state, [b.load(.input(0), type, at: indices), inner[0]])
    } merge: { b, state, other in
      better(&b, state, other)
    } finish: { b, state in
      b.cast(b.select(b.equal(state[1], none), b.integer(0), state[1]), to: outputType)
    }
    return .compute(b.finish([result]))
  }
}

/// The positions of the greatest elements along an axis; a negative axis counts from the end.
public func argMax(_ x: Output, axis: Int, outputType: ElementType = .int64, name: String? = nil) -> Output {
  x.graph.addOne(ArgMax(outputType: outputType), [x, x.graph.constant(axis)], name: name)
}
/// The positions of the smallest elements along an axis; a negative axis counts from the end.
public func argMin(_ x: Output, axis: Int, outputType: ElementType = .int64, name: String? = nil) -> Output {
  x.graph.addOne(ArgMin(outputType: outputType), [x, x.graph.constant(axis)], name: name)
}
