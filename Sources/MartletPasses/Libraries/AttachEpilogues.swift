import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Has library calls do what follows them: adding a bias or a residual, an activation, the gradient of a ReLU or GELU, and with
/// constant filters the scale of a batch normalization.
///
/// What comes out: `LibraryCall` nodes. A scale goes into the constant operand, whose product with it is left to
/// `EvaluateConstants`.
public struct AttachEpilogues: Pass {
  public let name = "AttachEpilogues"
  /// Without fusion each operation stays a step of its own.
  public var isFusing: Bool
  /// Whether factors may go into constant operands, which changes how results are rounded.
  public var isFoldingScales: Bool
  /// Whether operations keep their own rounding to 16 bits within a call.
  public var isExact: Bool

  public init(fusing: Bool = true, foldingScales: Bool = true, exact: Bool = false) {
    (isFusing, isFoldingScales, isExact) = (fusing, foldingScales, exact)
  }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    guard isFusing else { return program }
    let target = context.target
    var references: [EpilogueWriter.ReferenceKey: StageProgram] = [:]
    return try program.mapFunctions { function, library throws(Diagnostic) in
      var finder = EpilogueFinder(function, target: target, isFoldingScales: isFoldingScales, isExact: isExact)
      let calls = try finder.calls()
      guard !calls.isEmpty else { return function }
      let stored = Self.storedMasks(calls, function.body, target)
      var masks: [ValueID: Output] = [:]
      // The results of calls whose second results came first.
      var results: [NodeID: Output] = [:]
      references = [:]
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        if let result = results[node] { return [result] }
        guard let call = calls[node] else { return nil }
        context.count(call.contract.epilogue?.ruleName ?? "")
        var writer = EpilogueWriter(call, node: node, rebuilder: rebuilder, masks: masks)
        let outputs = try writer.write(&references, storingMask: stored.contains(call.result), &context)
        let output = outputs[0]
        let body = rebuilder.source.body
        if call.geluInput != nil {
          results[body.producer(of: call.result)] = output
          return [outputs[1]]
        }
        if outputs.count > 1 { masks[call.result] = outputs[1] }
        guard body.resultCount(of: node) > 1 else { return [output] }
        // Nobody reads the other results.
        var results = rebuilder.graph.insert(
          body.operation(of: node), operands, name: body.name(of: node) + "/rest", controls: [],
          site: body.site(of: node), scope: body.scope(of: node)
        ).outputs
        results[body.resultNumber(of: call.result)] = output
        return results
      }
    }
  }

  /// The results whose masks other calls want and their own calls can store.
  private static func storedMasks(
    _ calls: [NodeID: EpilogueFinder.Call], _ body: GraphStorage, _ target: any Target
  ) -> Set<ValueID> {
    var stored: Set<ValueID> = []
    for call in calls.values {
      guard let value = call.match.mask.map({ call.inputs[$0] }), let source = calls[body.producer(of: value)],
        source.result == value, let contract = source.contract.storingMask, target.claims(contract)
      else { continue }
      stored.insert(value)
    }
    return stored
  }
}

extension LibraryContract {
  /// The same with a mask of the result; nil for what is no product with a ReLU.
  fileprivate var storingMask: LibraryContract? {
    guard case .matrixProduct(var product) = self, product.epilogue.activation == .relu(slope: 0) else { return nil }
    product.storesMask = true
    return .matrixProduct(product)
  }
}

extension Epilogue {
  /// For statistics: "attach-bias-residual-relu".
  fileprivate var ruleName: String {
    let name: String? =
      switch activation {
      case nil: nil
      case .relu: "relu"
      case .clip: "clip"
      case .elu: "elu"
      case .tanh: "tanh"
      case .sigmoid: "sigmoid"
      case .gelu: "gelu"
      case .geluByTanh: "gelu-by-tanh"
      }
    let parts = [
      scale == 1 ? nil : "scale", hasBias ? "bias" : nil, hasResidual ? "residual" : nil, name, hasMask ? "mask" : nil,
      hasGELUInput ? "gelu-gradient" : nil,
    ].compactMap { $0 }
    return parts.isEmpty ? "attach-nothing" : "attach-" + parts.joined(separator: "-")
  }
}

