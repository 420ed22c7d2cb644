import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Turns a function's nodes into the nodes and values of a block by asking each for its lowering.
struct BlockBuilder {
  let function: GraphFunction
  let planner: Planner
  private(set) var draft: BlockDraft
  /// For each value of the graph its value in the draft.
  private var values: [Int?]
  private var incomingValues: [Int: Int] = [:]

  init(_ function: GraphFunction, planner: Planner) {
    self.function = function
    self.planner = planner
    draft = BlockDraft(name: function.name)
    values = Array(repeating: nil, count: function.body.valueCount)
  }

  /// Builds the draft.
  ///
  /// - Parameter arguments: the slots that hold the arguments; nil for one that the run does not bind.
  /// - Returns: the values that are the function's results, in order.
  mutating func build(arguments: [Int?]) throws(Diagnostic) -> [Int] {
    let body = function.body
    for (argument, slot) in zip(function.arguments, arguments) {
      guard let slot else { continue }
      values[Int(argument.index)] = incoming(slot)
    }
    for (row, node) in body.topologicalOrder(results: function.results, targets: function.targets).enumerated() {
      guard !body.traits(of: node).contains(.argument) else { continue }
      do throws(Diagnostic) { try add(node, row: row) } catch {
        var diagnostic = error
        if diagnostic.operation == nil {
          diagnostic.operation = "\(body.schema(of: node).name) '\(body.name(of: node))'"
        }
        if diagnostic.site == .unknown { diagnostic.site = body.site(of: node) }
        throw diagnostic
      }
    }
    return try results(function.results)
  }

  private func results(_ ids: [ValueID]) throws(Diagnostic) -> [Int] {
    var found: [Int] = []
    for id in ids { found.append(try value(function.body.resolve(id))) }
    return found
  }

  private func value(_ id: ValueID) throws(Diagnostic) -> Int {
    guard let value = values[Int(id.index)] else {
      let node = function.body.producer(of: id)
      throw Diagnostic(
        "\(function.body.schema(of: node).name) '\(function.body.name(of: node))' has no value in this run",
        found: "\(function.body.type(of: id))", site: function.body.site(of: node))
    }
    return value
  }

  private mutating func add(_ node: NodeID, row: Int) throws(Diagnostic) {
    let body = function.body
    let ids = body.operands(of: node)
    let outputs = body.results(of: node)
    var results: [(type: TensorType, byteCount: Int, name: String)] = []
    for id in outputs {
      guard let type = body.type(of: id).tensor else { continue }
      results.append((type, try Planner.byteCount(of: type, name: body.name(of: id)), body.name(of: id)))
    }
    for id in ids {
      if let type = body.type(of: id).tensor { _ = try Planner.byteCount(of: type, name: body.name(of: id)) }
    }
    var context = LoweringContext(
      operands: ids.map { body.operand($0) }, results: results.map(\.type), name: body.name(of: node))
    let lowering = try body.operation(of: node).lowering(&context)
    let label = body.label(of: node)
    let origin = planner.origin(PlanOrigin(operation: label, name: body.name(of: node), site: body.site(of: node)))

    let isOnHost = body.isOnHost(node, beside: planner.target)
    switch lowering {
    case .compute(let program), .view(let program):
      try addKernel(program, label, ids, outputs, results, origin, row, isOnHost: isOnHost)
    case .library(let contract, _), .libraryOrComposite(let contract, _):
      let device = planner.device(onHost: isOnHost)
      guard device.claims(contract) else {
        if case .library(_, let reference) = lowering {
          try addKernel(reference, label, ids, outputs, results, origin, row, isOnHost: isOnHost)
          break
        }
        throw Diagnostic(
          "no library does the operation any more", operation: "\(label) '\(body.name(of: node))'",
          found: "\(device.name)", site: body.site(of: node),
          hint: "compile for a device that has not lost its libraries since the operation was left whole")
      }
      let numbers = draft.add(
        .library(planner.contract(contract)), operands: try operands(ids), results: results, origin: origin, row: row,
        isWide: device.isWide(contract), isOnHost: isOnHost)
      bind(outputs, numbers)
    case .reshape:
      bind(outputs, [try value(ids[0])])
    case .part(let offset, _):
      let result = results[0]
      bind(
        outputs,
        [
          draft.addPart(
            of: try value(ids[0]), offset: offset, type: result.type, byteCount: result.byteCount, name: result.name)
        ])
    case .join(let count, _):
      let numbers = draft.add(
        .join, operands: try operands(Array(ids.prefix(count))), results: results, origin: origin, row: row)
      bind(outputs, numbers)
    case .host(let code):
      if !isOnHost,
        let own = try planner.target.code(
          for: code, operands: ids.compactMap { body.type(of: $0).tensor }, results: results.map(\.type))
      {
        let numbers = draft.add(
          .kernel(planner.kernel(own, label: label)), operands: try operands(ids), results: results, origin: origin,
          row: row, hasEffect: code.effect != nil, canFail: true)
        bind(outputs, numbers)
        break
      }
      let call = HostCall(
        operation: body.operation(of: node), operands: context.operands, results: results.map(\.type),
        name: body.name(of: node))
      let numbers = draft.add(
        .host(planner.add(call)), operands: try operands(ids), results: results, origin: origin, row: row,
        hasEffect: code.effect != nil, canFail: true, isOnHost: true)
      bind(outputs, numbers)
    case .conditional(let then, let otherwise):
      let branches = (try planner.function(then), try planner.function(otherwise))
      let numbers = draft.add(
        .conditional(then: branches.0, else: branches.1), operands: try operands(ids), results: results,
        origin: origin, row: row, hasEffect: planner.hasEffect(branches.0) || planner.hasEffect(branches.1),
        canFail: planner.canFail(branches.0) || planner.canFail(branches.1))
      bind(outputs, numbers)
    case .loop(let condition, let body):
      try addLoop(try planner.function(condition), try planner.function(body), ids, outputs, results, origin, row)
    case .constant(let constant):
      bind(outputs, [incoming(planner.slot(of: constant, name: results[0].name))])
    case .bound:
      // A value from outside that nothing was bound to matters only if it is used.
      break
    case .nothing:
      break
    case .composite:
      throw Diagnostic("was not expanded before scheduling")
    }
  }

