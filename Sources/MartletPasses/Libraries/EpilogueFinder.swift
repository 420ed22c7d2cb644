import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Finds for the library calls of a function the operations behind them that they could do as well.
///
/// For each call a region grows from user to user: nodes that compute with its result and with what does not depend on
/// it. Wherever one value alone leaves the region, the region's stages are fused and matched; of all matches the target
/// gets the largest one that it claims.
struct EpilogueFinder {
  /// A call with its epilogue.
  struct Call {
    /// The node of the library call.
    var base: NodeID
    /// The value that the call computes now.
    var result: ValueID
    /// What its GELU is given, where that is a second result.
    var geluInput: ValueID?
    /// The operations it stands for, in order.
    var members: [NodeID]
    var contract: LibraryContract
    var reference: StageProgram
    /// The same for calls with equal reference stages.
    var lowering: Int
    var match: EpilogueMatch
    /// The values behind the inputs of the match's programs.
    var inputs: [ValueID]
    var inputTypes: [BufferType]
  }

  /// The bound on the nodes of a region, and on those that are asked whether they depend on it.
  private static let regionLimit = 24
  private static let walkLimit = 256
  /// How many calls the target is told of ahead. Graphs with more repeat them.
  private static let preparedLimit = 256

  private let function: GraphFunction
  private let body: GraphStorage
  private let target: any Target
  private let isFoldingScales: Bool
  private let isExact: Bool
  private var users: [[NodeID]]
  /// For each value the nodes that use it.
  private var userCounts: [Int]
  private var positions: [Int]
  private let order: [NodeID]
  private let results: Set<ValueID>
  private var isTaken: [Bool]
  private var lowerings: LoweringTable
  private var programs = KernelComposer.Known()
  private var matches: [MatchKey: EpilogueMatch?] = [:]

  private struct MatchKey: Hashable {
    var program: Int
    var base: Int
    var channelAxis: Int
    var takesFactors: Bool
  }

  init(_ function: GraphFunction, target: any Target, isFoldingScales: Bool, isExact: Bool) {
    self.function = function
    self.target = target
    (self.isFoldingScales, self.isExact) = (isFoldingScales, isExact)
    body = function.body
    lowerings = LoweringTable(body, exact: isExact)
    order = function.body.topologicalOrder(results: function.results, targets: function.targets)
    results = Set(function.results.map { function.body.resolve($0) })
    users = Array(repeating: [], count: function.body.nodeCount)
    userCounts = Array(repeating: 0, count: function.body.valueCount)
    positions = Array(repeating: -1, count: function.body.nodeCount)
    isTaken = Array(repeating: false, count: function.body.nodeCount)
    var lastUser = Array(repeating: -1, count: function.body.valueCount)
    for (i, node) in order.enumerated() {
      positions[Int(node.index)] = i
      // Calls of the target's libraries do not reach beyond the target.
      isTaken[Int(node.index)] = body.isOnHost(node, beside: target)
      for operand in body.operands(of: node) {
        if lastUser[Int(operand.index)] != i { userCounts[Int(operand.index)] += 1 }
        lastUser[Int(operand.index)] = i
        let producer = Int(body.producer(of: operand).index)
        if users[producer].last != node { users[producer].append(node) }
      }
    }
  }

  /// The calls that change, by the node whose result they compute first.
  mutating func calls() throws(Diagnostic) -> [NodeID: Call] {
    var known = try prepareTarget()
    var found: [NodeID: Call] = [:]
    for node in order {
      let candidates = if let known = known[node] { known } else { try candidates(node) }
      let number = candidates.lastIndex { target.claims($0.contract) }
      // Where less is taken than was expected, there may be more behind it.
      if number != candidates.indices.last { known = [:] }
      guard let number else { continue }
      let call = candidates[number]
      take(call)
      found[body.producer(of: call.geluInput ?? call.result)] = call
    }
    return found
  }

  /// Tells the target what it will be asked about if it claims the largest matches, as it mostly does.
  ///
  /// - Returns: The candidates of nodes as they are then.
  private mutating func prepareTarget() throws(Diagnostic) -> [NodeID: [Call]] {
    let before = isTaken
    var known: [NodeID: [Call]] = [:]
    var contracts: [LibraryContract] = []
    for node in order where contracts.count < Self.preparedLimit {
      let candidates = try candidates(node)
      known[node] = candidates
      guard let largest = candidates.last else { continue }
      take(largest)
      contracts.append(largest.contract)
    }
    isTaken = before
    target.prepare(contracts)
    return known
  }

  private mutating func take(_ call: Call) {
    for member in call.members { isTaken[Int(member.index)] = true }
  }

