import MartletDiagnostics
import MartletTensors

extension Graph {
  /// Adds copies of the nodes that a sub-graph's results need, with the given values as its arguments, and returns the
  /// results. Nodes that are there only for their effects are left out.
  ///
  /// Copies keep their names, within the current scope, and their sites.
  public func inline(_ function: GraphFunction, _ arguments: [Output]) -> [Output] {
    precondition(arguments.count == function.arguments.count, "\(function.name) is given a value for each argument")
    let body = function.body
    var values: [ValueID: Output] = [:]
    var nodes: [NodeID: NodeID] = [:]
    for (argument, value) in zip(function.arguments, arguments) { values[argument] = value }
    for node in body.topologicalOrder(results: function.results, targets: []) {
      let results = body.results(of: node)
      if let first = results.first, values[first] != nil { continue }
      let operands = body.operands(of: node).compactMap { values[$0] }
      let controls = body.controls(of: node).compactMap { nodes[$0] }
      let copies = add(
        body.operation(of: node), operands, name: body.name(of: node), controls: controls, site: body.site(of: node))
      for (old, new) in zip(results, copies) { values[old] = new }
      if let first = copies.first { nodes[node] = first.node }
    }
    return function.results.map { result in
      guard let value = values[body.resolve(result)] else {
        preconditionFailure("\(function.name) has a result that nothing computes")
      }
      return value
    }
  }
}
