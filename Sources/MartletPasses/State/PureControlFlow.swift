import MartletDiagnostics
import MartletGraph
import MartletTensors

/// One of two sub-graphs, without variables: what a conditional becomes when its variables are promoted to values.
struct PureConditional: Operation {
  var then = FunctionName("")
  var otherwise = FunctionName("")
  /// Whether a branch has to run for more than its results.
  var hasEffect = false

  init() {}
  init(then: FunctionName, otherwise: FunctionName, hasEffect: Bool) {
    (self.then, self.otherwise, self.hasEffect) = (then, otherwise, hasEffect)
  }

  static var schema: Schema {
    Schema(
      "_Conditional", inputs: ["condition": "Tcond", "inputs": "[Tin]"], outputs: ["outputs": "[Tout]"],
      types: ["Tcond": .any])
  }
  var schema: Schema { Self.schema.withEffect(hasEffect) }
  static var attributeTable: AttributeTable<PureConditional> {
    [
      AttributeField("then_branch", \.then), AttributeField("else_branch", \.otherwise),
      AttributeField("has_effect", \.hasEffect),
    ]
  }
  var functions: [FunctionName] { [then, otherwise] }
  func functionArguments(operandCount: Int) -> Range<Int> { 1..<max(operandCount, 1) }

  func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard let first = context.function(then), let second = context.function(otherwise) else {
      throw Diagnostic("a branch is not in the graph")
    }
    var results: [Inference] = []
    for (i, (a, b)) in zip(first.results, second.results).enumerated() {
      guard a.elementType == b.elementType, let shape = a.shape.merged(with: b.shape), let type = a.elementType else {
        throw Diagnostic(
          "the branches' results \(i) differ", required: "\(a), as in '\(then.name)'", found: "\(b)",
          hint: "both branches give results of the same types")
      }
      results.append(Inference(type, shape))
    }
    return results
  }
  var differentiation: Differentiation { .none("it stands for an operation that is differentiated itself") }
  func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    .conditional(then: then, else: otherwise)
  }
}

/// A sub-graph repeated while another gives true, without variables: what a loop becomes when its variables are promoted
/// to values.
struct PureLoop: Operation {
  var condition = FunctionName("")
  var body = FunctionName("")
  /// Whether it has to run for more than its results.
  var hasEffect = false

  init() {}
  init(condition: FunctionName, body: FunctionName, hasEffect: Bool) {
    (self.condition, self.body, self.hasEffect) = (condition, body, hasEffect)
  }

  static var schema: Schema {
    Schema("_Loop", inputs: ["inputs": "[T]"], outputs: ["outputs": "[T]"])
  }
  var schema: Schema { Self.schema.withEffect(hasEffect) }
  static var attributeTable: AttributeTable<PureLoop> {
    [
      AttributeField("cond", \.condition), AttributeField("body", \.body), AttributeField("has_effect", \.hasEffect),
    ]
  }
  var functions: [FunctionName] { [condition, body] }

  func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard let signature = context.function(body), signature.results.count == operands.count else {
      throw Diagnostic("the loop's body does not give back as many values as it is given")
    }
    var results: [Inference] = []
    for (i, (operand, result)) in zip(operands, signature.results).enumerated() {
      guard let type = operand.elementType, type == result.elementType,
        let shape = operand.shape.merged(with: result.shape)
      else {
        throw Diagnostic(
          "the loop's value \(i) changes its type from one iteration to the next", required: "\(operand.type)",
          found: "\(result)")
      }
      results.append(Inference(type, shape))
    }
    return results
  }
  var differentiation: Differentiation { .none("it stands for an operation that is differentiated itself") }
  func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { .loop(condition: condition, body: body) }
}

extension Schema {
  fileprivate func withEffect(_ hasEffect: Bool) -> Schema {
    var schema = self
    if hasEffect { schema.traits.remove(.pure) }
    return schema
  }
}
