import MartletDiagnostics
import MartletGraph
import MartletTensors

/// The results of a sub-graph without effects.
public struct PartitionedCall: CallOperation {
  public var function = FunctionName("")
  public var config = ""
  public var configProto = ""
  public var executorType = ""
  public init() {}
  public static let schema = callSchema("PartitionedCall", traits: [.pure])
}

/// The results of a sub-graph that may have effects.
public struct StatefulPartitionedCall: CallOperation {
  public var function = FunctionName("")
  public var config = ""
  public var configProto = ""
  public var executorType = ""
  public init() {}
  public static let schema = callSchema("StatefulPartitionedCall", traits: [])
}

private func callSchema(_ name: String, traits: Schema.Traits) -> Schema {
  Schema(name, inputs: ["args": "[Tin]"], outputs: ["output": "[Tout]"], traits: traits)
}

/// What the two kinds of call have in common.
public protocol CallOperation: Operation {
  var function: FunctionName { get set }
  /// Settings of TensorFlow's runtime, which Martlet only keeps.
  var config: String { get set }
  var configProto: String { get set }
  var executorType: String { get set }
}

extension CallOperation {
  init(_ function: FunctionName) {
    self.init()
    self.function = function
  }

  public static var attributeTable: AttributeTable<Self> {
    [
      AttributeField("f", \.function), AttributeField("config", \.config),
      AttributeField("config_proto", \.configProto), AttributeField("executor_type", \.executorType),
    ]
  }
  public var functions: [FunctionName] { [function] }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let signature = try context.signature(of: function, "f")
    try signature.check(operands, function, "args")
    return signature.results.map { Inference($0) }
  }

  /// A call of the function's gradient.
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    try g.differentiate(functions, isNeeded: g.isNeeded) { Self($0[0]) }
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let name = function
    return .composite { expansion throws(Diagnostic) in
      guard let function = expansion.graph.library[name] else {
        throw Diagnostic("attribute 'f' names no function of the graph", found: "\(name)")
      }
      return expansion.graph.inline(function, expansion.operands)
    }
  }
}

extension Graph {
  /// The results of a sub-graph that `buildFunction` has built, for these values of its declared arguments.
  public func call(_ function: BuiltFunction, _ arguments: [Output], name: String? = nil) -> [Output] {
    let operation: any Operation =
      hasEffect(function) ? StatefulPartitionedCall(function.name) : PartitionedCall(function.name)
    return add(operation, arguments + function.captures, name: name ?? function.name.name)
      .padded(to: function.signature.results.count)
  }
}

/// The results of `forward`, a function of `inputs`, whose gradient is given by another function.
///
///     // The identity, through which gradients flow with norm 1 at most.
///     let y = withCustomGradient([x]) { $0 } gradient: { _, _, dy in [dy[0] / maximum(norm(dy[0]), dy[0].scalar(1))] }[0]
///
/// What either closure uses must be among `inputs`, constants apart.
///
/// - Parameter gradient: from the inputs, the results and the gradients of the results to those of the inputs, one for each.
public func withCustomGradient(
  _ inputs: [Output], name: String? = nil, forward: ([Output]) throws -> [Output],
  gradient: (_ inputs: [Output], _ results: [Output], _ upstream: [Output]) throws -> [Output]
) rethrows -> [Output] {
  precondition(!inputs.isEmpty, "a function with a gradient of its own needs an input")
  let graph = inputs[0].graph
  let label = name ?? "custom"
  let types = inputs.map(\.type)
  let function = try graph.buildFunction(label, arguments: types, forward)
  let results = function.signature.results
  let rule = try graph.buildFunction("\(label)_gradient", arguments: types + results + results) { values in
    let (own, rest) = (values[..<types.count], values[types.count...])
    return try gradient(Array(own), Array(rest.prefix(results.count)), Array(rest.dropFirst(results.count)))
  }
  if let stranger = function.captures.first ?? rule.captures.first {
    graph.innermost.record(
      Diagnostic(
        "'\(stranger.name)' is used by a function with a gradient of its own", operation: label,
        required: "that all it uses is among its inputs"))
  }
  if rule.signature.results.count != types.count {
    graph.innermost.record(
      Diagnostic(
        "the gradient must give one value for each input", operation: label, required: "\(types.count) values",
        found: "\(rule.signature.results.count)"))
  }
  graph.updateFunction(function.name) { $0.gradient = rule.name }
  return graph.call(function, inputs, name: label)
}
