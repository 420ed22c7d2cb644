import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

extension Graph {
  /// A compiled program as a graph that can be saved, loaded and run again.
  ///
  /// Feeds are placeholders and keep their names. Variables are variables: each is read once, and what the program makes
  /// of them is assigned by the node `update`.
  ///
  /// - Parameters:
  ///   - program: in any form up to `placed`; kernels of the fused form have no text from which they could be read.
  ///   - outputNames: what the results are called: the names that they had before the passes.
  /// - Throws: a diagnostic that names the node that does not fit.
  public convenience init(_ program: Program, outputNames: [String] = []) throws {
    self.init(GraphStorage(), library: program.library)
    let main = program.main
    let body = main.body
    var values: [ValueID: Output] = [:]
    var nodes: [NodeID: NodeID] = [:]
    var handles: [String: (handle: Output, read: NodeID?)] = [:]

    let arguments = Dictionary(
      program.variables.compactMap { variable in variable.argument.map { ($0, variable) } }
    ) { first, _ in first }
    for (i, argument) in main.arguments.enumerated() {
      let producer = body.producer(of: argument)
      if let variable = arguments[i] {
        let handle = addHandle(variable)
        let read = add(ReadVariableOp(), [handle], name: "\(variable.name)/Read", site: body.site(of: producer))[0]
        handles[variable.name] = (handle, read.node)
        values[argument] = read
      } else if let type = body.type(of: argument).tensor {
        values[argument] =
          add(
            Placeholder(type.elementType, shape: type.shape), name: body.name(of: producer),
            site: body.site(of: producer)
          )[0]
      }
      nodes[producer] = values[argument]?.node
    }
    for node in body.topologicalOrder(results: main.results, targets: main.targets) where nodes[node] == nil {
      let operands = try body.operands(of: node).map { operand in
        guard let value = values[operand] else {
          throw Diagnostic("'\(body.name(of: operand))' has no value in the program's main function")
        }
        return value
      }
      let new = insert(
        body.operation(of: node), operands, name: body.name(of: node),
        controls: body.controls(of: node).compactMap { nodes[$0] }, site: body.site(of: node),
        scope: body.scope(of: node)
      )
      for (old, output) in zip(body.results(of: node), new.outputs) { values[old] = output }
      nodes[node] = new.node
    }
    addResults(of: program, outputNames) {
      values[body.resolve($0)]
    } handles: {
      handles[$0]
    }
    try DiagnosticList(diagnostics).throwIfAny()
  }

  private func addHandle(_ variable: VariableBinding) -> Output {
    add(
      VarHandleOp(variable.type.elementType, shape: variable.type.shape, sharedName: variable.name), name: variable.name
    )[0]
  }

  private func addResults(
    of program: Program, _ names: [String], _ value: (ValueID) -> Output?,
    handles: (String) -> (handle: Output, read: NodeID?)?
  ) {
    let assigned = Dictionary(
      program.variables.compactMap { variable in variable.result.map { ($0, variable) } }
    ) { first, _ in first }
    var updates: [NodeID] = []
    var number = 0
    for (i, result) in program.main.results.enumerated() {
      guard let output = value(result) else { continue }
      if let variable = assigned[i] {
        let (handle, read) = handles(variable.name) ?? (addHandle(variable), nil)
        let update = addNode(
          AssignVariableOp(), [handle, output], name: "\(variable.name)/Update", controls: read.map { [$0] } ?? [])
        updates.append(update.id)
      } else {
        defer { number += 1 }
        guard number < names.count, output.name != names[number], self.output(named: names[number]) == nil else {
          continue
        }
        add(Identity(), [output], name: names[number])
      }
    }
    if !updates.isEmpty { addNode(NoOp(), name: "update", controls: updates) }
  }
}
