import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// Who uses the values of a function.
struct ValueUses {
  private var counts: [Int]
  private var nodes: [ValueID: [NodeID]] = [:]

  init(_ function: GraphFunction, _ order: [NodeID]) {
    let body = function.body
    counts = Array(repeating: 0, count: body.valueCount)
    for node in order {
      for operand in body.operands(of: node) {
        counts[Int(operand.index)] += 1
        if nodes[operand]?.last != node { nodes[operand, default: []].append(node) }
      }
      for control in body.controls(of: node) {
        for result in body.results(of: control) { counts[Int(result.index)] += 1 }
      }
    }
    // A result of the function counts twice, so that it is no inner value.
    for result in function.results { counts[Int(body.resolve(result).index)] += 2 }
  }

  /// How often a value is used, controls and results of the function included.
  func count(_ value: ValueID) -> Int { counts[Int(value.index)] }

  /// The nodes that have the value as an operand, each once.
  func users(_ value: ValueID) -> [NodeID] { nodes[value] ?? [] }

  /// The only use of a value.
  func sole(_ value: ValueID) -> NodeID? { count(value) == 1 ? users(value).first : nil }
}

/// Where the elements of stacks of matrices lie: transposes and reshapes in front of a product, and behind it, become
/// distances in memory.
struct MatrixViews {
  /// A dimension and the distance of neighbours along it; 0 where all are the same.
  struct Axis: Equatable {
    var extent: Int
    var stride: Int
  }

  /// Memory, and the distances along the axes of the stack that is seen in it.
  struct View {
    var value: ValueID
    /// The axes in front of the matrices'.
    var outer: [Axis]
    var row: Int
    var column: Int
    /// What its elements are multiplied with.
    var factor = 1.0
    /// What makes the view.
    var nodes: [NodeID] = []

    /// With rows and columns exchanged.
    func transposed(_ isTransposed: Bool) -> View {
      var view = self
      if isTransposed { swap(&view.row, &view.column) }
      return view
    }
  }

  let body: GraphStorage
  let uses: ValueUses

  func extents(_ value: ValueID) -> [Int]? { body.type(of: value).shape.known }

  /// The value as it stands.
  func dense(_ value: ValueID) -> View? {
    guard let extents = extents(value), extents.count >= 2 else { return nil }
    return view(value, extents, Self.strides(extents))
  }

  private func view(_ value: ValueID, _ extents: [Int], _ strides: [Int]) -> View {
    let count = extents.count
    return View(
      value: value, outer: zip(extents, strides).dropLast(2).map { Axis(extent: $0, stride: $1) },
      row: strides[count - 2], column: strides[count - 1])
  }

  static func strides(_ extents: [Int]) -> [Int] {
    var strides = Array(repeating: 1, count: extents.count)
    for i in extents.indices.dropLast().reversed() { strides[i] = strides[i + 1] * extents[i + 1] }
    return strides
  }

  /// What a stack of matrices is read from: behind a transpose, and factors if those are wanted.
  func read(_ value: ValueID, throughFactors: Bool) -> View? {
    guard let plain = dense(value) else { return nil }
    var (nodes, factor, value) = ([NodeID](), 1.0, value)
    while body.controls(of: body.producer(of: value)).isEmpty {
      let node = body.producer(of: value)
      let operands = body.operands(of: node)
      if keepsMatrices(node) {
        value = operands[0]
      } else if body.operation(of: node) is Mul, throughFactors,
        let (number, other) = split(operands, by: { body.number($0) }), body.type(of: other) == body.type(of: value)
      {
        (factor, value) = (factor * number, other)
      } else if body.operation(of: node) is Transpose, let permutation = body.operand(operands[1]).integers,
        let source = extents(operands[0]), let extents = extents(value), permutation.allSatisfy({ $0 >= 0 })
      {
        let strides = Self.strides(source)
        var view = view(operands[0], extents, permutation.map { strides[$0] })
        (view.factor, view.nodes) = (factor, nodes + [node])
        return view
      } else {
        break
      }
      nodes.append(node)
    }
    guard factor != 1, var view = dense(value) else { return plain }
    (view.factor, view.nodes) = (factor, nodes)
    return view
  }

