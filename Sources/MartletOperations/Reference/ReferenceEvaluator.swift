import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Runs graphs node by node: each by interpreting the stages of its lowering, libraries by their reference. It shares
/// nothing with passes, plans and back ends, so it is what they are tested against, and what proofs run.
public struct ReferenceEvaluator {
  /// The variables' values, by name.
  public var variables: [String: Tensor]
  /// The number of the run, which random operations see.
  public var run: Int64
  /// Whether every `float32` is computed as `float64`: constants, and the results of every node, are widened. Kernels and
  /// library calls of the fused form, whose types are settled, cannot be run so; host code is run in `float32`.
  public var isWidening = false
  /// What is done to each result that a kernel or a library computes, in sub-graphs and compositions too. Moving results
  /// as roundings would tells how far roundings on the way reach.
  public var adjustment: ((Tensor) -> Tensor)?
  /// How many more nodes are run before an evaluation fails, each iteration of a loop counted: a bound for loops whose
  /// number of iterations comes from data.
  public var remainingNodes = Int.max

  public init(variables: [String: Tensor] = [:], run: Int64 = 0) { (self.variables, self.run) = (variables, run) }

  /// What a value of the graph is at run time.
  public enum Value {
    case tensor(Tensor)
    /// A variable, by its name.
    case variable(String)
  }

  /// The values of `outputs`, given those of others. Nodes that `targets` name run for their effects.
  public mutating func evaluate(
    _ outputs: [Output], feeds: [Output: Tensor] = [:], targets: [NodeID] = []
  ) throws -> [Tensor] {
    guard let graph = outputs.first?.graph ?? feeds.keys.first?.graph else { return [] }
    return try evaluate(graph, outputs.map(\.id), feeds: feeds, targets: targets)
  }

  /// Runs nodes for their effects.
  public mutating func run(_ graph: Graph, targets: [NodeID], feeds: [Output: Tensor] = [:]) throws {
    _ = try evaluate(graph, [], feeds: feeds, targets: targets)
  }

  private mutating func evaluate(
    _ graph: Graph, _ outputs: [ValueID], feeds: [Output: Tensor], targets: [NodeID]
  ) throws -> [Tensor] {
    if let mistake = graph.diagnostics.first { throw mistake }
    var bindings: [ValueID: Value] = [:]
    for (output, tensor) in feeds { bindings[graph.storage.resolve(output.id)] = .tensor(tensor) }
    let values = try evaluate(
      graph.storage, graph.library, bindings: bindings, results: outputs, targets: targets)
    return try values.map(tensor)
  }

  /// The values of a sub-graph's results.
  public mutating func call(
    _ function: GraphFunction, library: FunctionLibrary, _ arguments: [Value]
  ) throws -> [Value] {
    let bindings = Dictionary(uniqueKeysWithValues: zip(function.arguments, arguments))
    return try evaluate(
      function.body, library, bindings: bindings, results: function.results, targets: function.targets)
  }

  /// The values of results, given those of others.
  ///
  /// - Parameters:
  ///   - targets: nodes that run for their effects.
  ///   - observe: is shown the results of each node that runs; not of those in sub-graphs.
  public mutating func evaluate(
    _ storage: GraphStorage, _ library: FunctionLibrary, bindings: [ValueID: Value], results: [ValueID],
    targets: [NodeID] = [], observe: ((NodeID, [Value]) -> Void)? = nil
  ) throws -> [Value] {
    var values = bindings
    for node in order(storage, results, targets, bound: bindings) {
      let outputs = storage.results(of: node)
      if let first = outputs.first, values[first] != nil { continue }
      let operands = try storage.operands(of: node).map { operand in
        guard let value = values[operand] else { throw Diagnostic("'\(storage.name(of: operand))' was not fed") }
        return value
      }
      let found = try apply(node, storage, library, operands)
      for (output, value) in zip(outputs, found) { values[output] = value }
      observe?(node, found)
    }
    return try results.map { result in
      guard let value = values[storage.resolve(result)] else {
        throw Diagnostic("'\(storage.name(of: result))' was not computed")
      }
      return value
    }
  }

