import MartletDiagnostics
import MartletTensors
import Synchronization

/// The variables of a session, by name.
public final class VariableStore: Sendable {
  private let state = Mutex<[String: StoredVariable]>([:])

  public init() {}

  /// The variable of a name, made if there is none.
  ///
  /// - Throws: a diagnostic if the session has a variable of this name and another type.
  public func variable(_ name: String, type: TensorType) throws(Diagnostic) -> StoredVariable {
    let variable = state.withLock { variables in
      if let known = variables[name] { return known }
      let new = StoredVariable(number: variables.count, name: name, type: type)
      variables[name] = new
      return new
    }
    guard variable.type == type else {
      throw Diagnostic(
        "the session has a variable '\(name)' of another type", required: "\(variable.type)", found: "\(type)")
    }
    return variable
  }

  /// The variable of a name, if a run has used it.
  public subscript(name: String) -> StoredVariable? { state.withLock { $0[name] } }

  /// All variables, in the order of their first use.
  public var all: [StoredVariable] { state.withLock { Array($0.values) }.sorted { $0.number < $1.number } }
}
