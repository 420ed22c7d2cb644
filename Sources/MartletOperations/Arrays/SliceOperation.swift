import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The block of an array that starts at `begin` and has the extents `size`; an extent of −1 reaches to the end.
///
/// `begin` may be computed at run time, for extents that are known when the graph is compiled. A run in which the block does not
/// lie within the array then throws.
public struct SliceOperation: Operation {
  public init() {}
  public static let schema = Schema(
    "Slice", inputs: ["input": "T", "begin": "Index", "size": "Index"], outputs: ["output": "T"],
    types: ["T": .any, "Index": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    let lengths = [
      try operands[1].shape(ofRank: 1, "begin")[0].known, try operands[2].shape(ofRank: 1, "size")[0].known,
    ]
    guard let rank = operands[0].shape.rank ?? lengths[0] ?? lengths[1] else { return [Inference(type, .unknown)] }
    for (name, length) in zip(["begin", "size"], lengths) {
      if let length, length != rank {
        throw Diagnostic("", operand: name, required: "one number for each of \(rank) dimensions", found: "\(length)")
      }
    }
    let extents = operands[0].shape.dimensions
    let begin = operands[1].elements
    let size = operands[2].elements
    var result: [Dimension] = []
    for i in 0..<rank {
      result.append(try Self.extent(of: extents?[i], from: begin?[i], size?[i], axis: i))
    }
    var known: KnownValue?
    if rank == 1, let value = operands[0].known, let start = begin?[0].known, let count = result[0].known {
      known = KnownValue(vector: Array(value.elements[start..<start + count]))
    }
    return [Inference(type, try Shape(result).checkedRank("begin"), known: known)]
  }

  /// The extent of the block along one axis, from what is known of the array's, the start and the size.
  private static func extent(
    of whole: Dimension?, from begin: Dimension?, _ size: Dimension?, axis: Int
  ) throws(Diagnostic) -> Dimension {
    if let start = begin?.known, start < 0 || start > whole?.known ?? start {
      throw Diagnostic(
        "", operand: "begin", required: "positions in the array, whose extent along axis \(axis) is \(whole ?? 0)",
        found: "\(start)")
    }
    guard let size else { return .fresh() }
    if size.known == -1 {
      guard let whole, let begin else { return .fresh() }
      return begin.known == 0 ? whole : whole - begin
    }
    if let count = size.known {
      let end = (begin?.known ?? 0).addingReportingOverflow(count)
      guard count >= 0, !end.overflow, end.partialValue <= whole?.known ?? end.partialValue else {
        throw Diagnostic(
          "", operand: "size",
          required: "extents of 0 or more that stay within the array, whose extent along axis \(axis) is "
            + (whole?.description ?? "?"), found: "\(count) from \(begin?.description ?? "?")")
      }
    }
    return size
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let (x, begin) = (g.operands[0], g.operands[1])
    if let start = begin.operand.integers, let whole = x.shape.known, let block = g.dy.shape.known {
      let paddings = zip(start, zip(whole, block)).map { ($0, $1.0 - $0 - $1.1) }
      return [.dense(pad(g.dy, paddings)), .none, .none]
    }
    let type = begin.elementType
    let rest = shape(of: x, type: type) - shape(of: g.dy, type: type)
    guard begin.operand.elements != nil else {
      // Shapes must not depend on where the block begins: what is behind the gradient with zeros all around.
      let around = pad(g.dy, paddings: stack([rest, rest], axis: 1))
      return [.dense(slice(around, begin: rest - begin, size: shape(of: x, type: type))), .none, .none]
    }
    let after = rest - begin
    return [.dense(pad(g.dy, paddings: stack([begin, after], axis: 1))), .none, .none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    guard let begin = l.operands[1].integers else { return try movingBlock(l) }
    _ = try l.integers(2, "size")
    let type = l.operandTypes[0]
    var b = l.builder()
    let result = b.map("Slice", type.elementType, l.resultShape(0)) { b, axes in
      let indices = zip(axes, begin).map { axis, start in start == 0 ? axis : b.add(axis, b.integer(start)) }
      return b.load(.input(0), type.elementType, at: indices)
    }
    let taken = zip(begin, l.resultShape(0)).map { SlicedAxis(first: $0, count: $1, step: 1) }
    return l.sliced(taken, b.finish([result]))
  }

  /// A block that begins where a run says.
  private func movingBlock(_ l: LoweringContext) throws(Diagnostic) -> Lowering {
    let size = try l.integers(2, "size")
    // What reaches to the end has another extent for each beginning.
    if size.contains(-1) { _ = try l.integers(1, "begin") }
    let (type, indexType) = (l.operandTypes[0], l.operandTypes[1].elementType)
    var b = l.builder()
    let result = b.map("Slice", type.elementType, size) { b, axes in
      let indices = axes.indices.map { i in
        let begin = b.cast(b.load(.input(1), indexType, at: [b.integer(i)]), to: .int64)
        return b.add(axes[i], b.checkIndex(begin, extent: type.extents[i] - size[i] + 1))
      }
      return b.load(.input(0), type.elementType, at: indices)
    }
    return .compute(b.finish([result]))
  }
}

/// What a slice takes along one axis of an array.
struct SlicedAxis {
  var first: Int
  var count: Int
  var step: Int
}

extension LoweringContext {
  /// A slice of operand 0, which takes `taken` along its axes: a part if its elements stand side by side, else a view.
  func sliced(_ taken: [SlicedAxis], _ program: StageProgram) -> Lowering {
    let source = operandTypes[0]
    guard source.elementType.isComputable, results[0].shape.known?.contains(0) == false else { return .view(program) }
    var offset = 0
    var isWhole = true
    // From the innermost axis outwards: whole axes, then a range, then single positions.
    var stride = source.elementType.byteWidth
    for (axis, extent) in zip(taken, source.extents).reversed() {
      guard axis.count == 1 || (isWhole && axis.step == 1) else { return .view(program) }
      offset += axis.first * stride
      isWhole = isWhole && axis.count == extent
      stride *= extent
    }
    if isWhole { return .reshape(program) }
    return offset % Lowering.partAlignment == 0 ? .part(offset: offset, program) : .view(program)
  }
}

extension Shape {
  /// The shape, if it does not have more dimensions than any array may have.
  func checkedRank(_ operand: String) throws(Diagnostic) -> Shape {
    _ = try Shape.unknown(ofRank: rank ?? 0, operand)
    return self
  }
}

/// The block of an array that starts at `begin` and has the extents `size`; an extent of −1 reaches to the end.
public func slice(_ x: Output, begin: [Int], size: [Int], name: String? = nil) -> Output {
  let type: ElementType = (begin + size).allSatisfy { Int32(exactly: $0) != nil } ? .int32 : .int64
  func vector(_ values: [Int]) -> Output { x.graph.constant(Tensor(values, shape: [values.count], as: type)) }
  return slice(x, begin: vector(begin), size: vector(size), name: name)
}

/// The block of an array that starts at `begin` and has the extents `size`, vectors of integers.
public func slice(_ x: Output, begin: Output, size: Output, name: String? = nil) -> Output {
  x.graph.addOne(SliceOperation(), [x, begin, size], name: name)
}
