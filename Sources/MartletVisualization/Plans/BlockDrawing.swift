import MartletGraph
import MartletScheduling
import MartletTensors

/// The instructions of one block of a plan, and the edges between them.
struct BlockDrawing {
  private let plan: ExecutionPlan
  private let number: Int
  private let instructions: [PlanInstruction]
  private let memory: ArenaLifetimes
  private let options: PlanDOT

  init(_ plan: ExecutionPlan, block: Int, options: PlanDOT) {
    self.plan = plan
    self.options = options
    number = block
    instructions = plan.blocks[block].instructions
    memory = ArenaLifetimes(plan, instructions)
  }

  func draw(in cluster: DOTWriter.Cluster, _ writer: inout DOTWriter) {
    for (i, instruction) in instructions.enumerated() {
      cluster.nodes.append(
        DOTWriter.Node(
          id: id(i), label: label(instruction, i), style: style(instruction.action),
          tooltip: plan.origins[instruction.origin].name))
    }
    drawOrder(&writer)
    drawValues(&writer.edges)
    drawCalls(&writer.edges)
  }

  private func id(_ instruction: Int) -> String { "b\(number)_i\(instruction)" }

  private func style(_ action: PlanInstruction.Action) -> DOTStyle {
    switch action {
    case .kernel: .kernel
    case .library: .library
    case .host: .host
    case .copy, .join: .copy
    case .conditional, .loop: .control
    }
  }

  // MARK: Labels

  private func label(_ instruction: PlanInstruction, _ position: Int) -> DOTLabel {
    let origin = plan.origins[instruction.origin]
    var label = DOTLabel("\(position)  \(origin.operation.split(separator: "+").joined(separator: " + "))")
    label.parts[0].details.append(origin.name + (instruction.isWide ? "  (whole team)" : ""))
    let inputs = instruction.operands.compactMap(source)
    if !inputs.isEmpty {
      label.parts[0].details += inputs.prefix(4).map { "← \($0)" }
      if inputs.count > 4 { label.parts[0].details.append("← … \(inputs.count - 4) more") }
    }
    label.parts[0].details += instruction.results.prefix(4).map { "→ \(target($0))" }
    if instruction.results.count > 4 { label.parts[0].details.append("→ … \(instruction.results.count - 4) more") }
    if plan.arenaBytes > 0 { label.rows.append(bar(at: position)) }
    return label
  }

  /// What an operand is, if it does not come from another instruction's result in the arena.
  private func source(_ slot: Int) -> String? {
    switch plan.slots[slot].place {
    case .variable, .constant: "\(plan.slots[slot].name) \(type(slot))"
    case .argument, .result, .arena: nil
    }
  }

  private func target(_ slot: Int) -> String {
    let item = plan.slots[slot]
    switch item.place {
    case .arena(let offset):
      return "\(type(slot)), \(AttributeText.bytes(item.byteCount)) at \(AttributeText.bytes(offset))"
    case .variable: return "variable \(item.name)"
    case .result(let i): return "result \(plan.results[i].name)"
    case .argument, .constant: return item.name
    }
  }

  private func type(_ slot: Int) -> String { plan.slots[slot].type.map { AttributeText.short($0) } ?? "" }

  // MARK: The arena

  /// The state of the arena as a row of coloured cells.
  private func bar(at position: Int) -> String {
    let cells = memory.cells(at: position, resolution: options.barResolution)
    var parts: [String] = []
    var start = 0
    while start < cells.count {
      var end = start + 1
      while end < cells.count, cells[end] == cells[start] { end += 1 }
      parts.append(
        "<td fixedsize=\"true\" width=\"\((end - start) * 3)\" height=\"7\" bgcolor=\"\(color(cells[start]))\"></td>")
      start = end
    }
    return "<table border=\"0\" cellborder=\"0\" cellspacing=\"0\" cellpadding=\"0\"><tr>\(parts.joined())</tr></table>"
  }

  private func color(_ use: ArenaLifetimes.Use) -> String {
    switch use {
    case .free: "#ffffff"
    case .live: "#9fb3c8"
    case .read: "#627d98"
    case .scratch: "#e8a33d"
    case .written: "#243b53"
    }
  }

  // MARK: Edges

  /// The first instruction of each column; columns are about equally long.
  private var heads: [Int] {
    let count = instructions.count
    let columns = max((count + options.columnHeight - 1) / max(options.columnHeight, 1), 1)
    let height = max((count + columns - 1) / columns, 1)
    return number == 0 ? Array(stride(from: 0, to: count, by: height)) : count > 0 ? [0] : []
  }

  /// One instruction below the other, in columns.
  private func drawOrder(_ writer: inout DOTWriter) {
    let heads = heads
    for i in instructions.indices.dropFirst() where !heads.contains(i) && nearValue(i) == nil {
      writer.edges.append(DOTWriter.Edge(from: id(i - 1), to: id(i), label: "", kind: .order))
    }
    guard heads.count > 1 else { return }
    writer.rows.append(heads.map(id))
    for (a, b) in zip(heads, heads.dropFirst()) {
      writer.edges.append(DOTWriter.Edge(from: id(a), to: id(b), label: "", kind: .order))
    }
  }

  /// The first operand of an instruction that the one before it writes.
  private func nearValue(_ instruction: Int) -> Int? {
    sources(of: instructions[instruction]).first { instructions[instruction - 1].results.contains($0) }
  }

  /// The operands, parts as what they are parts of.
  private func sources(of instruction: PlanInstruction) -> [Int] {
    instruction.operands.map { plan.slots[$0].whole ?? $0 }
  }

  private func drawValues(_ edges: inout [DOTWriter.Edge]) {
    let heads = heads
    var writers: [Int: Int] = [:]
    for (i, instruction) in instructions.enumerated() {
      var seen: Set<Int> = []
      for operand in sources(of: instruction) where seen.insert(operand).inserted {
        guard let writer = writers[operand], writer != i else { continue }
        let isNear = i == writer + 1 && !heads.contains(i)
        let isSpine = isNear && nearValue(i) == operand
        edges.append(
          DOTWriter.Edge(
            from: id(writer), to: id(i), label: isNear ? type(operand) : "", kind: isNear ? .data : .far,
            isRanking: isSpine, weight: isSpine ? 50 : 1))
      }
      for result in instruction.results { writers[result] = i }
    }
  }

  private func drawCalls(_ edges: inout [DOTWriter.Edge]) {
    for (i, instruction) in instructions.enumerated() {
      switch instruction.action {
      case .conditional(let then, let otherwise):
        call(then, from: i, "then", &edges)
        call(otherwise, from: i, "else", &edges)
      case .loop(let loop):
        call(loop.condition, from: i, "while", &edges)
        call(loop.body, from: i, "do", &edges)
      case .kernel, .library, .host, .copy, .join: break
      }
    }
  }

  private func call(_ block: Int, from instruction: Int, _ label: String, _ edges: inout [DOTWriter.Edge]) {
    guard !plan.blocks[block].instructions.isEmpty else { return }
    edges.append(DOTWriter.Edge(from: id(instruction), to: "b\(block)_i0", label: label, kind: .call))
  }
}
