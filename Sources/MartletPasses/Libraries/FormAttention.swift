import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Puts attention, which a graph has as products and a softmax, into one call each, and its gradient into another: the
/// scores are never stored.
///
/// What comes out: `LibraryCall` nodes, for those that the target claims. The division by a row's sum comes behind the
/// second product, so a result may differ by rounding from that of the graph as written.
public struct FormAttention: Pass {
  public let name = "FormAttention"
  /// Without fusion each operation stays a step of its own; so does an exact session's.
  public var isForming: Bool

  /// Whether a gradient computes weights again even where keeping them takes little memory.
  public var isSavingMemory: Bool

  public init(forming: Bool = true, savingMemory: Bool = false) {
    (isForming, isSavingMemory) = (forming, savingMemory)
  }

  /// Weights of at most so many bytes, which caches hold or nearly so, are read by a gradient sooner than they are computed again.
  private static let keptByteCount = 16 << 20

  /// Masks of more elements are not looked into.
  private static let maximumMaskCount = 1 << 25

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    guard isForming else { return program }
    let (target, evaluate) = (context.target, context.evaluate)
    return try program.mapFunctions { function, library in
      let found = try Self.calls(function, library, target, evaluate).filter {
        isSavingMemory || $0.isFaster(keeping: Self.keptByteCount)
      }
      guard !found.isEmpty else { return function }
      var former = Former(found, function.body, target: target)
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, _ throws(Diagnostic) in
        try former.replace(node, &rebuilder, &context)
      }
    }
  }

  /// The calls that the target claims, causal masks among what they say.
  private static func calls(
    _ function: GraphFunction, _ library: FunctionLibrary, _ target: any Target,
    _ evaluate: (@Sendable (Program) throws -> [Tensor])?
  ) throws -> [AttentionFinder.Call] {
    func claimed(_ finder: AttentionFinder?) -> [AttentionFinder.Call] {
      finder?.calls().filter { call in
        target.claims(.attention(call.contract))
          && call.gradient.map { target.claims(.attentionGradient($0.contract)) } ?? true
      } ?? []
    }
    let found = claimed(AttentionFinder(function))
    let bands = try bands(Set(found.flatMap(\.masks)).sorted(), function, library, evaluate)
    return bands.isEmpty ? found : claimed(AttentionFinder(function, bands: bands))
  }

  /// Those of some masks that are causal.
  private static func bands(
    _ masks: [ValueID], _ function: GraphFunction, _ library: FunctionLibrary,
    _ evaluate: (@Sendable (Program) throws -> [Tensor])?
  ) throws -> [ValueID: CausalBand] {
    let body = function.body
    var bands: [ValueID: CausalBand] = [:]
    var computed: [ValueID] = []
    var known: [NodeID: Bool] = [:]
    for mask in masks {
      guard let extents = body.type(of: mask).shape.known, extents.reduce(1, *) <= maximumMaskCount,
        extents.dropLast(2).allSatisfy({ $0 == 1 })
      else { continue }
      if let constant = body.constant(mask) {
        bands[mask] = CausalBand(constant.tensor)
      } else if isConstant(body.producer(of: mask), body, &known) {
        computed.append(mask)
      }
    }
    guard let evaluate, !computed.isEmpty else { return bands }
    let masks = GraphFunction(name: "masks", body: body, arguments: [], results: computed)
    for (mask, tensor) in zip(computed, try evaluate(Program(main: masks, library: library))) {
      bands[mask] = CausalBand(tensor)
    }
    return bands
  }

  /// Whether a node depends on constants alone.
  private static func isConstant(_ node: NodeID, _ body: GraphStorage, _ known: inout [NodeID: Bool]) -> Bool {
    if let answer = known[node] { return answer }
    let traits = body.traits(of: node)
    var answer = traits.contains(.constant)
    if !answer, traits.contains(.pure), !traits.contains(.argument), !traits.contains(.placeholder),
      body.controls(of: node).isEmpty, body.operandCount(of: node) > 0
    {
      answer = body.operands(of: node).allSatisfy { isConstant(body.producer(of: $0), body, &known) }
    }
    known[node] = answer
    return answer
  }
}

