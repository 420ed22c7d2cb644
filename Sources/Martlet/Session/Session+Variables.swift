import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletTensors

extension Session {
  /// The present value of a variable.
  ///
  /// - Parameter variable: the variable, or the value that reads it.
  /// - Throws: a diagnostic if it has no value yet.
  public func value(of variable: Output) throws -> Tensor {
    let stored = try storedVariable(variable)
    guard let value = try stored.value else {
      throw Diagnostic(
        "the variable '\(stored.name)' has no value yet",
        hint: "run the graph's initializer first: session.run(graph.initializer)")
    }
    return value
  }

  /// Gives a variable a value.
  ///
  /// - Parameter variable: the variable, or the value that reads it.
  /// - Throws: a diagnostic if the value has another type than the variable.
  public func assign(_ variable: Output, _ value: Tensor) throws {
    try storedVariable(variable).assign(value)
  }

  private func storedVariable(_ output: Output) throws -> StoredVariable {
    let storage = graph.storage
    var value = storage.resolve(output.id)
    if case .read = storage.stateRole(of: storage.producer(of: value)) {
      value = storage.operands(of: storage.producer(of: value))[0]
    }
    guard case .variable(let name) = storage.stateRole(of: storage.producer(of: value)),
      let type = storage.type(of: value).content
    else {
      throw Diagnostic(
        "'\(output.name)' is no variable", required: "a variable or the value that reads one", found: "\(output.type)")
    }
    return try variables.variable(name, type: type)
  }
}
