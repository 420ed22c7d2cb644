import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Arrays of one shape put beside each other along a new axis, counted in the result.
public struct Pack: Operation {
  public var axis = 0
  public init() {}
  public init(axis: Int) { self.axis = axis }
  public static let schema = Schema("Pack", inputs: ["values": "N*T"], outputs: ["output": "T"], types: ["T": .any])
  public static let attributeTable: AttributeTable<Pack> = [AttributeField("axis", \.axis)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard let first = operands.first else {
      throw Diagnostic("", operand: "values", required: "at least one array", found: "none")
    }
    var shape = first.shape
    for (i, operand) in operands.enumerated().dropFirst() {
      guard let both = shape.merged(with: operand.shape) else {
        throw Diagnostic(
          "the arrays have different shapes", operand: "values[\(i)]", required: "the shape \(shape)",
          found: "\(operand.type)")
      }
      shape = both
    }
    let type = first.elementType ?? .float32
    guard var extents = shape.dimensions else { return [Inference(type, .unknown)] }
    let place = try normalizedAxis(axis, rank: extents.count + 1, "axis")
    extents.insert(Dimension(operands.count), at: place)
    return [Inference(type, Shape(extents), known: known(operands, extents, place))]
  }

  private func known(_ operands: [Operand], _ extents: [Dimension], _ place: Int) -> KnownValue? {
    guard extents.count <= 2, let shape = Shape(extents).known,
      shape.reduce(1, *) <= KnownValue.maximumCount, operands.contains(where: { $0.known != nil })
    else { return nil }
    let length = shape.reduce(1, *) / max(operands.count, 1)
    let parts = operands.map { $0.known?.elements ?? (0..<length).map { _ in .fresh() } }
    // Along the second axis, the first elements of all come first.
    let elements = place == 0 ? parts.flatMap { $0 } : (0..<length).flatMap { i in parts.map { $0[i] } }
    return KnownValue(elements, shape: shape)
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    unstack(g.dy, count: g.operands.count, axis: axis).map { .dense($0) }
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let extents = l.resultShape(0)
    let place = try normalizedAxis(axis, rank: extents.count, "axis")
    let count = l.operands.count
    let isJoin = l.isJoin(of: count, axis: place)
    if count > joinWidth {
      if isJoin, l.resultCount(0) > joinLimit { return .join(count: count, nil) }
      return joinInGroups(count, axis: place) { stack($0, axis: place) }
    }
    let type = l.results[0].elementType
    var b = l.builder()
    let result = b.map("Pack", type, extents) { b, axes in
      var indices = axes
      indices.remove(at: place)
      var value: Scalar?
      for i in (0..<count).reversed() {
        let isChosen = b.equal(axes[place], b.integer(i))
        let element = b.load(.input(i), type, at: indices, if: isChosen)
        value = value.map { b.select(isChosen, element, $0) } ?? element
      }
      return value ?? b.constant(0, type)
    }
    let program = b.finish([result])
    return isJoin ? .join(count: count, program) : .compute(program)
  }
}

/// The arrays of which an array is made up along an axis, without that axis.
public struct Unpack: Operation {
  public var count = 1
  public var axis = 0
  public init() {}
  public init(count: Int, axis: Int) { (self.count, self.axis) = (count, axis) }
  public static let schema = Schema("Unpack", inputs: ["value": "T"], outputs: ["output": "num*T"], types: ["T": .any])
  public static let attributeTable: AttributeTable<Unpack> = [
    AttributeField("num", \.count), AttributeField("axis", \.axis),
  ]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    try checkPartCount(count, "num", atLeast: 0)
    let value = operands[0]
    let type = value.elementType ?? .float32
    guard var extents = value.shape.dimensions else { return Array(repeating: Inference(type, .unknown), count: count) }
    let place = try normalizedAxis(axis, rank: extents.count, "axis")
    if let extent = extents.remove(at: place).known, extent != count {
      throw Diagnostic("", operand: "value", required: "extent \(count) along axis \(axis)", found: "\(value.type)")
    }
    return (0..<count).map { i in
      var known: KnownValue?
      if let all = value.known, let shape = Shape(extents).known {
        let length = all.elements.count / count
        if place == 0 {
          known = KnownValue(Array(all.elements[i * length..<(i + 1) * length]), shape: shape)
        } else if shape.count == 1 {
          known = KnownValue((0..<length).map { all.elements[$0 * count + i] }, shape: shape)
        }
      }
      return Inference(type, Shape(extents), known: known)
    }
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    guard !g.results.isEmpty else { return [.none] }
    return [.dense(stack(zip(g.upstream, g.results).map { $0 ?? zerosLike($1) }, axis: axis))]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let extents = l.operandShape(0)
    let place = try normalizedAxis(axis, rank: extents.count, "axis")
    guard extents[place] == count else {
      throw Diagnostic(
        "", operand: "value", required: "extent \(count) along axis \(axis)", found: "\(l.operands[0].type)")
    }
    let count = count
    return .composite { expansion throws(Diagnostic) in
      let x = expansion.operands[0]
      return (0..<count).map { i in
        var begin = [Int](repeating: 0, count: extents.count)
        var size = extents
        begin[place] = i
        size[place] = 1
        return squeeze(slice(x, begin: begin, size: size), axes: [place])
      }
    }
  }
}

/// Arrays of one shape put beside each other along a new axis, counted in the result.
///
/// - Precondition: There is at least one array.
public func stack(_ values: [Output], axis: Int = 0, name: String? = nil) -> Output {
  precondition(!values.isEmpty, "stack needs at least one array")
  return values[0].graph.addOne(Pack(axis: axis), values, name: name)
}

/// The arrays of which `x` is made up along `axis`, without that axis.
///
/// - Parameter count: how many there are, where the extent is not known while the graph is built.
public func unstack(_ x: Output, count: Int? = nil, axis: Int = 0, name: String? = nil) -> [Output] {
  var extent: Int?
  if let rank = x.rank, axis >= -rank, axis < rank { extent = x.shape[axis].known }
  return x.graph.add(Unpack(count: count ?? extent ?? -1, axis: axis), [x], name: name)
}
