import MartletGraph
import MartletLoopIR

/// Puts the stage programs of a group's nodes together into one.
struct KernelComposer {
  private let body: GraphStorage
  private var parts: [StageProgram.Part] = []
  /// For each value of the group the part and output that computes it.
  private var sources: [ValueID: StageProgram.Wire] = [:]
  /// The values that come from outside, in the order of their first use.
  private(set) var inputs: [ValueID] = []
  private var inputTypes: [BufferType] = []
  private var inputIndex: [ValueID: Int] = [:]

  init(body: GraphStorage) { self.body = body }

  mutating func add(_ node: NodeID, _ program: StageProgram) {
    let wires = zip(body.operands(of: node), program.inputs).map { operand, type in wire(operand, type) }
    for (i, result) in body.results(of: node).enumerated() {
      sources[result] = .part(parts.count, output: i)
    }
    parts.append(StageProgram.Part(program: program, inputs: wires))
  }

  /// The kernel, with producers in the place of what loads them; see `StageProgram.fused(repeating:)`.
  func program(outputs: [ValueID], repeating: Bool = false) -> StageProgram {
    let wires = outputs.map { output in
      guard let source = sources[output] else { preconditionFailure("\(body.name(of: output)) is not in the kernel") }
      return source
    }
    return StageProgram.composed(parts, inputs: inputTypes, outputs: wires).fused(repeating: repeating)
  }

  private mutating func wire(_ value: ValueID, _ type: BufferType) -> StageProgram.Wire {
    if let known = sources[value] { return known }
    if let i = inputIndex[value] { return .input(i) }
    inputIndex[value] = inputs.count
    inputs.append(value)
    inputTypes.append(type)
    return .input(inputs.count - 1)
  }
}
