import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletTensors

/// Computes values of a graph node by node with the interpreter of stages: slow, and the oracle for everything else.
///
/// Every node is typed anew from its operands' values, so shapes that depend on data are possible. Variables are not.
public struct GraphEvaluator {
  /// The run-time parameters of random operations; number 0 is the number of the run.
  public var parameters: [Int64] = []
  private var library: FunctionLibrary

  public init(_ library: FunctionLibrary, parameters: [Int64] = []) {
    (self.library, self.parameters) = (library, parameters)
  }

  /// The values of `outputs`, all of one graph.
  ///
  /// - Throws: a diagnostic where the graph has a mistake, or the first failure of a node.
  public static func evaluate(
    _ outputs: [Output], feeds: [Output: Tensor] = [:], parameters: [Int64] = []
  ) throws -> [Tensor] {
    guard let graph = outputs.first?.graph else { return [] }
    if let mistake = graph.diagnostics.first { throw mistake }
    let evaluator = GraphEvaluator(graph.library, parameters: parameters)
    var values: [ValueID: Tensor] = [:]
    for (output, tensor) in feeds { values[output.id] = tensor }
    return try evaluator.evaluate(graph.storage, outputs.map(\.id), [], values)
  }

  /// The results of a sub-graph for the given arguments.
  public func call(_ function: GraphFunction, _ arguments: [Tensor]) throws -> [Tensor] {
    let values = Dictionary(uniqueKeysWithValues: zip(function.arguments, arguments))
    return try evaluate(function.body, function.results, function.targets, values)
  }

  private func evaluate(
    _ storage: GraphStorage, _ results: [ValueID], _ targets: [NodeID], _ given: [ValueID: Tensor]
  ) throws -> [Tensor] {
    var values = given
    for node in storage.topologicalOrder(results: results, targets: targets) {
      let outputs = storage.results(of: node)
      if !outputs.isEmpty, outputs.allSatisfy({ values[$0] != nil }) { continue }
      let operands = storage.operands(of: node).compactMap { values[$0] }
      do {
        let tensors = try run(storage.operation(of: node), operands, name: storage.name(of: node))
        for (output, tensor) in zip(outputs, tensors) where values[output] == nil { values[output] = tensor }
      } catch var error as Diagnostic {
        error.operation = error.operation ?? "\(storage.schema(of: node).name) '\(storage.name(of: node))'"
        throw error
      }
    }
    return try results.map { result in
      guard let value = values[storage.resolve(result)] else {
        throw Diagnostic("'\(storage.name(of: result))' has no value")
      }
      return value
    }
  }

  /// The results of one operation.
  public func run(_ operation: any Operation, _ tensors: [Tensor], name: String = "test") throws -> [Tensor] {
    let library = library
    let operands = tensors.map { tensor in
      Operand(.tensor(tensor.type), known: KnownValue(tensor), constant: Constant(tensor))
    }
    try operation.schema.check(operands)
    let types = try operation.infer(operands, InferenceContext { library[$0]?.signature })
    var context = LoweringContext(
      operands: operands, results: types.map { $0.type.tensor ?? TensorType(.float32, .unknown) }, name: name)
    switch try operation.lowering(&context) {
    case .compute(let program), .view(let program), .reshape(let program), .library(_, reference: let program):
      return try program.interpret(inputs: tensors, parameters: parameters)
    case .constant(let constant): return [constant.tensor]
    case .nothing: return []
    case .bound: throw Diagnostic("a value that is bound from outside was not given", operation: name)
    case .host(let function): return try function.body(tensors)
    case .composite(let body):
      let graph = Graph(GraphStorage(), library: library)
      var expansion = Expansion(graph: graph, operands: tensors.map { graph.constant($0) })
      let outputs = try body(&expansion)
      return try GraphEvaluator.evaluate(outputs, parameters: parameters)
    case .conditional(let then, let other):
      return try call(function(tensors[0].item(as: Bool.self) ? then : other), Array(tensors[1...]))
    case .loop(let condition, let body):
      var values = tensors
      while try call(function(condition), values)[0].item(as: Bool.self) { values = try call(function(body), values) }
      return values
    }
  }

  private func function(_ name: FunctionName) throws -> GraphFunction {
    guard let function = library[name] else { throw Diagnostic("there is no function \(name)") }
    return function
  }
}