/// Writes a library call with its epilogue into the graph that is being rebuilt.
private struct EpilogueWriter {
  private let call: EpilogueFinder.Call
  private let node: NodeID
  private let rebuilder: GraphRebuilder
  /// The masks that calls have stored, by their results.
  private let masks: [ValueID: Output]
  private var partCount = 0

  init(_ call: EpilogueFinder.Call, node: NodeID, rebuilder: GraphRebuilder, masks: [ValueID: Output]) {
    (self.call, self.node, self.rebuilder, self.masks) = (call, node, rebuilder, masks)
  }

  /// What the stages of a call with its epilogue depend on.
  struct ReferenceKey: Hashable {
    var lowering: Int
    var epilogue: StructuralKey
    var wires: [StageProgram.Wire]
    var operands: [BufferType]
    var storesMask: Bool
    var storesGELUInput: Bool
  }

  /// The call's result and, if it is stored, the result's mask or what its GELU is given.
  ///
  /// - Parameter references: the stages of calls that were written before.
  mutating func write(
    _ references: inout [ReferenceKey: StageProgram], storingMask: Bool, _ context: inout PassContext
  ) throws(Diagnostic) -> [Output] {
    let body = rebuilder.source.body
    var operands = body.operands(of: call.base).map { rebuilder.map($0) }
    if let scale = call.match.scale { operands[1] = scaled(operands[1], by: vector(scale, &context), &context) }
    var base = StageProgram.Part(program: call.reference, inputs: operands.indices.map { .input($0) })
    base.inputs = Array(base.inputs.prefix(call.reference.inputs.count))
    var wires: [StageProgram.Wire] = [.part(0, output: 0)]
    func add(_ operand: Output) {
      wires.append(.input(operands.count))
      operands.append(operand)
    }
    let bias = call.match.bias.map { vector($0, &context) }
    if let bias { add(bias) }
    if let residual = call.match.residual { add(rebuilder.map(call.inputs[residual])) }
    if let value = call.match.mask.map({ call.inputs[$0] }) {
      let source = rebuilder.map(value)
      add(masks[value] ?? kernel(EpilogueMatch.packing(type(of: source)), [source], "Mask", "mask", &context))
    }
    if let value = call.match.geluInput.map({ call.inputs[$0] }) { add(rebuilder.map(value)) }
    let baseType = call.reference.type(of: call.reference.outputs[0])
    var match = call.match
    if call.geluInput != nil { match.activation = nil }
    let epilogue = match.program(
      base: baseType, bias: bias.map { type(of: $0) },
      channelAxis: call.contract.channelAxis(ofRank: call.match.extents.count))
    var parts = [base, StageProgram.Part(program: epilogue, inputs: wires)]
    var contract = call.contract
    let storing = storingMask ? call.contract.storingMask : nil
    if let storing {
      contract = storing
      let packing = EpilogueMatch.packing(epilogue.type(of: epilogue.outputs[0]))
      parts.append(StageProgram.Part(program: packing, inputs: [.part(1, output: 0)]))
    }
    if call.geluInput != nil {
      let gelu = EpilogueMatch.gelu(epilogue.type(of: epilogue.outputs[0]))
      parts.append(StageProgram.Part(program: gelu, inputs: [.part(1, output: 0)]))
    }
    let types = operands.map { type(of: $0) }
    let key = ReferenceKey(
      lowering: call.lowering, epilogue: epilogue.structuralKey, wires: wires, operands: types,
      storesMask: storing != nil, storesGELUInput: call.geluInput != nil)
    let outputs = parts.indices.dropFirst().map { StageProgram.Wire.part($0, output: 0) }
    let reference =
      references[key]
      ?? StageProgram.composed(
        parts, inputs: types, outputs: call.geluInput == nil ? outputs : outputs.reversed()
      ).fused()
    references[key] = reference
    let label = call.members.map { body.label(of: $0) }.joined(separator: "+")
    return insert(
      LibraryCall(number: context.newNumber(), label: label, contract: contract, reference: reference), operands,
      body.name(of: node))
  }

