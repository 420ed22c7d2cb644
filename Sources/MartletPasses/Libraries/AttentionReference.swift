import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletRewriting
import MartletTensors

/// What the calls of an attention compute, as stages over their operands.
struct AttentionReference {
  private let call: AttentionFinder.Call
  private let body: GraphStorage
  private let target: any Target

  init(_ call: AttentionFinder.Call, _ body: GraphStorage, _ target: any Target) {
    (self.call, self.body, self.target) = (call, body, target)
  }

  /// Of the attention.
  func forward() throws(Diagnostic) -> StageProgram {
    let result = body.results(of: call.root)[0]
    let types = call.operands.map { type($0) }
    guard call.contract.keepsStatistics else {
      let main = try part(call.members, call.operands, outputs: [result])
      return StageProgram.composed([main], inputs: types, outputs: [.part(0, output: 0)])
    }
    let main = try part(call.members, call.operands, outputs: [result, call.scores])
    let statistics = StageProgram.Part(program: statistics(type(call.scores)), inputs: [.part(0, output: 1)])
    return StageProgram.composed(
      [main, statistics], inputs: types,
      outputs: [.part(0, output: 0), .part(1, output: 0), .part(1, output: 1)])
  }

  /// Of its gradient: the weights again, and what the graph does with them.
  func gradient(_ gradient: AttentionFinder.Gradient) throws(Diagnostic) -> StageProgram {
    let result = body.results(of: call.root)[0]
    let operands = call.operands + [gradient.resultGradient]
    let rows = BufferType(.float32, Array(type(call.scores).extents.dropLast()))
    let members = call.members + gradient.members.filter { !call.members.contains($0) }
    let main = try part(members, operands, outputs: gradient.roots.map { body.results(of: $0)[0] })
    return StageProgram.composed(
      [main], inputs: operands.map { type($0) } + [type(result), rows, rows],
      outputs: gradient.roots.indices.map { .part(0, output: $0) })
  }

  private func type(_ value: ValueID) -> BufferType {
    BufferType(body.type(of: value).elementType ?? .float32, body.type(of: value).shape.known ?? [])
  }

  /// Some operations, with the operands as inputs.
  private func part(
    _ members: [NodeID], _ operands: [ValueID], outputs: [ValueID]
  ) throws(Diagnostic) -> StageProgram.Part {
    var composer = KernelComposer(body: body)
    for member in members {
      if let mask = call.causalMask, body.operands(of: member).contains(mask) {
        let (scores, program) = causal(member)
        composer.add(member, operands: [scores], program)
        continue
      }
      for operand in body.operands(of: member) where !operands.contains(operand) {
        // A factor, or what is put in the place of scores.
        let producer = body.producer(of: operand)
        if body.traits(of: producer).contains(.constant) || body.operandCount(of: producer) == 0,
          case .repeated(let program) = try KernelRoles.role(of: producer, body, target)
        {
          composer.add(producer, program)
        } else if let number = body.number(operand) {
          composer.add(producer, operands: [], filled(type(operand), with: Double(number)))
        }
      }
      switch try body.lowering(of: member) {
      case .compute(var program), .view(var program), .reshape(var program), .library(_, reference: var program):
        // Behind what is read stand permutations, axes and shapes.
        program.inputs.removeLast(program.inputs.count - program.readInputCount)
        composer.add(member, program)
      default: preconditionFailure("\(body.name(of: member)) is no part of attention")
      }
    }
    let program = composer.program(outputs: outputs)
    let wires = composer.inputs.map { input -> StageProgram.Wire in
      guard let place = operands.firstIndex(of: input) else {
        preconditionFailure("\(body.name(of: input)) is no operand of attention")
      }
      return .input(place)
    }
    return StageProgram.Part(program: program, inputs: wires)
  }

  /// An array that is one number everywhere, however the graph makes it.
  private func filled(_ type: BufferType, with number: Double) -> StageProgram {
    var b = StageBuilder(inputs: [])
    let result = b.map("Number", type.elementType, type.extents) { b, _ in b.constant(number, type.elementType) }
    return b.finish([result])
  }

  /// What a node does whose mask is causal, as a function of its other operand: scores, or their gradients.
  private func causal(_ node: NodeID) -> (scores: ValueID, program: StageProgram) {
    guard let selection = call.contract.selection, case .causal(let offset) = selection.condition else {
      preconditionFailure("\(body.name(of: node)) has no causal mask")
    }
    let operands = body.operands(of: node).filter { $0 != call.causalMask }
    let full = type(body.results(of: node)[0])
    // Beside the scores there is a number.
    let scores =
      operands.first { body.type(of: $0).shape.known == full.extents && body.number($0) == nil } ?? operands[0]
    let value = call.members.contains(node) ? selection.value : 0
    var b = StageBuilder(inputs: [full])
    let result = b.map("Causal", full.elementType, full.extents) { b, axes in
      let score = b.load(.input(0), full.elementType, at: axes)
      let (query, key) = (axes[axes.count - 2], axes[axes.count - 1])
      let number = b.constant(Double(value), full.elementType)
      let excluded = selection.isAdded ? b.add(score, number) : number
      return b.select(b.lessEqual(key, b.add(query, b.integer(offset))), score, excluded)
    }
    return (scores, b.finish([result]))
  }

  /// Each row's greatest element, and the sum of the exponentials of what lies below.
  private func statistics(_ scores: BufferType) -> StageProgram {
    let type = scores.elementType
    let (rows, width) = (Array(scores.extents.dropLast()), Array(scores.extents.suffix(1)))
    var b = StageBuilder(inputs: [scores])
    let maximum = b.reduce("Attention/max", type, rows, over: width, .maximum) { b, row, inner in
      b.load(.input(0), type, at: row + inner)
    }
    let sum = b.reduce("Attention/sum", type, rows, over: width, .sum) { b, row, inner in
      b.exp(b.subtract(b.load(.input(0), type, at: row + inner), b.load(maximum, type, at: row)))
    }
    return b.finish([maximum, sum])
  }
}

extension StageProgram {
  /// One more than the number of the last input that is loaded.
  fileprivate var readInputCount: Int {
    scalars.rows.reduce(0) { count, row in
      guard row.operation == .load, case .input(let input) = Source(payload: row.payload) else { return count }
      return max(count, input + 1)
    }
  }
}
