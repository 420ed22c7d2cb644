import MartletLoopIR

/// What code depends on in a nest, as one sequence of integers: equal keys, equal code.
///
/// Scalars are numbered in the order in which statements reach them, so that rows which nothing uses, and names, make no
/// difference.
struct NestKey: Hashable, Sendable {
  private(set) var words: [Int64] = []

  init(_ nest: Nest) {
    var encoder = Encoder(nest)
    encoder.encode()
    words = encoder.words
  }

  private struct Encoder {
    let nest: Nest
    var words: [Int64] = []
    var numbers: [Int64]
    var next: Int64 = 0

    init(_ nest: Nest) {
      self.nest = nest
      numbers = Array(repeating: -1, count: nest.scalars.count)
    }

    mutating func encode() {
      words += [Int64(nest.scratchBytes), Int64(nest.buffers.count)]
      for buffer in nest.buffers {
        switch buffer.place {
        case .slot(let slot): words += [0, Int64(slot)]
        case .scratch(let offset): words += [1, Int64(offset)]
        }
        words += [Int64(buffer.elementType.rawValue), Int64(buffer.elementCount), buffer.isWritten ? 1 : 0]
      }
      words.append(Int64(nest.registers.count))
      words += nest.registers.map { Int64($0.rawValue) }
      for phase in nest.phases {
        words += [-1, Int64(phase.axis), Int64(phase.extent), Int64(phase.grain)]
        encode(phase.body)
      }
    }

    private mutating func encode(_ statements: [NestStatement]) {
      words.append(Int64(statements.count))
      for statement in statements {
        switch statement {
        case .loop(let loop):
          words += [0, Int64(loop.axis), Int64(loop.extent)]
          switch loop.mark {
          case .serial: words.append(0)
          case .unrolled: words.append(-1)
          case .vector(let lanes): words.append(Int64(lanes))
          }
          encode(loop.body)
        case .store(let buffer, let index, let value, let condition):
          for id in [index, value, condition] { define(id) }
          words += [1, Int64(buffer), number(index), number(value), number(condition)]
        case .assign(let register, let value):
          define(value)
          words += [2, Int64(register), number(value)]
        case .reduce(let reduction):
          let scalars = reduction.initial + reduction.step + reduction.merge
          for id in scalars { define(id) }
          words += [3, Int64(reduction.lanes), Int64(reduction.interleave), Int64(reduction.loops.count)]
          for loop in reduction.loops { words += [Int64(loop.axis), Int64(loop.extent)] }
          words.append(Int64(reduction.registers.count))
          words += reduction.registers.map { Int64($0) }
          words += scalars.map { number($0) }
        }
      }
    }

    private func number(_ id: ScalarID) -> Int64 { id == .none ? -1 : numbers[Int(id.index)] }

    /// Writes the rows that `id` needs and that are not yet written.
    private mutating func define(_ id: ScalarID) {
      if id == .none || numbers[Int(id.index)] >= 0 { return }
      var pending = [id]
      while let top = pending.last {
        if numbers[Int(top.index)] >= 0 {
          pending.removeLast()
          continue
        }
        let row = nest.scalars[top]
        let used = row.operands + (row.condition == .none ? [] : [row.condition])
        let missing = used.filter { numbers[Int($0.index)] < 0 }
        if !missing.isEmpty {
          pending += missing
          continue
        }
        pending.removeLast()
        words += [4, Int64(row.operation.rawValue), Int64(row.type.rawValue), row.payload, number(row.condition)]
        words.append(Int64(row.operandCount))
        words += row.operands.map { number($0) }
        numbers[Int(top.index)] = next
        next += 1
      }
    }
  }
}
