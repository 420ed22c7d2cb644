import MartletDiagnostics
import MartletGradients
import MartletGraph
import MartletOperations
import MartletTensors

/// A method of changing variables so that a loss gets smaller.
///
/// ```swift
/// let train = Adam(learningRate: 1e-3).minimize(loss)
/// try session.run(train)
/// ```
public protocol Optimizer: Sendable {
  /// What the optimizer's nodes and variables are called.
  var name: String { get }
  /// Adds what happens once a step, before any variable: counters and factors that variables share.
  func prepare(_ graph: Graph) -> Step
  /// Adds the update of one variable, in the name scope of the variable, and returns the nodes to run.
  func update(_ variable: Variable, gradient: Output, _ step: Step) -> [GraphNode]
}

/// What the updates of one step share.
public struct Step {
  /// Scalars by name, as a method needs them.
  public var scalars: [String: Output] = [:]
  /// Nodes that run with the step besides the updates.
  public var nodes: [GraphNode] = []
  public init() {}
}

extension Optimizer {
  public func prepare(_ graph: Graph) -> Step { Step() }

  /// The node of one training step: gradients of `loss`, and an update of each variable.
  ///
  /// A mistake, such as a loss that does not depend on any variable, is recorded in the graph, like other mistakes.
  ///
  /// - Parameter variables: all trainable ones by default.
  public func minimize(_ loss: Output, variables: [Variable]? = nil, name: String? = nil) -> GraphNode {
    applyGradients(computeGradients(loss, variables: variables), in: loss.graph, name: name)
  }

  /// The gradient of `loss` for each variable that it depends on.
  public func computeGradients(
    _ loss: Output, variables: [Variable]? = nil
  ) -> [(variable: Variable, gradient: Output)] {
    let graph = loss.graph
    let variables = variables ?? graph.trainableVariables
    do throws(Diagnostic) {
      let results = try gradients(of: [loss], withRespectTo: variables.map(\.handle))
      let pairs = zip(variables, results).compactMap { variable, gradient in
        gradient.map { (variable: variable, gradient: $0) }
      }
      if pairs.isEmpty {
        graph.record(
          Diagnostic(
            "the loss does not depend on any variable to be trained", operation: "\(name) '\(loss.name)'",
            hint: "add variables with Graph.variable(_:_:_:) before minimize(_:)"))
      }
      return pairs
    } catch {
      graph.record(error)
    }
    return []
  }

  /// The node that changes each variable by its gradient.
  public func applyGradients(
    _ pairs: [(variable: Variable, gradient: Output)], in graph: Graph, name: String? = nil
  ) -> GraphNode {
    graph.withNameScope(name ?? self.name) {
      let step = prepare(graph)
      var nodes: [GraphNode] = []
      for (variable, gradient) in pairs {
        nodes += graph.withNameScope("update_\(variable.name)") { update(variable, gradient: gradient, step) }
      }
      return graph.group(nodes + step.nodes, name: "step")
    }
  }

  /// A variable that belongs to another one, of the same shape: a moment, an accumulator.
  public func slot(_ slotName: String, of variable: Variable, _ initializer: Initializer = .zeros) -> Variable {
    let graph = variable.handle.graph
    guard let shape = variable.shape.known else {
      preconditionFailure("the variable \(variable.name) has an unknown shape")
    }
    let value = graph.variable(slotName, shape, initializer, type: variable.elementType, trainable: false)
    guard let slot = value.variable else { preconditionFailure("a variable's value has a variable") }
    return slot
  }
}
