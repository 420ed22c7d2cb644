import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// An operation that combines the elements along some axes, given by operand 1, into one.
protocol AxisReduction: Operation {
  /// Whether a reduced axis stays, with extent 1.
  var keepDims: Bool { get set }
  /// How elements are combined.
  static var combiner: StageBuilder.Combiner { get }
  /// What elements of a type are converted to before they are combined; that type, by default.
  static func accumulator(for type: ElementType) -> ElementType
  /// The result's element, before it is converted back, from the combination of `count` elements.
  func finish(_ b: inout ScalarBuilder, _ total: Scalar, count: Int) -> Scalar
  /// The combination of known integers; nil, by default, where it is not followed.
  func known(_ elements: [Dimension]) -> Dimension?
}

extension Schema {
  /// Operands `input` and `reduction_indices` and one result of the same type.
  init(reduction name: String, types: TypeSet) {
    self.init(
      name, inputs: ["input": "T", "reduction_indices": "Tidx"], outputs: ["output": "T"],
      types: ["T": types, "Tidx": .index])
  }
  /// The same for Booleans.
  init(logicalReduction name: String) {
    self.init(
      name, inputs: ["input": "bool", "reduction_indices": "Tidx"], outputs: ["output": "bool"],
      types: ["Tidx": .index])
  }
}

extension AxisReduction {
  static func accumulator(for type: ElementType) -> ElementType { type }
  func finish(_ b: inout ScalarBuilder, _ total: Scalar, count: Int) -> Scalar { total }
  func known(_ elements: [Dimension]) -> Dimension? { nil }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    let input = operands[0].shape
    if let rank = operands[1].shape.rank, rank > 1 {
      throw Diagnostic(
        "", operand: "reduction_indices", required: "a vector or a scalar of axes", found: "\(operands[1].type)")
    }
    guard let dimensions = input.dimensions, let values = operands[1].integers else {
      if keepDims, let rank = input.rank { return [Inference(type, Shape(unknownOfRank: rank))] }
      return [Inference(type, .unknown)]
    }
    let axes = try reducedAxes(values, rank: dimensions.count)
    let shape = Shape(
      dimensions.enumerated().compactMap { i, extent in axes.contains(i) ? (keepDims ? 1 : nil) : extent })
    var value: KnownValue?
    if type == .int32 || type == .int64, dimensions.count == 1, axes == [0], let all = operands[0].known?.elements,
      let element = known(all), type == .int64 || element.known.map({ Int32(exactly: $0) != nil }) ?? true
    {
      value = KnownValue([element], shape: keepDims ? [1] : [])
    }
    return [Inference(type, shape, known: value)]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let operand = l.operandTypes[0]
    let type = operand.elementType
    let axes = try reducedAxes(l.integers(1, "reduction_indices"), rank: operand.extents.count)
    let reduced = axes.map { operand.extents[$0] }
    let count = reduced.reduce(1, *)
    let keepDims = keepDims
    var b = l.builder()
    func load(_ b: inout ScalarBuilder, _ axis: [Scalar], _ inner: [Scalar]) -> Scalar {
      let element = b.load(
        .input(0), type, at: interleaved(axis, inner, axes, rank: operand.extents.count, keepDims: keepDims))
      return b.cast(element, to: Self.accumulator(for: type))
    }
    if axes.isEmpty {
      let copy = b.map(schema.name, type, l.resultShape(0)) { b, axis in
        b.narrow(finish(&b, load(&b, axis, []), count: 1), to: type)
      }
      return .compute(b.finish([copy]))
    }
    let result = b.reduce(schema.name, type, l.resultShape(0), over: reduced, Self.combiner) { b, axis, inner in
      load(&b, axis, inner)
    } finish: { b, total in
      b.narrow(finish(&b, total, count: count), to: type)
    }
    return .compute(b.finish([result]))
  }
}

/// Axes from the front, in increasing order.
///
/// - Throws: a diagnostic if one is out of range or named twice.
func reducedAxes(_ values: [Int], rank: Int) throws(Diagnostic) -> [Int] {
  var axes: [Int] = []
  for value in values {
    let axis = try normalizedAxis(value, rank: rank, "reduction_indices")
    guard !axes.contains(axis) else {
      throw Diagnostic("names an axis twice", operand: "reduction_indices", found: "\(values)")
    }
    axes.append(axis)
  }
  return axes.sorted()
}

/// The operand's indices for the result's axes and the reduced ones.
func interleaved(_ axis: [Scalar], _ inner: [Scalar], _ reduced: [Int], rank: Int, keepDims: Bool) -> [Scalar] {
  var kept = 0
  var next = 0
  return (0..<rank).map { i in
    if reduced.contains(i) {
      if keepDims { kept += 1 }
      next += 1
      return inner[next - 1]
    }
    kept += 1
    return axis[kept - 1]
  }
}

extension GradientContext {
  /// `value`, which has the shape of the result of a reduction of operand 0, with the reduced axes put back as 1.
  ///
  /// - Throws: a diagnostic if the axes are not known while the graph is built.
  func restoringAxes(_ value: Output, keepDims: Bool) throws(Diagnostic) -> Output {
    if keepDims { return value }
    guard let axes = operands[1].operand.integers else {
      throw Diagnostic(
        "must be known while the graph is built, for the gradient", operand: "reduction_indices",
        found: "\(operands[1].type)", hint: "keep the reduced dimensions, or give constant axes")
    }
    if let rank = operands[0].rank {
      return try reducedAxes(axes, rank: rank).reduce(value) { expandDims($0, axis: $1) }
    }
    // Counted from one end only, axes can be put back without knowing the rank.
    if axes.allSatisfy({ $0 >= 0 }) { return axes.sorted().reduce(value) { expandDims($0, axis: $1) } }
    if axes.allSatisfy({ $0 < 0 }) { return axes.sorted(by: >).reduce(value) { expandDims($0, axis: $1) } }
    throw Diagnostic(
      "the gradient needs the rank", operand: "input", required: "a known number of dimensions",
      found: "\(operands[0].type)")
  }

  /// `value`, which has the shape of the result of a reduction, stretched to the shape of operand 0.
  func spread(_ value: Output, keepDims: Bool) throws(Diagnostic) -> Output {
    broadcast(try restoringAxes(value, keepDims: keepDims), to: shapeVector(of: operands[0]))
  }
}

extension Output {
  /// A constant vector of axes: those given, or all, for which the rank must be known or else is asked for at run time.
  func axesOperand(_ axes: [Int]?) -> Output {
    if let axes { return graph.constant(axes) }
    if let known = shape.rank { return graph.constant(Array(0..<known)) }
    return range(graph.constant(0), MartletOperations.rank(of: self))
  }
}
