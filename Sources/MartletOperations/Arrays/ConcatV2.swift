import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Arrays put one behind the other along an axis.
public struct ConcatV2: Operation {
  public init() {}
  public static let schema = Schema(
    "ConcatV2", inputs: ["values": "N*T", "axis": "Tidx"], outputs: ["output": "T"],
    types: ["T": .any, "Tidx": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let values = operands.dropLast()
    guard let first = values.first else {
      throw Diagnostic("", operand: "values", required: "at least one array", found: "none")
    }
    let type = first.elementType ?? .float32
    // One operand of known rank decides the rank of all.
    let rank = values.lazy.compactMap(\.shape.rank).first
    let axis = try operands[operands.count - 1].axis(of: rank, "axis")
    guard let rank else { return [Inference(type, .unknown)] }
    guard let axis else { return [Inference(type, Shape(unknownOfRank: rank))] }

    var shape = Shape(unknownOfRank: rank)
    var total = Dimension(0)
    for (i, operand) in values.enumerated() {
      guard var extents = operand.shape.dimensions else {
        total = .fresh()
        continue
      }
      func mismatch() -> Diagnostic {
        var found = shape.dimensions ?? []
        found[axis] = .fresh()
        return Diagnostic(
          "the arrays differ beside axis \(axis)", operand: "values[\(i)]",
          required: i == 0 ? "\(rank) dimensions" : "a shape that goes with \(Shape(found))", found: "\(operand.type)")
      }
      guard extents.count == rank else { throw mismatch() }
      total += extents[axis]
      extents[axis] = shape[axis]
      guard let both = i == 0 ? Shape(extents) : shape.merged(with: Shape(extents)) else { throw mismatch() }
      shape = both
    }
    var extents = shape.dimensions ?? []
    extents[axis] = total
    return [Inference(type, Shape(extents), known: known(values, axis: axis))]
  }

  private func known(_ values: ArraySlice<Operand>, axis: Int) -> KnownValue? {
    guard values.contains(where: { $0.known != nil }) else { return nil }
    var elements: [Dimension] = []
    for operand in values {
      guard let extents = operand.shape.known, extents.count == 1, extents[0] <= KnownValue.maximumCount else {
        return nil
      }
      elements += operand.known?.elements ?? (0..<extents[0]).map { _ in .fresh() }
      guard elements.count <= KnownValue.maximumCount else { return nil }
    }
    return KnownValue(vector: elements)
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let values = g.operands.dropLast()
    let axis = g.operands[g.operands.count - 1]
    guard values.count > 1 else { return [.dense(g.dy), .none] }
    guard let rank = g.results[0].rank, let place = axis.operand.integer else {
      throw Diagnostic(
        "the gradient of ConcatV2 needs the rank and the axis to be known", found: "\(g.results[0].type)")
    }
    let i = try normalizedAxis(place, rank: rank, "axis")
    let extents = values.compactMap { $0.rank == nil ? nil : $0.shape[i].known }
    let sizes =
      extents.count == values.count
      ? axis.vector(extents) : stack(values.map { shape(of: $0)[i] }, axis: 0)
    return split(g.dy, sizes: sizes, count: values.count, axis: i).map { .dense($0) } + [.none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let count = l.operands.count - 1
    let axis = try l.axis(count, of: l.resultShape(0).count, "axis")
    let isJoin = l.isJoin(of: count, axis: axis)
    if count > joinWidth {
      if isJoin, l.resultCount(0) > joinLimit { return .join(count: count, nil) }
      return joinInGroups(count, axis: axis) { concat($0, axis: axis) }
    }
    let types = l.operandTypes
    let type = l.results[0].elementType
    var b = l.builder()
    let result = b.map("ConcatV2", type, l.resultShape(0)) { b, axes in
      var end = types[..<count].reduce(0) { $0 + $1.extents[axis] }
      var value: Scalar?
      for i in (0..<count).reversed() where types[i].extents[axis] > 0 {
        let start = end - types[i].extents[axis]
        var indices = axes
        if start > 0 { indices[axis] = b.subtract(axes[axis], b.integer(start)) }
        let isBefore = b.less(axes[axis], b.integer(end))
        let isInside = b.and(b.lessEqual(b.integer(start), axes[axis]), isBefore)
        let element = b.load(.input(i), type, at: indices, if: isInside)
        value = value.map { b.select(isBefore, element, $0) } ?? element
        end = start
      }
      return value ?? b.constant(0, type)
    }
    let program = b.finish([result])
    return isJoin ? .join(count: count, program) : .compute(program)
  }
}

/// As many arrays are joined in one kernel; more are joined in groups first.
let joinWidth = 32

/// More arrays than a kernel joins stay one operation if the result has more elements.
let joinLimit = 4096

extension LoweringContext {
  /// Whether the bytes of the first `count` operands stand one behind the other in a result that joins them along `axis`,
  /// each beginning where memory of its own could begin.
  func isJoin(of count: Int, axis: Int) -> Bool {
    guard count > 1, results[0].elementType.isComputable, resultShape(0).prefix(axis).allSatisfy({ $0 == 1 }) else {
      return false
    }
    let width = results[0].elementType.byteWidth
    let counts = operandTypes.prefix(count).map(\.elementCount)
    return counts.allSatisfy { $0 > 0 } && counts.dropLast().allSatisfy { $0 * width % Lowering.partAlignment == 0 }
  }

  /// The elements of a result.
  func resultCount(_ i: Int) -> Int { resultShape(i).reduce(1, *) }
}

/// The lowering of an operation that joins very many arrays: groups of them, then the groups.
func joinInGroups(_ count: Int, axis: Int, _ join: @escaping @Sendable ([Output]) -> Output) -> Lowering {
  .composite { expansion throws(Diagnostic) in
    var groups: [Output] = []
    for start in stride(from: 0, to: count, by: joinWidth) {
      groups.append(join(Array(expansion.operands[start..<min(start + joinWidth, count)])))
    }
    return [concat(groups, axis: axis)]
  }
}

/// Arrays put one behind the other along `axis`; a negative axis counts from the end.
///
/// - Precondition: There is at least one array.
public func concat(_ values: [Output], axis: Int, name: String? = nil) -> Output {
  precondition(!values.isEmpty, "concat needs at least one array")
  return values[0].graph.addOne(ConcatV2(), values + [values[0].integer(axis)], name: name)
}
