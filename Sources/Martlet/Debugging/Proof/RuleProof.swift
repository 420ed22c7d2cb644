import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors

/// Runs the expression that a rule replaces, and its replacement, on generated arrays.
struct RuleProof {
  enum Outcome: Sendable {
    /// On arrays of so many kinds.
    case proved(feeds: Int)
    case skipped
  }

  private let firing: RuleFiring
  private let cut: RuleCut

  init(_ firing: RuleFiring, _ cut: RuleCut) { (self.firing, self.cut) = (firing, cut) }

  /// - Throws: a diagnostic that names the rule, the node and its line, the first element that differs and both numbers.
  func run(largestWork: Int) throws(Diagnostic) -> Outcome {
    guard !cut.isOpen, let types = leafTypes, work() <= largestWork else { return .skipped }
    var count = 0
    for kind in ProofFeeds.kinds(finite: firing.rule.promise != .sameBits) {
      for round in 0..<rounds(types) {
        let feeds = zip(cut.leaves, types).enumerated().map { i, leaf in
          leaf.0.known
            ?? kind.array(leaf.1.elementType, leaf.1.shape, key: UInt32(truncatingIfNeeded: 1000 * round + i + 1))
        }
        // What fails before, as an index out of bounds does, may do anything after.
        guard let reference = reference(feeds) else { continue }
        count += 1
        let results: [Tensor]
        do {
          results = try self.results(feeds)
        } catch {
          throw fault("it fails on \(kind.rawValue) arrays: \(error)")
        }
        try compare(results, reference, feeds, kind)
      }
    }
    return count == 0 ? .skipped : .proved(feeds: count)
  }

  /// Few elements do not meet every special number at once, so they are drawn more than once.
  private func rounds(_ types: [(elementType: ElementType, shape: [Int])]) -> Int {
    let smallest = types.map { $0.shape.reduce(1, *) }.min() ?? 64
    return Swift.max(1, Swift.min(16, 128 / Swift.max(smallest, 1)))
  }

  /// Element types and extents of the leaves; nil where a shape is not known.
  private var leafTypes: [(elementType: ElementType, shape: [Int])]? {
    var types: [(ElementType, [Int])] = []
    for (value, _) in cut.leaves {
      guard let type = cut.storage.type(of: value).tensor, type.elementType.isComputable, let shape = type.shape.known
      else { return nil }
      types.append((type.elementType, shape))
    }
    return types
  }

  private func work() -> Int {
    let elements = firing.operands.reduce(0) { $0 + ($1.shape.known?.reduce(1, *) ?? 0) }
    var context = LoweringContext(
      operands: firing.operands.map(\.operand), results: firing.replacement.compactMap(\.type.tensor),
      name: firing.name)
    let isKnown = firing.operands.allSatisfy(\.shape.isFullyKnown)
    let root = isKnown ? (try? firing.root.lowering(&context))?.work ?? 0 : Int.max
    return cut.nodes.reduce(Swift.max(elements, root)) { $0.addingSaturated(cut.storage.work(of: $1)) }
  }

  // MARK: Running

  private func bindings(_ feeds: [Tensor]) -> [ValueID: ReferenceEvaluator.Value] {
    Dictionary(uniqueKeysWithValues: zip(cut.leaves, feeds).map { ($0.value, .tensor($1)) })
  }

  private func results(_ feeds: [Tensor]) throws -> [Tensor] {
    var evaluator = ReferenceEvaluator()
    return try evaluator.evaluate(
      cut.storage, firing.graph.library, bindings: bindings(feeds),
      results: firing.replacement.map { cut.storage.resolve($0.id) }
    ).tensors()
  }

  /// The root's results, and the greatest finite number met on the way.
  private func rootResults(_ feeds: [Tensor], isWidening: Bool) throws -> (results: [Tensor], magnitude: Double) {
    var evaluator = ReferenceEvaluator()
    evaluator.isWidening = isWidening
    var magnitude = 0.0
    let operands = try evaluator.evaluate(
      cut.storage, firing.graph.library, bindings: bindings(feeds), results: firing.operands.map(\.id)
    ) { _, values in
      if isWidening { magnitude = values.reduce(magnitude) { max($0, $1.magnitude) } }
    }
    let results = try evaluator.apply(
      firing.root, firing.name, firing.graph.library, operands, elementTypes: firing.operands.map(\.elementType))
    if isWidening { magnitude = (operands + results).reduce(magnitude) { max($0, $1.magnitude) } }
    return (try results.tensors(), magnitude)
  }

  /// What the expression gave before; nil if it fails.
  private func reference(_ feeds: [Tensor]) -> ProofTolerance.Reference? {
    guard let old = try? rootResults(feeds, isWidening: false).results else { return nil }
    var reference = ProofTolerance.Reference(old: old, truth: [], moved: [], magnitude: 0)
    guard firing.rule.promise != .sameBits,
      let wide = try? rootResults(feeds.map(\.widened), isWidening: true)
    else { return reference }
    (reference.truth, reference.magnitude) = wide
    for i in 0..<3 {
      let moved = feeds.enumerated().map { $1.moved(key: UInt32(truncatingIfNeeded: 100 * $0 + i)) }
      if let results = try? rootResults(moved, isWidening: true).results { reference.moved.append(results) }
    }
    return reference
  }

  // MARK: Comparing

  private func compare(
    _ results: [Tensor], _ reference: ProofTolerance.Reference, _ feeds: [Tensor], _ kind: ProofFeeds
  ) throws(Diagnostic) {
    let tolerance = ProofTolerance(promise: firing.rule.promise)
    for (i, (old, new)) in zip(reference.old, results).enumerated() {
      guard old.type == new.type else { throw fault("its result is \(new.type), not \(old.type)") }
      guard let difference = tolerance.compare(new, i, of: reference).difference else { continue }
      let place = "element \(old.position(of: difference.position))"
      var fault = fault("it computes something else on \(kind.rawValue) arrays")
      fault.required = "\(difference.old) at \(place)"
      fault.found = "\(difference.new)"
      for (leaf, feed) in zip(cut.leaves, feeds) {
        fault.notes.append(.init("'\(cut.storage.name(of: leaf.value))' was \(feed)"))
      }
      throw fault
    }
  }

  private func fault(_ message: String) -> Diagnostic {
    Diagnostic(
      "rule '\(firing.rule.name)' is wrong here: \(message)",
      operation: "\(firing.root.schema.name) '\(firing.name)'", site: firing.site,
      hint: "this is a fault of the rule, not of the graph; leave the rule out to go on without it")
  }
}
