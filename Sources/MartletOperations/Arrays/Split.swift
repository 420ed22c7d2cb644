import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// An array cut along an axis into parts of equal extent.
public struct Split: Operation {
  public var count = 1
  public init() {}
  public init(count: Int) { self.count = count }
  public static let schema = Schema(
    "Split", inputs: ["split_dim": "int32", "value": "T"], outputs: ["output": "num_split*T"], types: ["T": .any])
  public static let attributeTable: AttributeTable<Split> = [AttributeField("num_split", \.count)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let value = operands[1]
    try checkPartCount(count, "num_split")
    let type = value.elementType ?? .float32
    let axis = try operands[0].axis(of: value.shape.rank, "split_dim")
    guard var extents = value.shape.dimensions else { return Array(repeating: Inference(type, .unknown), count: count) }
    guard let axis else {
      let shape = Shape(unknownOfRank: extents.count)
      return Array(repeating: Inference(type, shape), count: count)
    }
    if let extent = extents[axis].known, extent % count != 0 {
      throw Diagnostic(
        "", operand: "value", required: "an extent along axis \(axis) that \(count) divides", found: "\(value.type)",
        hint: "cut into parts of different extents with split(_:sizes:axis:)")
    }
    extents[axis] = extents[axis].floorDivided(by: count)
    return (0..<count).map { i in
      var known: KnownValue?
      if extents.count == 1, let elements = value.known?.elements {
        let length = elements.count / count
        known = KnownValue(vector: Array(elements[i * length..<(i + 1) * length]))
      }
      return Inference(type, Shape(extents), known: known)
    }
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.none, .dense(try joinedUpstreams(g, axis: g.operands[0]))]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let extents = l.operandShape(1)
    let axis = try l.axis(0, of: extents.count, "split_dim")
    return parts(of: 1, extents, axis: axis, sizes: Array(repeating: extents[axis] / count, count: count))
  }
}

/// An array cut along an axis into parts of the extents listed; one of them may be −1, and is what remains.
public struct SplitV: Operation {
  public var count = 1
  public init() {}
  public init(count: Int) { self.count = count }
  public static let schema = Schema(
    "SplitV", inputs: ["value": "T", "size_splits": "Tlen", "split_dim": "int32"],
    outputs: ["output": "num_split*T"], types: ["T": .any, "Tlen": .index])
  public static let attributeTable: AttributeTable<SplitV> = [AttributeField("num_split", \.count)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let value = operands[0]
    try checkPartCount(count, "num_split")
    let type = value.elementType ?? .float32
    let axis = try operands[2].axis(of: value.shape.rank, "split_dim")
    let vector = try operands[1].shape(ofRank: 1, "size_splits")
    if let length = vector[0].known, length != count {
      throw Diagnostic("", operand: "size_splits", required: "\(count) extents", found: "\(operands[1].type)")
    }
    guard var extents = value.shape.dimensions else { return Array(repeating: Inference(type, .unknown), count: count) }
    guard let axis else { return (0..<count).map { _ in Inference(type, Shape(unknownOfRank: extents.count)) } }
    guard let elements = operands[1].elements else {
      return (0..<count).map { _ in
        extents[axis] = .fresh()
        return Inference(type, Shape(extents))
      }
    }
    let sizes = try Self.sizes(elements, of: extents[axis])
    var start = 0
    return sizes.map { size in
      var known: KnownValue?
      extents[axis] = size
      if extents.count == 1, let elements = value.known?.elements, let length = size.known,
        start + length <= elements.count
      {
        known = KnownValue(vector: Array(elements[start..<start + length]))
        start += length
      }
      return Inference(type, Shape(extents), known: known)
    }
  }

  /// The extents with the rest in the place of −1.
  private static func sizes(_ listed: [Dimension], of extent: Dimension) throws(Diagnostic) -> [Dimension] {
    func mistake() -> Diagnostic {
      Diagnostic(
        "", operand: "size_splits", required: "extents that add up to \(extent), with -1 at most once",
        found: "\(listed)")
    }
    let open = listed.indices.filter { listed[$0].known == -1 }
    guard open.count <= 1, listed.allSatisfy({ ($0.known ?? 0) >= -1 }) else { throw mistake() }
    var sizes = listed
    for i in open { sizes[i] = 0 }
    let rest = extent - sizes.reduce(0, +)
    if let rest = rest.known, open.isEmpty ? rest != 0 : rest < 0 { throw mistake() }
    for i in open { sizes[i] = rest }
    return sizes
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(try joinedUpstreams(g, axis: g.operands[2])), .none, .none]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let extents = l.operandShape(0)
    let axis = try l.axis(2, of: extents.count, "split_dim")
    let listed = try l.integers(1, "size_splits")
    let sizes = try Self.sizes(listed.map { Dimension($0) }, of: Dimension(extents[axis]))
    return parts(of: 0, extents, axis: axis, sizes: sizes.compactMap(\.known))
  }
}

/// Throws unless a number of parts is one that an array can be cut into.
func checkPartCount(_ count: Int, _ attribute: String, atLeast least: Int = 1) throws(Diagnostic) {
  guard count >= least, count <= Int(UInt16.max) else {
    throw Diagnostic("attribute '\(attribute)' must lie between \(least) and \(UInt16.max)", found: "\(count)")
  }
}

/// The cotangents of the parts of an array, joined again; zeros for parts that have none.
private func joinedUpstreams(_ g: GradientContext, axis: Output) throws(Diagnostic) -> Output {
  let parts = zip(g.upstream, g.results).map { upstream, result in upstream ?? zerosLike(result) }
  return g.graph.addOne(ConcatV2(), parts + [axis])
}

/// Slices of an operand, one behind the other along an axis.
private func parts(of operand: Int, _ extents: [Int], axis: Int, sizes: [Int]) -> Lowering {
  .composite { expansion throws(Diagnostic) in
    var begin = [Int](repeating: 0, count: extents.count)
    var size = extents
    return sizes.map { extent in
      size[axis] = extent
      defer { begin[axis] += extent }
      return slice(expansion.operands[operand], begin: begin, size: size)
    }
  }
}

/// An array cut along `axis` into `count` parts of equal extent.
public func split(_ x: Output, into count: Int, axis: Int, name: String? = nil) -> [Output] {
  x.graph.add(Split(count: count), [x.graph.constant(axis, .int32), x], name: name)
}

/// An array cut along `axis` into parts of the extents listed; one of them may be −1, and is what remains.
public func split(_ x: Output, sizes: [Int], axis: Int, name: String? = nil) -> [Output] {
  split(x, sizes: x.vector(sizes), count: sizes.count, axis: axis, name: name)
}

/// An array cut along `axis` into `count` parts, of the extents that a vector lists.
public func split(_ x: Output, sizes: Output, count: Int, axis: Int, name: String? = nil) -> [Output] {
  x.graph.add(SplitV(count: count), [x, sizes, x.graph.constant(axis, .int32)], name: name)
}
