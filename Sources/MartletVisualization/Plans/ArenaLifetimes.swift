import MartletScheduling

/// When which bytes of the arena are in use, in one block of a plan.
struct ArenaLifetimes {
  /// What happens to some bytes at an instruction; the later, the more is said.
  enum Use: Int, Comparable {
    case free, live, read, scratch, written
    static func < (a: Use, b: Use) -> Bool { a.rawValue < b.rawValue }
  }

  private struct Lifetime {
    var bytes: Range<Int>
    var first: Int
    var last: Int
  }

  private let plan: ExecutionPlan
  private let instructions: [PlanInstruction]
  private var lifetimes: [Lifetime] = []

  init(_ plan: ExecutionPlan, _ instructions: [PlanInstruction]) {
    self.plan = plan
    self.instructions = instructions
    var first: [Int: Int] = [:]
    var last: [Int: Int] = [:]
    var order: [Int] = []
    for (i, instruction) in instructions.enumerated() {
      let operands = instruction.operands.map { plan.slots[$0].whole ?? $0 }
      for slot in instruction.results + operands + instruction.scratch where bytes(of: slot) != nil {
        if last[slot] == nil { order.append(slot) }
        last[slot] = i
      }
      for slot in instruction.results + instruction.scratch where first[slot] == nil { first[slot] = i }
    }
    for slot in order {
      guard let bytes = bytes(of: slot), let end = last[slot] else { continue }
      // What no instruction of the block writes was there before.
      lifetimes.append(Lifetime(bytes: bytes, first: first[slot] ?? 0, last: end))
    }
  }

  /// The use of each of `resolution` equal parts of the arena at an instruction.
  func cells(at position: Int, resolution: Int) -> [Use] {
    var cells = [Use](repeating: .free, count: resolution)
    func mark(_ bytes: Range<Int>?, _ use: Use) {
      guard let bytes, !bytes.isEmpty, plan.arenaBytes > 0 else { return }
      let first = bytes.lowerBound * resolution / plan.arenaBytes
      let last = min((bytes.upperBound - 1) * resolution / plan.arenaBytes, resolution - 1)
      guard first <= last else { return }
      for cell in first...last { cells[cell] = max(cells[cell], use) }
    }
    for lifetime in lifetimes where lifetime.first <= position && position <= lifetime.last {
      mark(lifetime.bytes, .live)
    }
    let instruction = instructions[position]
    for slot in instruction.operands { mark(bytes(of: slot), .read) }
    for slot in instruction.scratch { mark(bytes(of: slot), .scratch) }
    for slot in instruction.results { mark(bytes(of: slot), .written) }
    return cells
  }

  private func bytes(of slot: Int) -> Range<Int>? {
    guard case .arena(let offset) = plan.slots[slot].place, plan.slots[slot].byteCount > 0 else { return nil }
    return offset..<offset + plan.slots[slot].byteCount
  }
}