  /// Where a stack of matrices is written: as the only transpose that uses it wants it, if rows stay in one piece.
  ///
  /// - Parameter isTransposed: whether it is the columns that must stay in one piece.
  func written(_ value: ValueID, isTransposed: Bool = false) -> View? {
    guard let plain = dense(value) else { return nil }
    var (nodes, value) = ([NodeID](), value)
    while let node = uses.sole(value), body.controls(of: node).isEmpty, body.operands(of: node)[0] == value {
      nodes.append(node)
      if keepsMatrices(node) {
        value = body.results(of: node)[0]
        continue
      }
      guard body.operation(of: node) is Transpose, let extents = extents(value),
        let permutation = body.operand(body.operands(of: node)[1]).integers, permutation.allSatisfy({ $0 >= 0 })
      else { break }
      let moved = Self.strides(permutation.map { extents[$0] })
      var strides = moved
      for (i, axis) in permutation.enumerated() { strides[axis] = moved[i] }
      var view = view(body.results(of: node)[0], extents, strides)
      guard (isTransposed ? view.row : view.column) == 1 else { break }
      view.nodes = nodes
      return view
    }
    return plain
  }

  /// Whether a node only groups the axes in front of its operand's matrices anew.
  private func keepsMatrices(_ node: NodeID) -> Bool {
    guard body.operation(of: node) is Reshape, let source = extents(body.operands(of: node)[0]),
      let target = extents(body.results(of: node)[0]), source.count >= 2, target.count >= 2
    else { return false }
    return source.suffix(2) == target.suffix(2) && !source.contains(0)
  }

  /// The operand for which `property` is something, and the other one.
  func split<T>(_ operands: [ValueID], by property: (ValueID) -> T?) -> (T, ValueID)? {
    if let found = property(operands[1]) { return (found, operands[0]) }
    return property(operands[0]).map { ($0, operands[1]) }
  }
}

/// How the axes in front of matrices are counted: as a batch of heads.
struct HeadAxes {
  var batch: Int
  var heads: Int

  /// - Parameters:
  ///   - count: how many matrices there are.
  ///   - views: those of which the first that has two such axes decides.
  init(count: Int, _ views: [[MatrixViews.Axis]]) {
    (batch, heads) = (1, count)
    guard let axes = views.lazy.map({ Self.joined($0) }).first(where: { $0.count == 2 }) else { return }
    (batch, heads) = (axes[0].extent, axes[1].extent)
  }

  /// The distances of a view; nil if its axes are others.
  func strides(_ view: MatrixViews.View) -> Attention.Strides? {
    let axes = Self.joined(view.outer)
    func strides(_ batch: Int, _ head: Int) -> Attention.Strides {
      Attention.Strides(batch: batch, head: head, row: view.row, column: view.column)
    }
    switch axes.count {
    case 0: return strides(0, 0)
    case 1: return strides(axes[0].stride * heads, axes[0].stride)
    case 2: return axes.map(\.extent) == [batch, heads] ? strides(axes[0].stride, axes[1].stride) : nil
    default: return nil
    }
  }

  /// The axes, neighbours joined where they can be counted as one.
  private static func joined(_ axes: [MatrixViews.Axis]) -> [MatrixViews.Axis] {
    var result: [MatrixViews.Axis] = []
    for axis in axes where axis.extent != 1 {
      if let last = result.last, last.stride == axis.stride * axis.extent {
        result[result.count - 1] = MatrixViews.Axis(extent: last.extent * axis.extent, stride: axis.stride)
      } else {
        result.append(axis)
      }
    }
    return result
  }
}

extension GraphStorage {
  /// The element of a constant that has only one, or the same everywhere.
  func number(_ value: ValueID) -> Double? {
    let node = producer(of: value)
    if operation(of: node) is Fill { return number(operands(of: node)[1]) }
    if operation(of: node) is BroadcastTo { return number(operands(of: node)[0]) }
    guard let constant = operand(value).constant, constant.elementCount == 1, constant.type.elementType == .float32
    else { return nil }
    return constant.tensor.scalars(as: Float.self).first.map { Double($0) }
  }
}
