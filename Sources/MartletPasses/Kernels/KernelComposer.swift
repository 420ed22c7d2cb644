import MartletGraph
import MartletLoopIR

/// Puts the stage programs of a group's nodes together into one.
struct KernelComposer {
  /// Programs composed of the same parts in the same way, each made once.
  struct Known {
    fileprivate var numbers: [[Int32]: Int] = [:]
    fileprivate var programs: [StageProgram] = []
  }

  private let body: GraphStorage
  private var parts: [StageProgram.Part] = []
  /// For each value of the group the part and output that computes it.
  private var sources: [ValueID: StageProgram.Wire] = [:]
  /// The values that come from outside, in the order of their first use.
  private(set) var inputs: [ValueID] = []
  private var inputTypes: [BufferType] = []
  private var inputIndex: [ValueID: Int] = [:]
  /// The numbers of the parts' lowerings, each with its wires.
  private var key: [Int32] = []

  init(body: GraphStorage) { self.body = body }

  /// Adds a node with its program: for `program(outputs:repeating:_:)` the lowering of that number in the function's
  /// `LoweringTable`.
  ///
  /// - Parameter operands: what the program reads; the node's operands by default.
  mutating func add(
    _ node: NodeID, operands: [ValueID]? = nil, _ program: StageProgram, lowering number: Int = -1
  ) {
    let wires = zip(operands ?? body.operands(of: node), program.inputs).map { operand, type in wire(operand, type) }
    key.append(Int32(number))
    for wire in wires { append(wire, to: &key) }
    for (i, result) in body.results(of: node).enumerated() {
      sources[result] = .part(parts.count, output: i)
    }
    parts.append(StageProgram.Part(program: program, inputs: wires))
  }

  /// The kernel, with producers in the place of what loads them; see `StageProgram.fused(repeating:)`.
  func program(outputs: [ValueID], repeating: Bool = false) -> StageProgram {
    StageProgram.composed(parts, inputs: inputTypes, outputs: wires(outputs)).fused(repeating: repeating)
  }

  /// The same from the known ones, with its number among them.
  func program(
    outputs: [ValueID], repeating: Bool = false, _ known: inout Known
  ) -> (number: Int, program: StageProgram) {
    var key = key
    key.append(repeating ? -3 : -2)
    for wire in wires(outputs) { append(wire, to: &key) }
    if let number = known.numbers[key] { return (number, known.programs[number]) }
    known.numbers[key] = known.programs.count
    known.programs.append(program(outputs: outputs, repeating: repeating))
    return (known.programs.count - 1, known.programs[known.programs.count - 1])
  }

  private func wires(_ outputs: [ValueID]) -> [StageProgram.Wire] {
    outputs.map { output in
      guard let source = sources[output] else { preconditionFailure("\(body.name(of: output)) is not in the kernel") }
      return source
    }
  }

  private func append(_ wire: StageProgram.Wire, to key: inout [Int32]) {
    switch wire {
    case .input(let i): key += [-1, Int32(i)]
    case .part(let part, let output): key += [Int32(part), Int32(output)]
    }
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