  /// The nodes to run, in the order of their rows where data and control edges leave it open; nothing behind a value that
  /// is given.
  private func order(
    _ storage: GraphStorage, _ results: [ValueID], _ targets: [NodeID], bound: [ValueID: Value]
  ) -> [NodeID] {
    var isNeeded = Set<NodeID>()
    var stack =
      results.map { storage.resolve($0) }.filter { bound[$0] == nil }.map { storage.producer(of: $0) }
      + targets.map { storage.resolve($0) }
    while let node = stack.popLast() {
      guard isNeeded.insert(node).inserted else { continue }
      for operand in storage.operands(of: node) where bound[operand] == nil {
        stack.append(storage.producer(of: operand))
      }
      stack += storage.controls(of: node)
    }
    return storage.topologicalOrder(results: results, targets: targets).filter { isNeeded.contains($0) }
  }

  private func tensor(_ value: Value) throws -> Tensor {
    switch value {
    case .tensor(let tensor): return tensor
    case .variable(let name): throw Diagnostic("the variable '\(name)' stands where its value is needed")
    }
  }

  private func current(_ variable: Value) throws -> (name: String, value: Tensor?) {
    guard case .variable(let name) = variable else { throw Diagnostic("a variable is needed") }
    return (name, variables[name])
  }

  // MARK: One node

  private mutating func apply(
    _ node: NodeID, _ storage: GraphStorage, _ library: FunctionLibrary, _ operands: [Value]
  ) throws -> [Value] {
    guard remainingNodes > 0 else { throw Diagnostic("more nodes would run than are allowed") }
    remainingNodes -= 1
    let operation = storage.operation(of: node)
    switch storage.stateRole(of: node) {
    case .variable(let name): return [.variable(name)]
    case .read:
      let (name, value) = try current(operands[0])
      guard let value else { throw Diagnostic("the variable '\(name)' has no value yet") }
      return [.tensor(value)]
    case .assign:
      variables[try current(operands[0]).name] = try tensor(operands[1])
      return []
    case .accumulate(let isNegated):
      let (name, value) = try current(operands[0])
      guard let value else { throw Diagnostic("the variable '\(name)' has no value yet") }
      let graph = Graph()
      let (old, change) = (graph.constant(value), graph.constant(try tensor(operands[1])))
      variables[name] = try evaluate([isNegated ? old - change : old + change])[0]
      return []
    case .update(let count):
      guard let operation = operation as? any UpdateOperation else { break }
      let graph = Graph()
      var values: [Output] = []
      for (i, operand) in operands.enumerated() {
        guard i < count else {
          values.append(graph.constant(try tensor(operand)))
          continue
        }
        let (name, value) = try current(operand)
        guard let value else { throw Diagnostic("the variable '\(name)' has no value yet") }
        values.append(graph.constant(value))
      }
      let updated = try evaluate(try operation.updated(values))
      for (operand, value) in zip(operands.prefix(count), updated) { variables[try current(operand).name] = value }
      return []
    case .none, .control: break
    }
    return try apply(
      operation, storage.name(of: node), library, operands,
      elementTypes: isWidening ? storage.operands(of: node).map { storage.type(of: $0).elementType } : [])
  }

  /// The results of an operation.
  ///
  /// - Parameters:
  ///   - name: the node's; random numbers without seeds hang on it.
  ///   - elementTypes: the operands' in the graph. They tell what host code wants where `float32` is widened.
  public mutating func apply(
    _ operation: any Operation, _ name: String, _ library: FunctionLibrary, _ operands: [Value],
    elementTypes: [ElementType?] = []
  ) throws -> [Value] {
    var (lowering, types) = try lowering(of: operation, name, library, operands)
    var operands = operands
    if isWidening, case .host = lowering {
      for (i, type) in elementTypes.enumerated() where type == .float32 { operands[i] = operands[i].narrowed }
      (lowering, types) = try self.lowering(of: operation, name, library, operands)
    }
    do throws(Diagnostic) {
      let results = try apply(lowering, operands, types, library, name: name)
      return adjusted(isWidening ? results.map(\.widened) : results, lowering)
    } catch {
      var located = error
      located.operation = located.operation ?? "\(operation.schema.name) '\(name)'"
      throw located
    }
  }

