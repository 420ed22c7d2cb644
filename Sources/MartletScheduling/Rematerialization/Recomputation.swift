import MartletDiagnostics
import MartletGraph
import MartletLoopIR

/// A function in which some values are computed a second time, right before they are needed again, instead of being kept
/// over the busiest step. Of a kernel with several results only the needed one is computed again.
struct Recomputation {
  private let function: GraphFunction
  private let lifetimes: Lifetimes
  private let busiest: Int
  /// The values that are dropped, by index, and where they are needed again.
  private var dropped: [Int: Int] = [:]
  /// What has to be computed again on the way to a dropped value.
  private var between: Set<Int> = []
  /// The values from which others are computed again: they are kept.
  private var kept: Set<Int> = []
  /// For results of kernels with several, the part that computes them alone.
  private var parts: [ValueID: KernelPart] = [:]

  private struct KernelPart {
    var program: StageProgram
    var operands: [ValueID]
  }

  /// - Parameter byteCount: how much less memory should be in use at the busiest step; it may become less than that.
  /// - Returns: the function and how many nodes it runs again; nil if nothing can be dropped.
  static func reducing(
    _ function: GraphFunction, library: FunctionLibrary, by byteCount: Int
  ) throws(Diagnostic) -> (function: GraphFunction, count: Int)? {
    let lifetimes = try Lifetimes(function)
    guard let busiest = lifetimes.busiestPosition() else { return nil }
    var recomputation = Recomputation(function: function, lifetimes: lifetimes, busiest: busiest)
    recomputation.choose(byteCount)
    return recomputation.dropped.isEmpty ? nil : try recomputation.rebuilt(library)
  }

  private init(function: GraphFunction, lifetimes: Lifetimes, busiest: Int) {
    (self.function, self.lifetimes, self.busiest) = (function, lifetimes, busiest)
  }

  // MARK: Choosing

  /// A way to have a value again.
  private struct Way {
    var value: Int
    var nextUse: Int
    /// The values that are computed again for it, itself left out.
    var between: [Int] = []
    /// What these are computed from.
    var sources: [Int] = []
    var seconds = 0.0
    /// The bytes that are free meanwhile.
    var byteCount: Int
  }

  private mutating func choose(_ byteCount: Int) {
    var ways: [Way] = []
    for value in lifetimes.lifetimes.indices { if let way = way(to: value) { ways.append(way) } }
    ways.sort { ($0.seconds / Double($0.byteCount), $0.value) < ($1.seconds / Double($1.byteCount), $1.value) }
    var saved = 0
    for candidate in ways where saved < byteCount {
      // What has been chosen before may be in the way.
      guard !kept.contains(candidate.value), let way = way(to: candidate.value) else { continue }
      dropped[way.value] = way.nextUse
      between.formUnion(way.between)
      kept.formUnion(way.sources)
      saved += way.byteCount
    }
  }

  /// How to drop a value at the busiest step and to have it again; nil if it is needed there or cannot be had again.
  private mutating func way(to value: Int) -> Way? {
    guard let lifetime = lifetimes.lifetimes[value], let definition = lifetime.definition, definition < busiest,
      !lifetime.uses.contains(busiest), let next = lifetime.uses.first(where: { $0 > busiest }), lifetime.byteCount > 0
    else { return nil }
    var way = Way(value: value, nextUse: next, byteCount: lifetime.byteCount)
    guard extend(&way, by: value, depth: 0), way.byteCount > 0 else { return nil }
    return way
  }

  /// Adds what the computation of `value` takes where `way` ends.
  private mutating func extend(_ way: inout Way, by value: Int, depth: Int) -> Bool {
    let node = function.body.producer(of: ValueID(value))
    guard let cost = lifetimes.costs[Int(node.index)], depth < Self.longestWay else { return false }
    way.seconds += cost
    for operand in operands(for: ValueID(value)) {
      let source = Int(lifetimes.roots[Int(operand.index)].index)
      guard let lifetime = lifetimes.lifetimes[source], lifetime.definition != nil, !way.between.contains(source) else {
        continue
      }
      let isThere = (lifetime.uses.last ?? 0) >= way.nextUse && dropped[source] == nil
      if isThere || lifetime.byteCount * Self.smallFraction <= way.byteCount && dropped[source] == nil {
        if !isThere { way.byteCount -= lifetime.byteCount }
        way.sources.append(source)
      } else {
        way.between.append(source)
        guard extend(&way, by: source, depth: depth + 1) else { return false }
      }
    }
    return true
  }