  /// The value of a slot from outside the block, one for each slot.
  private mutating func incoming(_ slot: Int) -> Int {
    if let known = incomingValues[slot] { return known }
    let source = planner.slots[slot]
    let value = draft.add(
      incoming: slot, type: source.type ?? TensorType(.uint8, [source.byteCount]), byteCount: source.byteCount,
      name: source.name)
    incomingValues[slot] = value
    return value
  }

  private func operands(_ ids: [ValueID]) throws(Diagnostic) -> [Int] {
    var found: [Int] = []
    for id in ids { found.append(try value(id)) }
    return found
  }

  private mutating func bind(_ ids: [ValueID], _ numbers: [Int]) {
    for (id, number) in zip(ids, numbers) { values[Int(id.index)] = number }
  }

  private mutating func addKernel(
    _ program: StageProgram, _ label: String, _ ids: [ValueID], _ outputs: [ValueID],
    _ results: [(type: TensorType, byteCount: Int, name: String)], _ origin: Int, _ row: Int, isOnHost: Bool
  ) throws(Diagnostic) {
    guard program.inputs.count == ids.count, program.outputs.count == outputs.count else {
      throw Diagnostic(
        "the lowering does not fit the operation", required: "\(ids.count) operands and \(outputs.count) results",
        found: "\(program.inputs.count) inputs and \(program.outputs.count) outputs")
    }
    let kernel = try planner.kernel(program, label: label, onHost: isOnHost)
    let numbers = draft.add(
      .kernel(kernel), operands: try operands(ids), results: results, origin: origin, row: row,
      canFail: program.canFail, isWide: planner.isWide(kernel: kernel, onHost: isOnHost),
      isOnHost: isOnHost)
    bind(outputs, numbers)
  }

  /// Adds a loop: what its body hands on unchanged is read where it is; what changes is copied into the loop's state
  /// first, a copy that falls away where the old value is not needed any more.
  private mutating func addLoop(
    _ condition: GraphFunction, _ body: GraphFunction, _ ids: [ValueID], _ outputs: [ValueID],
    _ results: [(type: TensorType, byteCount: Int, name: String)], _ origin: Int, _ row: Int
  ) throws(Diagnostic) {
    var arguments = try operands(ids)
    let changing = body.results.indices.filter { body.body.resolve(body.results[$0]) != body.arguments[$0] }
    for i in changing {
      let type = body.body.type(of: body.body.resolve(body.results[i])).tensor
      guard let type, type.shape.known == results[i].type.shape.known,
        type.elementType == results[i].type.elementType
      else {
        throw Diagnostic(
          "the loop's value \(i) changes its type from one iteration to the next", required: "\(results[i].type)",
          found: type.map { "\($0)" } ?? "no tensor")
      }
      arguments[i] = draft.addCopy(of: arguments[i], row: row)
      draft.values[arguments[i]].name = results[i].name
      draft.nodes[draft.nodes.count - 1].origin = origin
    }
    let numbers = draft.add(
      .loop(condition: condition, body: body, changing: changing), operands: arguments,
      results: changing.map { results[$0] }, origin: origin, row: row,
      hasEffect: planner.hasEffect(condition) || planner.hasEffect(body),
      canFail: planner.canFail(condition) || planner.canFail(body))
    var bound = arguments
    for (i, number) in zip(changing, numbers) {
      draft.values[number].cell = arguments[i]
      bound[i] = number
    }
    bind(outputs, bound)
  }
}
