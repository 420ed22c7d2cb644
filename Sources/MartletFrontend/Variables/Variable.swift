import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// A value that a session keeps from run to run.
///
/// ```swift
/// let counter = graph.variable("counter", [], .zeros, trainable: false)   // its value, an Output
/// let next = counter.variable!.assign(counter + 1)                        // a node to run
/// ```
public struct Variable: Sendable {
  /// The variable itself, of type resource.
  public let handle: Output
  /// The value that a run begins with.
  public let value: Output
  /// The assignment of the first value.
  public let initializer: GraphNode
  public let isTrainable: Bool

  public var name: String { handle.name }
  public var elementType: ElementType { value.elementType }
  public var shape: Shape { value.shape }

  /// The node that makes `value` the variable's value.
  @discardableResult
  public func assign(_ value: Output, name: String? = nil) -> GraphNode {
    handle.graph.addNode(AssignVariableOp(), [handle, value], name: name)
  }
  /// The node that adds `delta` to the variable.
  @discardableResult
  public func assignAdd(_ delta: Output, name: String? = nil) -> GraphNode {
    handle.graph.addNode(AssignAddVariableOp(), [handle, delta], name: name)
  }
  /// The node that subtracts `delta` from the variable.
  @discardableResult
  public func assignSub(_ delta: Output, name: String? = nil) -> GraphNode {
    handle.graph.addNode(AssignSubVariableOp(), [handle, delta], name: name)
  }
  /// The value at this point: after the assignments that control dependencies put before it.
  public func read(name: String? = nil) -> Output { readVariable(handle, name: name) }
}

/// Names of collections that Martlet itself uses; those of TensorFlow.
public enum CollectionKey {
  /// The values of all variables.
  public static let variables = "variables"
  /// The values of those that optimizers change.
  public static let trainableVariables = "trainable_variables"
  /// Losses that users gather, as regularisers do.
  public static let losses = "losses"
}

extension Graph {
  /// Adds a variable and returns its value, which can be used like any other array.
  ///
  /// - Parameters:
  ///   - shape: every extent is known.
  ///   - trainable: whether optimizers change it.
  public func variable(
    _ name: String, _ shape: [Int], _ initializer: Initializer, type: ElementType = .float32, trainable: Bool = true
  ) -> Output {
    let handle = variableHandle(type, shape: Shape(shape), name: name)
    // The handle's own name, in case the wanted one was taken; the scope is added again to each name below.
    let scope = currentScope
    let own = scope.isEmpty ? handle.name : String(handle.name.dropFirst(scope.count + 1))
    let first = withNameScope("\(own)/Initializer") { initializer.value(in: self, type, shape) }
    addNode(AssignVariableOp(), [handle, first], name: "\(own)/Assign")
    let value = readVariable(handle, name: "\(own)/Read")
    addToCollection(CollectionKey.variables, value)
    if trainable { addToCollection(CollectionKey.trainableVariables, value) }
    return value
  }

  /// All variables, in the order of their definition.
  public var variables: [Variable] { collection(CollectionKey.variables).compactMap(\.variable) }
  /// The variables that optimizers change.
  public var trainableVariables: [Variable] { variables.filter(\.isTrainable) }

  /// The node that gives every variable so far its first value; run it once before all else.
  public var initializer: GraphNode { initializer(of: variables) }

  /// The node that gives these variables their first values.
  public func initializer(of variables: [Variable]) -> GraphNode {
    group(variables.map(\.initializer), name: "init")
  }

  /// A node without a result that has run when all of `nodes` have.
  public func group(_ nodes: [GraphNode], name: String? = nil) -> GraphNode {
    addNode(NoOp(), name: name, controls: nodes.map(\.id))
  }
}

extension Output {
  /// The variable whose value this is, as `Graph.variable` returned it; nil for any other value.
  public var variable: Variable? {
    let storage = graph.storage
    guard storage.stateRole(of: node) == .read else { return nil }
    let handle = storage.operands(of: node)[0]
    guard let assignment = storage.node(named: "\(storage.name(of: handle))/Assign") else { return nil }
    let isTrainable = storage.collections[CollectionKey.trainableVariables]?.contains(id) ?? false
    return Variable(
      handle: Output(graph, handle), value: self, initializer: GraphNode(graph, assignment), isTrainable: isTrainable)
  }
}