extension AttentionFinder.Call {
  /// Whether calls take less time than the operations, as far as the extents tell: a gradient's do if a causal mask leaves out
  /// half of the work, or if weights have to be fetched from memory.
  fileprivate func isFaster(keeping keptByteCount: Int) -> Bool {
    guard gradient != nil else { return true }
    if case .causal? = contract.selection?.condition { return true }
    let (heads, scores) = (contract.batch * contract.heads, contract.queries * contract.keys)
    return heads * scores * contract.elementType.byteWidth > keptByteCount
  }
}

/// Writes the calls of one function.
private struct Former {
  private let target: any Target
  private var calls: [NodeID: AttentionFinder.Call] = [:]
  /// For each of a gradient's nodes the attention's node.
  private var gradients: [NodeID: NodeID] = [:]
  /// By attention: its statistics, and the results of its gradient.
  private var statistics: [NodeID: [Output]] = [:]
  private var gradientResults: [NodeID: [Output]] = [:]
  private var lowerings: LoweringTable
  /// What calls without a gradient compute: the same in most layers of a model.
  private var references: [ReferenceKey: StageProgram] = [:]

  private struct ReferenceKey: Hashable {
    var contract: Attention
    /// For each member its lowering and, of each operand, its number among the call's operands and the members' results, or else
    /// its value.
    var parts: [Int]
  }

  init(_ calls: [AttentionFinder.Call], _ body: GraphStorage, target: any Target) {
    self.target = target
    lowerings = LoweringTable(body)
    for call in calls {
      self.calls[call.root] = call
      for root in call.gradient?.roots ?? [] { gradients[root] = call.root }
    }
  }

  mutating func replace(
    _ node: NodeID, _ rebuilder: inout GraphRebuilder, _ context: inout PassContext
  ) throws(Diagnostic) -> [Output]? {
    let body = rebuilder.source.body
    if let call = calls[node] {
      let reference = try reference(of: call, body)
      let outputs = insert(
        .attention(call.contract), reference, call.members, call.operands.map { rebuilder.map($0) }, at: node,
        &rebuilder, &context)
      statistics[node] = Array(outputs.dropFirst())
      return [outputs[0]]
    }
    guard let attention = gradients[node], let call = calls[attention], let gradient = call.gradient,
      let place = gradient.roots.firstIndex(of: node)
    else { return nil }
    if let results = gradientResults[attention] { return [results[place]] }
    let operands = call.operands + [gradient.resultGradient, body.results(of: call.root)[0]]
    let reference = try AttentionReference(call, body, target).gradient(gradient)
    let results = insert(
      .attentionGradient(gradient.contract), reference, gradient.members,
      operands.map { rebuilder.map($0) } + (statistics[attention] ?? []), at: node, &rebuilder, &context)
    gradientResults[attention] = results
    return [results[place]]
  }

  private mutating func reference(
    of call: AttentionFinder.Call, _ body: GraphStorage
  ) throws(Diagnostic) -> StageProgram {
    guard call.gradient == nil else { return try AttentionReference(call, body, target).forward() }
    var numbers: [ValueID: Int] = [:]
    for (i, operand) in call.operands.enumerated() where numbers[operand] == nil { numbers[operand] = i }
    var count = call.operands.count
    var parts = [count]
    func append(_ value: ValueID) { parts.append(numbers[value] ?? -1 - Int(value.index)) }
    for member in call.members {
      parts.append(try lowerings.number(of: member))
      body.operands(of: member).forEach(append)
      for result in body.results(of: member) {
        numbers[result] = count
        count += 1
      }
    }
    if let mask = call.causalMask { append(mask) }
    append(body.results(of: call.root)[0])
    let key = ReferenceKey(contract: call.contract, parts: parts)
    if let known = references[key] { return known }
    let reference = try AttentionReference(call, body, target).forward()
    references[key] = reference
    return reference
  }

  private func insert(
    _ contract: LibraryContract, _ reference: StageProgram, _ members: [NodeID], _ operands: [Output],
    at node: NodeID, _ rebuilder: inout GraphRebuilder, _ context: inout PassContext
  ) -> [Output] {
    let body = rebuilder.source.body
    context.count("form-attention")
    let operation = LibraryCall(
      number: context.newNumber(), label: members.map { body.schema(of: $0).name }.joined(separator: "+"),
      contract: contract, reference: reference)
    return rebuilder.graph.insert(
      operation, operands, name: body.name(of: node), controls: [], site: body.site(of: node),
      scope: body.scope(of: node)
    ).outputs
  }
}
