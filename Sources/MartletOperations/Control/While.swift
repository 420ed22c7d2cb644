import MartletDiagnostics
import MartletGraph
import MartletTensors

/// A sub-graph repeated while another gives true. They may read variables, and the body may assign them.
public struct While: LoopOperation {
  public var condition = FunctionName("")
  public var body = FunctionName("")
  public var outputShapes: [Shape] = []
  public var parallelIterations = 10
  public init() {}
  public static let schema = loopSchema("While", traits: [])
}

/// A sub-graph repeated while another gives true; neither has effects.
public struct StatelessWhile: LoopOperation {
  public var condition = FunctionName("")
  public var body = FunctionName("")
  public var outputShapes: [Shape] = []
  public var parallelIterations = 10
  public init() {}
  public static let schema = loopSchema("StatelessWhile", traits: [.pure])
}

private func loopSchema(_ name: String, traits: Schema.Traits) -> Schema {
  Schema(name, inputs: ["input": "[T]"], outputs: ["output": "[T]"], traits: traits)
}

/// What the two kinds of loop have in common. Operands, arguments and results are one list of values: the loop's
/// variables.
public protocol LoopOperation: Operation {
  var condition: FunctionName { get set }
  var body: FunctionName { get set }
  /// What a GraphDef says about the results' shapes; inference does without.
  var outputShapes: [Shape] { get set }
  /// A hint that Martlet does not follow.
  var parallelIterations: Int { get set }
}

extension LoopOperation {
  init(condition: FunctionName, body: FunctionName) {
    self.init()
    (self.condition, self.body) = (condition, body)
  }

  public static var attributeTable: AttributeTable<Self> {
    [
      AttributeField("cond", \.condition), AttributeField("body", \.body),
      AttributeField("output_shapes", \.outputShapes), AttributeField("parallel_iterations", \.parallelIterations),
    ]
  }
  public var functions: [FunctionName] { [condition, body] }
  public var stateRole: StateRole { .control }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let test = try context.signature(of: condition, "cond")
    let step = try context.signature(of: body, "body")
    try test.check(operands, condition, "input")
    try step.check(operands, body, "input")
    guard test.results.count == 1, test.results[0].fits(.tensor(.bool, .scalar)) else {
      throw Diagnostic(
        "attribute 'cond' must name a function with one result", required: "bool[]", found: "\(test.results)")
    }
    guard step.results.count == operands.count else {
      throw Diagnostic(
        "the loop's body gives back another number of values than it takes", required: "\(operands.count) results",
        found: "\(step.results.count)")
    }
    var results: [Inference] = []
    for (i, result) in step.results.enumerated() {
      guard result.fits(step.arguments[i]), result.isNoWider(than: step.arguments[i]),
        let type = operands[i].type.joined(with: result)
      else {
        throw Diagnostic(
          "the loop's body changes the type of a value", operand: "input[\(i)]", required: "\(step.arguments[i])",
          found: "\(result) after a step", hint: "give extents that change as nil in the loop's shapeInvariants")
      }
      results.append(Inference(type))
    }
    return results
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    throw Diagnostic(
      "the gradient of a loop comes in a later version of Martlet", hint: "write the steps out if their number is known"
    )
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    .loop(condition: condition, body: body)
  }
}

extension ValueType {
  /// Whether a value of this type is one of the other in every run, as far as known extents go.
  fileprivate func isNoWider(than other: ValueType) -> Bool {
    guard let wide = other.shape.dimensions else { return true }
    guard let own = shape.dimensions, own.count == wide.count else { return false }
    return zip(own, wide).allSatisfy { $1.known == nil || $0.known != nil }
  }
}

/// The loop variables after as many steps of `body` as `condition` gives true before.
///
/// Both closures are given the variables and add to the graph what becomes a sub-graph of its own; they may use values
/// from around them. `body` gives the variables' next values, of the same types.
///
///     // The sum of 0 ..< 10
///     let sum = whileLoop([zero, zero]) { $0[0] .< 10 } body: { [$0[0] + 1, $0[1] + $0[0]] }[1]
///
/// - Parameters:
///   - condition: gives a Boolean scalar.
///   - shapeInvariants: the variables' shapes with nil for extents that steps may change; those of `initial` by default.
public func whileLoop(
  _ initial: [Output], shapeInvariants: [Shape]? = nil, name: String? = nil,
  condition: ([Output]) throws -> Output, body: ([Output]) throws -> [Output]
) rethrows -> [Output] {
  precondition(!initial.isEmpty, "a loop needs a variable")
  let graph = initial[0].graph
  let label = name ?? "while"
  var types = initial.map(\.type)
  for (i, shape) in (shapeInvariants ?? []).enumerated() where i < types.count {
    if case .tensor(let type) = types[i] { types[i] = .tensor(type.elementType, shape) }
  }
  var first = try graph.buildFunction("\(label)_cond", arguments: types) { [try condition($0)] }
  let second = try graph.buildFunction("\(label)_body", arguments: types, capturing: first.captures, body)
  first = graph.widen(first, to: second.captures)
  // What the closures use from around them goes round the loop as it is.
  graph.updateFunction(second.name) { $0.results += $0.arguments[initial.count...] }
  let operation: any Operation =
    graph.hasEffect(first) || graph.hasEffect(second)
    ? While(condition: first.name, body: second.name)
    : StatelessWhile(condition: first.name, body: second.name)
  return graph.add(operation, initial + second.captures, name: label).padded(to: initial.count)
}
