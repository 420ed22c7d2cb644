import MartletGraph

extension ExecutionPlan: CustomStringConvertible {
  /// The plan as text: what comes in and goes out, then each block's instructions with the slots they use.
  ///
  /// ```
  /// plan: 2 instructions, 1 kernel, arena 128 bytes, peak 192 bytes
  /// argument %0 float32[8, 4] 'x'
  /// variable 'w' float32[4, 2]: %1 -> %2
  /// result %3 float32[8, 2] 'y'
  /// block 0 'main'
  ///   [0] MatMul 'product': library 0 wide (%0, %1) -> %4 @0..<64
  ///   [1] Tanh 'y': kernel 0 (%4) -> %3
  /// ```
  public var description: String {
    var lines = [
      "plan: \(instructionCount) instructions, \(kernels.count) kernels, arena \(arenaBytes) bytes, peak \(peakBytes) bytes"
    ]
    for port in arguments { lines.append("argument %\(port.slot) \(port.type) '\(port.name)'") }
    for variable in variables {
      let slots = [variable.argument.map { "%\($0)" }, variable.result.map { "-> %\($0)" }].compactMap { $0 }
      lines.append("variable '\(variable.name)' \(variable.type): \(slots.joined(separator: " "))")
    }
    for port in results { lines.append("result %\(port.slot) \(port.type) '\(port.name)'") }
    for (i, slot) in slots.enumerated() {
      if case .constant = slot.place {
        lines.append("constant %\(i) \(slot.type.map { "\($0)" } ?? "") '\(slot.name)'")
      }
    }
    for (number, block) in blocks.enumerated() {
      lines.append("block \(number) '\(block.name)'")
      var workers: [Int: String] = [:]
      for (number, group) in block.groups.enumerated() {
        for (i, worker) in zip(group.instructions, group.workers) { workers[i] = " group \(number) worker \(worker)" }
        for wait in group.waits {
          workers[group.instructions.lowerBound + wait.instruction]? += " after \(wait.count) of worker \(wait.worker)"
        }
      }
      for (i, instruction) in block.instructions.enumerated() {
        lines.append("  [\(i)]\(workers[i].map { $0 + ":" } ?? "") \(text(of: instruction))")
      }
    }
    return lines.joined(separator: "\n")
  }

  private func text(of instruction: PlanInstruction) -> String {
    let origin = origins[instruction.origin]
    var parts = ["\(origin.operation) '\(origin.name)': \(text(of: instruction.action))"]
    if instruction.isWide { parts.append("wide") }
    if instruction.isOnHost { parts.append("on the processor") }
    func places(_ slots: [Int]) -> String { slots.map(place).joined(separator: ", ") }
    parts.append("(\(instruction.operands.map(operand).joined(separator: ", ")))")
    if !instruction.results.isEmpty { parts.append("-> " + places(instruction.results)) }
    if !instruction.scratch.isEmpty { parts.append("scratch " + places(instruction.scratch)) }
    return parts.joined(separator: " ")
  }

  private func text(of action: PlanInstruction.Action) -> String {
    switch action {
    case .kernel(let kernel): "kernel \(kernel)"
    case .library(let contract): "library \(contract)"
    case .host(let call): "host \(call)"
    case .copy: "copy"
    case .join: "join"
    case .conditional(let then, let otherwise): "if block \(then) else block \(otherwise)"
    case .loop(let loop):
      "while block \(loop.condition) %\(loop.predicate) do block \(loop.body) "
        + "[\(loop.states.map { "%\($0.read) = %\($0.written)" }.joined(separator: ", "))]"
    }
  }

  /// A slot, and if it is a part what of.
  private func operand(_ number: Int) -> String {
    guard let whole = slots[number].whole else { return "%\(number)" }
    let offset =
      if case (.arena(let part), .arena(let begin)) = (slots[number].place, slots[whole].place) { part - begin } else {
        slots[number].offset - slots[whole].offset
      }
    return "%\(number) in %\(whole) @\(offset)"
  }

  private func place(_ number: Int) -> String {
    let slot = slots[number]
    guard case .arena(let offset) = slot.place else { return "%\(number)" }
    return "%\(number) @\(offset)..<\(offset + slot.byteCount)"
  }
}