  /// The calls that a node could become, ever larger; none for what is no library call.
  private mutating func candidates(_ node: NodeID) throws(Diagnostic) -> [Call] {
    guard !isTaken[Int(node.index)], body.resultCount(of: node) == 1, body.operandCount(of: node) >= 2,
      !(body.operation(of: node) is any Elementwise), !body.traits(of: node).contains(.argument),
      case .library(let contract, let reference) = try lowerings.lowering(of: node),
      contract.epilogue?.isEmpty == true
    else { return [] }
    return try candidates(node, contract, reference)
  }

  private mutating func candidates(
    _ node: NodeID, _ contract: LibraryContract, _ reference: StageProgram
  ) throws(Diagnostic) -> [Call] {
    let isConstant = isConstant(body.operands(of: node)[1])
    let lowering = try lowerings.number(of: node)
    let contract = isConstant ? contract.withConstantOperand : contract
    let type = reference.type(of: reference.outputs[0])
    let channelAxis = contract.channelAxis(ofRank: type.extents.count)
    var matches: [Call] = []
    if isConstant {
      // That is worth knowing by itself.
      matches.append(
        Call(
          base: node, result: body.results(of: node)[0], members: [node], contract: contract, reference: reference,
          lowering: lowering, match: EpilogueMatch(elementType: type.elementType, extents: type.extents), inputs: [],
          inputTypes: []))
    }
    // Each operation has its own rounding to 16 bits in an exact session.
    let regions = isExact && type.elementType.isHalf ? [] : try regions(of: node)
    for region in regions {
      let (members, result) = (region.members, region.result)
      if let input = region.geluInput {
        if let last = matches.last, let call = try storing(input, result, behind: last) { matches.append(call) }
        continue
      }
      var composer = KernelComposer(body: body)
      for member in try withRepeated(members) {
        switch try role(of: member) {
        case .stages(let program), .reshape(let program), .repeated(let program):
          composer.add(member, program, lowering: try lowerings.number(of: member))
        case .barrier, .join: continue
        }
      }
      let (number, program) = composer.program(outputs: [result], repeating: true, &programs)
      guard let base = composer.inputs.firstIndex(of: body.results(of: node)[0]),
        let match = match(
          program,
          MatchKey(
            program: number, base: base, channelAxis: channelAxis, takesFactors: !isConstant && isFoldingScales)),
        match.scale == nil || (isConstant && isFoldingScales),
        let whole = contract.with(match.epilogue).with(resultType: match.elementType)
      else { continue }
      matches.append(
        Call(
          base: node, result: result, members: [node] + members, contract: whole, reference: reference,
          lowering: lowering, match: match, inputs: composer.inputs, inputTypes: program.inputs))
    }
    return matches
  }

  /// A call that computes what GELU is given, with the GELU as well; nil where it is none that libraries have.
  private mutating func storing(
    _ input: ValueID, _ result: ValueID, behind call: Call
  ) throws(Diagnostic) -> Call? {
    let node = body.producer(of: result)
    guard call.result == input, !call.contract.isActivated, case .stages(let program) = try role(of: node) else {
      return nil
    }
    let match = EpilogueMatcher.match(
      program, base: 0, channelAxis: call.match.extents.count - 1, takesFactors: false)
    guard match?.epilogue == Epilogue(activation: .geluByTanh) else { return nil }
    var whole = call
    (whole.result, whole.geluInput) = (result, input)
    whole.members.append(node)
    whole.match.activation = .geluByTanh
    guard case .matrixProduct(var product) = call.contract.with(whole.match.epilogue) else { return nil }
    product.storesGELUInput = true
    whole.contract = .matrixProduct(product)
    return whole
  }

  private mutating func match(_ program: StageProgram, _ key: MatchKey) -> EpilogueMatch? {
    if let known = matches[key] { return known }
    let match = EpilogueMatcher.match(
      program, base: key.base, channelAxis: key.channelAxis, takesFactors: key.takesFactors)
    matches[key] = .some(match)
    return match
  }

  // MARK: Regions

  /// Nodes behind a call that one value alone leaves, or beside it what it may be the GELU of.
  private struct Leaving {
    var members: [NodeID]
    var result: ValueID
    var geluInput: ValueID?
  }

  /// Ever larger sets of nodes behind a call.
  private mutating func regions(of node: NodeID) throws(Diagnostic) -> [Leaving] {
    var found: [Leaving] = []
    var members: [NodeID] = []
    var region = Region(node)
    enter(node, &region)
    while members.count < Self.regionLimit, let next = region.open.popLast() {
      guard try isExtension(next, of: region.nodes, from: node) else {
        // What it reads leaves the region for good.
        if region.leaving.count == 1 { break }
        continue
      }
      members.append(next)
      region.nodes.insert(next)
      enter(next, &region)
      if region.leaving.count == 1, let value = region.leaving.first, body.producer(of: value) != node {
        found.append(Leaving(members: members, result: value))
      } else if let last = found.last, last.geluInput == nil, last.members.count == members.count - 1,
        region.leaving.count == 2, region.leaving.contains(last.result), body.operands(of: next) == [last.result],
        body.resultCount(of: next) == 1, body.resultCount(of: body.producer(of: last.result)) == 1
      {
        found.append(Leaving(members: members, result: body.results(of: next)[0], geluInput: last.result))
      }
    }
    return found
  }