  private func adjusted(_ results: [Value], _ lowering: Lowering) -> [Value] {
    guard let adjustment else { return results }
    switch lowering {
    case .compute, .library:
      return results.map { value in
        guard case .tensor(let tensor) = value else { return value }
        return .tensor(adjustment(tensor))
      }
    default: return results
    }
  }

  private func lowering(
    of operation: any Operation, _ name: String, _ library: FunctionLibrary, _ operands: [Value]
  ) throws -> (Lowering, types: [TensorType]) {
    let facts = operands.map { value in
      switch value {
      case .tensor(let tensor): Operand(.tensor(tensor.type), known: KnownValue(tensor), constant: Constant(tensor))
      case .variable(let name): Operand(.resource(variables[name]?.type ?? TensorType(.float32, .unknown)))
      }
    }
    let types = try operation.infer(facts, InferenceContext { library[$0]?.signature }).map { inference in
      inference.type.tensor ?? TensorType(.float32, .unknown)
    }
    var context = LoweringContext(operands: facts, results: types, name: name)
    do throws(Diagnostic) {
      return (try operation.lowering(&context), types)
    } catch {
      var located = error
      located.operation = located.operation ?? "\(operation.schema.name) '\(name)'"
      throw located
    }
  }

  private mutating func apply(
    _ lowering: Lowering, _ operands: [Value], _ types: [TensorType], _ library: FunctionLibrary, name: String
  ) throws(Diagnostic) -> [Value] {
    do {
      switch lowering {
      case .compute(let program), .view(let program), .reshape(let program), .part(_, let program),
        .join(_, .some(let program)), .library(_, let program):
        for (type, output) in zip(types, program.outputs) where program.type(of: output).extents != type.shape.known {
          throw Diagnostic("'\(name)' computes \(program.type(of: output).extents), not \(type)")
        }
        return try program.interpret(inputs: operands.map(tensor), parameters: [run]).map { .tensor($0) }
      case .join(let count, nil):
        let joined = Tensor(uninitialized: types[0].elementType, shape: types[0].shape.known ?? [])
        var end = joined.storage.bytes
        for part in try operands.prefix(count).map(tensor) {
          end.copyMemory(from: part.storage.bytes, byteCount: part.byteCount)
          end += part.byteCount
        }
        return [.tensor(joined)]
      case .composite(let body), .libraryOrComposite(_, let body):
        let graph = Graph(GraphStorage(), library: library)
        var expansion = Expansion(graph: graph, operands: try operands.map { graph.constant(try tensor($0)) })
        return try evaluate(body(&expansion)).map { .tensor($0) }
      case .host(let function):
        return try function.body(operands.map(tensor)).map { .tensor($0) }
      case .conditional(let then, let otherwise):
        let branch = try tensor(operands[0]).item(as: Bool.self) ? then : otherwise
        return try call(named: branch, library, Array(operands.dropFirst()))
      case .loop(let condition, let body):
        var state = operands
        while try tensor(call(named: condition, library, state)[0]).item(as: Bool.self) {
          state = try call(named: body, library, state)
        }
        return state
      case .bound: throw Diagnostic("was not fed")
      case .constant(let constant): return [.tensor(constant.tensor)]
      case .nothing: return []
      }
    } catch let diagnostic as Diagnostic {
      throw diagnostic
    } catch {
      throw Diagnostic("\(error)")
    }
  }

  private mutating func call(
    named name: FunctionName, _ library: FunctionLibrary, _ arguments: [Value]
  ) throws -> [Value] {
    guard let function = library[name] else { throw Diagnostic("there is no function \(name)") }
    return try call(function, library: library, arguments)
  }
}

extension ReferenceEvaluator.Value {
  /// The value with `float32` as `float64`.
  fileprivate var widened: ReferenceEvaluator.Value {
    guard case .tensor(let tensor) = self, tensor.elementType == .float32 else { return self }
    return .tensor(Tensor(tensor.doubles(), shape: tensor.shape))
  }

  /// The value with `float64` as `float32`.
  fileprivate var narrowed: ReferenceEvaluator.Value {
    guard case .tensor(let tensor) = self, tensor.elementType == .float64 else { return self }
    return .tensor(Tensor(rounding: tensor.doubles(), shape: tensor.shape, as: .float32))
  }
}