  /// What a value is computed from.
  private mutating func operands(for value: ValueID) -> [ValueID] {
    let body = function.body
    let node = body.producer(of: value)
    let operands = body.operands(of: node)
    let results = body.results(of: node)
    guard results.count > 1, let kernel = body.operation(of: node) as? FusedKernel,
      let output = results.firstIndex(of: value)
    else { return Array(operands) }
    if let known = parts[value] { return known.operands }
    let (program, inputs) = kernel.program.restricted(toOutput: output)
    let part = KernelPart(program: program, operands: inputs.map { operands[$0] })
    parts[value] = part
    return part.operands
  }

  /// The most values in a row that are computed again for one.
  private static let longestWay = 8
  /// A source smaller than this part of a value may be kept for it.
  private static let smallFraction = 8

  // MARK: Rebuilding

  private func rebuilt(_ library: FunctionLibrary) throws(Diagnostic) -> (function: GraphFunction, count: Int) {
    var positions: [NodeID: Int] = [:]
    for (position, node) in lifetimes.order.enumerated() { positions[node] = position }
    var copies = Copies(self)
    var rebuilder = GraphRebuilder(function, library: library)
    let result = try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
      let ids = function.body.operands(of: node)
      let position = positions[node] ?? 0
      guard ids.contains(where: { isDropped($0, at: position) }) else { return nil }
      var changed = operands
      for (i, id) in ids.enumerated() where isDropped(id, at: position) { changed[i] = copies.copy(of: id, &rebuilder) }
      return rebuilder.insertCopy(
        of: node, as: function.body.operation(of: node), changed, name: function.body.name(of: node), isControlled: true
      )
    }
    return (result, copies.count)
  }

  private func isDropped(_ value: ValueID, at position: Int) -> Bool {
    // Aliases are followed to where the memory is used; they themselves stay with the first computation.
    guard let next = dropped[Int(lifetimes.roots[Int(value.index)].index)] else { return false }
    return position >= next
  }

  /// Second computations, each made once.
  private struct Copies {
    let recomputation: Recomputation
    private var values: [ValueID: Output] = [:]
    private(set) var count = 0
    private var kernelNumber = 0

    init(_ recomputation: Recomputation) {
      self.recomputation = recomputation
      for node in recomputation.lifetimes.order {
        guard let kernel = recomputation.function.body.operation(of: node) as? FusedKernel else { continue }
        kernelNumber = max(kernelNumber, kernel.number)
      }
    }

    mutating func copy(of value: ValueID, _ rebuilder: inout GraphRebuilder) -> Output {
      if let known = values[value] { return known }
      let body = recomputation.function.body
      let node = body.producer(of: value)
      let part = recomputation.parts[value]
      var operands: [Output] = []
      for operand in part?.operands ?? Array(body.operands(of: node)) {
        let root = Int(recomputation.lifetimes.roots[Int(operand.index)].index)
        let isCopied = recomputation.dropped[root] != nil || recomputation.between.contains(root)
        operands.append(isCopied ? copy(of: operand, &rebuilder) : rebuilder.map(operand))
      }
      var operation = body.operation(of: node)
      if let part, let kernel = operation as? FusedKernel {
        kernelNumber += 1
        operation = FusedKernel(number: kernelNumber, label: kernel.label, program: part.program)
      }
      let results = rebuilder.insertCopy(
        of: node, as: operation, operands, name: body.name(of: node) + "/again", isControlled: false)
      for (old, new) in zip(part == nil ? Array(body.results(of: node)) : [value], results) { values[old] = new }
      if recomputation.lifetimes.costs[Int(node.index)] != nil { count += 1 }
      return values[value]!
    }
  }
}

extension GraphRebuilder {
  /// Adds a node of the source with other operands, or a part of what it does.
  fileprivate func insertCopy(
    of node: NodeID, as operation: any Operation, _ operands: [Output], name: String, isControlled: Bool
  ) -> [Output] {
    let body = source.body
    return graph.insert(
      operation, operands, name: name, controls: isControlled ? controls(of: node) : [],
      site: body.site(of: node), scope: body.scope(of: node)
    ).outputs
  }
}