  private func type(of output: Output) -> BufferType {
    BufferType(output.elementType, output.shape.known ?? [])
  }

  private func insert(_ operation: any Operation, _ operands: [Output], _ name: String) -> [Output] {
    let body = rebuilder.source.body
    return rebuilder.graph.insert(
      operation, operands, name: name, controls: [], site: body.site(of: node), scope: body.scope(of: node)
    ).outputs
  }

  private mutating func kernel(
    _ program: StageProgram, _ operands: [Output], _ label: String, _ name: String, _ context: inout PassContext
  ) -> Output {
    partCount += 1
    let kernel = FusedKernel(number: context.newNumber(), label: label, program: program)
    return insert(kernel, operands, rebuilder.source.body.name(of: node) + "/" + name)[0]
  }

  private mutating func vector(_ vector: EpilogueMatch.Vector, _ context: inout PassContext) -> Output {
    switch vector {
    case .input(let i): return rebuilder.map(call.inputs[i])
    case .computed(let program, let inputs):
      let operands = inputs.map { rebuilder.map(call.inputs[$0]) }
      if let constant = folded(program, operands) { return constant }
      return kernel(program, operands, "Channels", "channels_\(partCount + 1)", &context)
    }
  }

  /// What a short vector of constants comes to.
  private func folded(_ program: StageProgram, _ operands: [Output]) -> Output? {
    let constants = operands.compactMap { $0.operand.constant }
    guard constants.count == operands.count,
      program.type(of: program.outputs[0]).elementCount <= FoldConstants.maximumCount,
      let result = try? program.interpret(inputs: constants.map(\.tensor)).first
    else { return nil }
    return insert(Const(result), [], rebuilder.source.body.name(of: node) + "/channels_\(result.elementCount)")[0]
  }

  /// The constant operand with each channel of the result scaled.
  private mutating func scaled(
    _ operand: Output, by scale: Output, _ context: inout PassContext
  ) -> Output {
    let (types, axis) = ([type(of: operand), type(of: scale)], call.contract.scaledAxis(of: type(of: operand).extents))
    let along = types[1].extents.firstIndex { $0 != 1 }
    var b = StageBuilder(inputs: types)
    let result = b.map("Scale", types[0].elementType, types[0].extents) { b, axes in
      let channel = axis.channel(&b, axes)
      let zero = b.integer(0)
      let indices = types[1].extents.indices.map { $0 == along ? channel : zero }
      let product = b.multiply(
        b.widen(b.load(.input(0), types[0].elementType, at: axes)),
        b.widen(b.load(.input(1), types[1].elementType, at: indices)))
      return b.narrow(product, to: types[0].elementType)
    }
    return kernel(b.finish([result]), [operand, scale], "Scale", "scaled", &context)
  }
}

/// Where the channels of a call's result are in its constant operand.
private struct ScaledAxis {
  var axis: Int
  /// The extent of an axis after it that belongs to the channels as well.
  var inner: Int?

  func channel(_ b: inout ScalarBuilder, _ axes: [Scalar]) -> Scalar {
    guard let inner else { return axes[axis] }
    return b.add(b.multiply(axes[axis], b.integer(inner)), axes[axis + 1])
  }
}

extension LibraryContract {
  fileprivate func scaledAxis(of extents: [Int]) -> ScaledAxis {
    switch self {
    case .convolution(let convolution) where convolution.isDepthwise: ScaledAxis(axis: 2, inner: extents[3])
    case .convolution, .pooling, .attention, .attentionGradient, .recurrent, .batchNormalization: ScaledAxis(axis: 3)
    case .matrixProduct(let product): ScaledAxis(axis: extents.count - (product.transposeB ? 2 : 1))
    }
  }
}
