import MartletDiagnostics
import MartletGraph
import MartletTensors

/// One of two sub-graphs, chosen by a Boolean when the graph runs. They may read and assign variables.
public struct If: BranchOperation {
  public var thenBranch = FunctionName("")
  public var elseBranch = FunctionName("")
  public var outputShapes: [Shape] = []
  public init() {}
  public static let schema = branchSchema("If", traits: [])
}

/// One of two sub-graphs, chosen by a Boolean when the graph runs; neither has effects.
public struct StatelessIf: BranchOperation {
  public var thenBranch = FunctionName("")
  public var elseBranch = FunctionName("")
  public var outputShapes: [Shape] = []
  public init() {}
  public static let schema = branchSchema("StatelessIf", traits: [.pure])
}

private func branchSchema(_ name: String, traits: Schema.Traits) -> Schema {
  Schema(
    name, inputs: ["cond": "Tcond", "input": "[Tin]"], outputs: ["output": "[Tout]"],
    types: ["Tcond": Schema.TypeSet([.bool])], traits: traits)
}

/// What the two kinds of conditional have in common.
public protocol BranchOperation: Operation {
  var thenBranch: FunctionName { get set }
  var elseBranch: FunctionName { get set }
  /// What a GraphDef says about the results' shapes; inference does without.
  var outputShapes: [Shape] { get set }
}

extension BranchOperation {
  init(then: FunctionName, else other: FunctionName) {
    self.init()
    (thenBranch, elseBranch) = (then, other)
  }

  public static var attributeTable: AttributeTable<Self> {
    [
      AttributeField("then_branch", \.thenBranch), AttributeField("else_branch", \.elseBranch),
      AttributeField("output_shapes", \.outputShapes),
    ]
  }
  public var functions: [FunctionName] { [thenBranch, elseBranch] }
  public func functionArguments(operandCount: Int) -> Range<Int> { 1..<max(operandCount, 1) }
  public var stateRole: StateRole { .control }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[0].shape(ofRank: 0, "cond")
    let arguments = Array(operands[1...])
    let first = try context.signature(of: thenBranch, "then_branch")
    let second = try context.signature(of: elseBranch, "else_branch")
    try first.check(arguments, thenBranch, "input")
    try second.check(arguments, elseBranch, "input")
    guard first.results.count == second.results.count else {
      throw Diagnostic(
        "the branches have different numbers of results", required: "\(first.results.count), as \(thenBranch) has",
        found: "\(second.results.count) of \(elseBranch)")
    }
    var results: [Inference] = []
    for (i, (a, b)) in zip(first.results, second.results).enumerated() {
      guard let type = a.joined(with: b) else {
        throw Diagnostic(
          "the branches differ in the type of result \(i)", required: "\(a), as in \(thenBranch)",
          found: "\(b) in \(elseBranch)")
      }
      results.append(Inference(type))
    }
    return results
  }

  /// A conditional between the gradients of the branches.
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let gradients = try g.differentiate(functions, isNeeded: Array(g.isNeeded[1...])) {
      Self(then: $0[0], else: $0[1])
    }
    return [.none] + gradients
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    .conditional(then: thenBranch, else: elseBranch)
  }
}

/// The results of one of two closures, chosen by a Boolean scalar when the graph runs.
///
/// Both add to the graph what becomes a sub-graph of its own; they may use values from around them. They give results of
/// the same number and element types. Only what the chosen one defines is computed.
///
///     let y = cond(x[0] .> 0) { [x * 2] } else: { [x - 1] }
public func cond(
  _ predicate: Output, name: String? = nil, then: () throws -> [Output], else other: () throws -> [Output]
) rethrows -> [Output] {
  let graph = predicate.graph
  let label = name ?? "cond"
  var first = try graph.buildFunction("\(label)_true", arguments: []) { _ in try then() }
  let second = try graph.buildFunction("\(label)_false", arguments: [], capturing: first.captures) { _ in try other() }
  first = graph.widen(first, to: second.captures)
  let hasEffect = graph.hasEffect(first) || graph.hasEffect(second)
  let operation: any Operation =
    hasEffect
    ? If(then: first.name, else: second.name)
    : StatelessIf(then: first.name, else: second.name)
  let results = graph.add(operation, [predicate] + second.captures, name: label)
  return results.padded(to: first.signature.results.count)
}

/// The result of one of two closures, chosen by a Boolean scalar when the graph runs.
public func cond(
  _ predicate: Output, name: String? = nil, then: () throws -> Output, else other: () throws -> Output
) rethrows -> Output {
  try cond(predicate, name: name) {
    [try then()]
  } else: {
    [try other()]
  }[0]
}