  /// A region with what decides about its growth.
  private struct Region {
    var nodes: Set<NodeID>
    /// The users that have not been looked at, the first in order last.
    var open: [NodeID] = []
    private var seen: Set<NodeID>
    /// The values that are results of the function, or that nodes outside use.
    var leaving: Set<ValueID> = []
    /// For each value of the region the nodes outside that use it.
    var outsideUsers: [ValueID: Int] = [:]

    init(_ node: NodeID) { (nodes, seen) = ([node], [node]) }

    mutating func offer(_ user: NodeID, _ positions: [Int]) {
      guard seen.insert(user).inserted else { return }
      var (low, high) = (0, open.count)
      while low < high {
        let middle = (low + high) / 2
        if positions[Int(open[middle].index)] > positions[Int(user.index)] { low = middle + 1 } else { high = middle }
      }
      open.insert(user, at: low)
    }
  }

  /// Takes the values that a new node of the region reads and computes into account, and its users.
  private func enter(_ node: NodeID, _ region: inout Region) {
    var met: [ValueID] = []
    for operand in body.operands(of: node) {
      guard let count = region.outsideUsers[operand], !met.contains(operand) else { continue }
      met.append(operand)
      region.outsideUsers[operand] = count - 1
      if count == 1, !results.contains(operand) { region.leaving.remove(operand) }
    }
    for result in body.results(of: node) {
      let count = userCounts[Int(result.index)]
      region.outsideUsers[result] = count
      if count > 0 || results.contains(result) { region.leaving.insert(result) }
    }
    for user in users[Int(node.index)] { region.offer(user, positions) }
  }

  private mutating func isExtension(
    _ node: NodeID, of region: Set<NodeID>, from base: NodeID
  ) throws(Diagnostic) -> Bool {
    guard !isTaken[Int(node.index)], body.controls(of: node).isEmpty else { return false }
    switch try role(of: node) {
    case .barrier, .repeated, .join: return false
    case .stages(let program), .reshape(let program): guard program.isOfMaps else { return false }
    }
    return body.operands(of: node).allSatisfy { operand in
      let producer = body.producer(of: operand)
      return region.contains(producer) || !depends(producer, on: base)
    }
  }

  /// Whether a node may depend on another; true where it takes too long to find out.
  private func depends(_ node: NodeID, on base: NodeID) -> Bool {
    let start = positions[Int(base.index)]
    var seen: Set<NodeID> = [node]
    var stack = [node]
    while let next = stack.popLast() {
      if next == base { return true }
      guard positions[Int(next.index)] > start else { continue }
      for before in body.operands(of: next).map({ body.producer(of: $0) }) + body.controls(of: next)
      where seen.insert(before).inserted {
        stack.append(before)
      }
      if seen.count > Self.walkLimit { return true }
    }
    return false
  }

  // MARK: Nodes

  private mutating func role(of node: NodeID) throws(Diagnostic) -> KernelGrouping.Role {
    // No region takes in another library call, whoever does it; the target need not look at it without an epilogue.
    if case .library(_, let reference) = try lowerings.lowering(of: node), !reference.isOfMaps { return .barrier }
    return try lowerings.role(of: node, target)
  }

  /// The nodes with what they repeat, in order.
  private mutating func withRepeated(_ members: [NodeID]) throws(Diagnostic) -> [NodeID] {
    var all = Set(members)
    var stack = members
    while let node = stack.popLast() {
      for operand in body.operands(of: node) {
        let producer = body.producer(of: operand)
        guard !all.contains(producer), !body.traits(of: producer).contains(.argument),
          case .repeated = try role(of: producer)
        else { continue }
        all.insert(producer)
        stack.append(producer)
      }
    }
    return all.sorted { positions[Int($0.index)] < positions[Int($1.index)] }
  }

  private func isConstant(_ value: ValueID) -> Bool { body.traits(of: body.producer(of: value)).contains(.constant) }
}

extension LibraryContract {
  /// Whether nothing can come behind the epilogue.
  fileprivate var isActivated: Bool { epilogue.map { $0.activation != nil || $0.isGradient } ?? true }
}

extension StageProgram {
  /// Whether each stage computes its elements one by one.
  fileprivate var isOfMaps: Bool { stages.allSatisfy { if case .map = $0.kind { true } else { false } } }
}
