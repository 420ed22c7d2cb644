import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Makes batch normalizations in training, and their gradients, library calls where the target claims them knowing what kernels
/// would save beside them. Casts between 16 bits and the `float32` that is computed with become part of the call.
public struct FormNormalizations: Pass {
  public let name = "FormNormalizations"
  /// Without fusion each operation stays a step of its own; so does an exact session's.
  public var isForming: Bool

  public init(forming: Bool = true) { isForming = forming }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    guard isForming else { return program }
    let target = context.target
    return try program.mapFunctions { function, library throws(Diagnostic) in
      let found = try NormalizationFinder(function, target).calls
      guard !found.isEmpty else { return function }
      let absorbed = Set(found.values.flatMap(\.absorbed))
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        // Its operand is what it would make of it.
        if absorbed.contains(node) { return operands }
        guard let call = found[node] else { return nil }
        context.count("form-normalization")
        return call.write(number: context.newNumber(), &rebuilder)
      }
    }
  }
}

/// The normalizations of a function that the target claims, by node.
private struct NormalizationFinder {
  struct Call {
    var node: NodeID
    var contract: BatchNormalization
    /// The node's program, with what it reads.
    var program: StageProgram
    /// What the images come from, and the casts from 16 bits that do not stay.
    var images: [ValueID]
    var imageCasts: [StageProgram?]
    /// What stands behind the result and does not stay: sums of it alone, as gradients have them, and the cast to 16 bits.
    var absorbed: [NodeID] = []
    var resultCast: StageProgram?
  }

  private(set) var calls: [NodeID: Call] = [:]
  private let body: GraphStorage
  private let uses: ValueUses

  init(_ function: GraphFunction, _ target: any Target) throws(Diagnostic) {
    body = function.body
    let order = body.topologicalOrder(results: function.results, targets: function.targets)
    uses = ValueUses(function, order)
    for node in order {
      guard body.operation(of: node) is any BatchNormalizing, body.controls(of: node).isEmpty,
        !body.isOnHost(node, beside: target), let call = try call(node),
        target.claims(.batchNormalization(call.contract))
      else { continue }
      calls[node] = call
    }
  }

  private func call(_ node: NodeID) throws(Diagnostic) -> Call? {
    let context = LoweringContext(
      operands: body.operands(of: node).map { body.operand($0) },
      results: body.results(of: node).compactMap { body.type(of: $0).tensor }, name: body.name(of: node))
    guard let operation = body.operation(of: node) as? any BatchNormalizing,
      context.operands.allSatisfy({ $0.shape.isFullyKnown }),
      let contract = operation.batchNormalization(context), case .compute(let program) = try body.lowering(of: node)
    else { return nil }
    var images = Array(body.operands(of: node).prefix(contract.imageOperandCount))
    var call = Call(
      node: node, contract: contract, program: program, images: images,
      imageCasts: images.map { _ in nil })
    var result = body.results(of: node)[0]
    while let sum = uses.sole(result), body.operation(of: sum) is AddN, body.operandCount(of: sum) == 1,
      body.controls(of: sum).isEmpty
    {
      call.absorbed.append(sum)
      result = body.results(of: sum)[0]
    }
    let sources = images.map { wideningSource($0) }
    if sources.contains(where: { $0 != nil }) {
      // Kernels read the 16 bits, where a call in float32 would need them widened before.
      guard let type = sources[0]?.type, sources.allSatisfy({ $0?.type == type }), let cast = uses.sole(result),
        body.operation(of: cast) is Cast, body.controls(of: cast).isEmpty,
        body.type(of: body.results(of: cast)[0]).elementType == type
      else { return nil }
      for (i, image) in images.enumerated() {
        call.imageCasts[i] = try stages(body.producer(of: image))
        images[i] = sources[i]?.value ?? image
      }
      call.images = images
      call.absorbed.append(cast)
      call.resultCast = try stages(cast)
      result = body.results(of: cast)[0]
      call.contract.elementType = type
    }
    for user in uses.users(result) where try isKernel(user) {
      call.contract.savedPasses += 2
      break
    }
    // A gradient that comes out of a mask is computed from it twice in place of being written once and read twice.
    if try isKernel(body.producer(of: images[0])) { call.contract.savedPasses += contract.role == .forward ? 2 : 1 }
    return call
  }

  /// Where 16 bits are widened to give a value.
  private func wideningSource(_ value: ValueID) -> (value: ValueID, type: ElementType)? {
    let producer = body.producer(of: value)
    guard body.operation(of: producer) is Cast, body.controls(of: producer).isEmpty,
      case let source = body.operands(of: producer)[0], let type = body.type(of: source).elementType, type.isHalf
    else { return nil }
    return (source, type)
  }

  private func stages(_ node: NodeID) throws(Diagnostic) -> StageProgram? {
    if case .compute(let program) = try body.lowering(of: node) { return program }
    return nil
  }

  /// Whether generated kernels compute a node.
  private func isKernel(_ node: NodeID) throws(Diagnostic) -> Bool {
    if body.traits(of: node).contains(.argument) { return false }
    switch try body.lowering(of: node) {
    case .compute, .view, .reshape, .part, .join: return true
    default: return false
    }
  }
}

extension NormalizationFinder.Call {
  /// The call, with the results of the node in its place.
  fileprivate func write(number: Int, _ rebuilder: inout GraphRebuilder) -> [Output] {
    let body = rebuilder.source.body
    let vectors = body.operands(of: node).prefix(contract.operandCount).dropFirst(images.count)
    let operands = (images + vectors).map { rebuilder.map($0) }
    let types = operands.map { BufferType($0.elementType, $0.shape.known ?? []) }
    var parts: [StageProgram.Part] = []
    var wires = operands.indices.map { StageProgram.Wire.input($0) }
    for (i, cast) in imageCasts.enumerated() {
      guard let cast else { continue }
      parts.append(StageProgram.Part(program: cast, inputs: [wires[i]]))
      wires[i] = .part(parts.count - 1, output: 0)
    }
    var program = program
    // What stands behind is not read.
    program.inputs.removeLast(program.inputs.count - wires.count)
    parts.append(StageProgram.Part(program: program, inputs: wires))
    var outputs = (0..<contract.resultCount).map { StageProgram.Wire.part(parts.count - 1, output: $0) }
    if let resultCast {
      parts.append(StageProgram.Part(program: resultCast, inputs: [outputs[0]]))
      outputs[0] = .part(parts.count - 1, output: 0)
    }
    let call = LibraryCall(
      number: number, label: body.label(of: node), contract: .batchNormalization(contract),
      reference: StageProgram.composed(parts, inputs: types, outputs: outputs).fused())
    func insert(_ operation: any Operation, _ operands: [Output], _ suffix: String) -> [Output] {
      rebuilder.graph.insert(
        operation, operands, name: body.name(of: node) + suffix, controls: [], site: body.site(of: node),
        scope: body.scope(of: node)
      ).outputs
    }
    // The other results are empty.
    return insert(call, operands, "")
      + body.results(of: node).indices.dropFirst(contract.resultCount).map { i in
        insert(Const(Tensor(zeros: .float32, shape: [0])), [], "/result_\(i)")[0]
      }
  }
}
