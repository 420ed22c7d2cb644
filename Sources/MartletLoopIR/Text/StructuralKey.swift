/// The structure of a program or nest as bytes: equal for two of them exactly where they compute the same in the same way,
/// whatever they are called and in whatever order their rows were added.
///
/// It is what caches of compiled code are keyed by, in memory and, as ``digest``, on disk.
public struct StructuralKey: Hashable, Sendable {
  public private(set) var bytes: [UInt8] = []
  private var state: (UInt64, UInt64) = (0xCBF2_9CE4_8422_2325, 0x8422_2325_CBF2_9CE4)

  public static func == (a: StructuralKey, b: StructuralKey) -> Bool { a.state == b.state && a.bytes == b.bytes }
  public func hash(into hasher: inout Hasher) { hasher.combine(state.0) }

  /// 128 bits of hash as 32 hexadecimal digits, the same in every process.
  public var digest: String {
    [state.0, state.1].map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// Appends a number in seven bits a byte.
  mutating func append(_ value: Int64) {
    var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
    repeat {
      append(byte: UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
      rest >>= 7
    } while rest > 0
  }
  mutating func append(_ value: Int) { append(Int64(value)) }
  mutating func append(_ values: [Int]) {
    append(values.count)
    for value in values { append(value) }
  }
  init() {}
  /// The key of what a text says, such as code that a user wrote.
  package init(text: String) { append(text) }

  /// Appends what else the code of a kernel depends on.
  package mutating func append(_ text: String) { for byte in text.utf8 { append(byte: byte) } }
  mutating func append(_ value: Bool) { append(value ? 1 : 0) }
  mutating func append(byte: UInt8) {
    bytes.append(byte)
    // FNV-1a with two primes. Source: G. Fowler, L. C. Noll, K.-P. Vo, the FNV hash.
    state.0 = (state.0 ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    state.1 = (state.1 ^ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C15
    state.1 ^= state.1 >> 29
  }
}

/// Writes scalar rows into a key, each once, numbered in the order in which a walk from the roots leaves them.
struct ScalarKeyWriter {
  let arena: ScalarArena
  var key = StructuralKey()
  private var numbers: [ScalarID: Int] = [:]

  init(_ arena: ScalarArena) { self.arena = arena }

  /// Appends the numbers of `roots`, after the rows that they need and that were not written yet.
  mutating func append(_ roots: [ScalarID]) {
    for root in roots { write(root) }
    key.append(roots.map { $0 == .none ? -1 : numbers[$0]! })
  }

  private mutating func write(_ root: ScalarID) {
    guard root != .none else { return }
    var pending = [root]
    while let id = pending.last {
      if numbers[id] != nil {
        pending.removeLast()
        continue
      }
      let row = arena[id]
      let needed = row.operands + (row.condition == .none ? [] : [row.condition])
      let open = needed.filter { numbers[$0] == nil }
      if open.isEmpty {
        pending.removeLast()
        numbers[id] = numbers.count
        key.append(byte: row.operation.rawValue)
        key.append(byte: row.type.rawValue)
        key.append(row.payload)
        key.append(needed.count)
        for operand in needed { key.append(numbers[operand]!) }
        key.append(row.condition != .none)
      } else {
        pending.append(contentsOf: open.reversed())
      }
    }
  }
}

extension BufferType {
  fileprivate func append(to key: inout StructuralKey) {
    key.append(byte: elementType.rawValue)
    key.append(extents)
  }
}

extension StageProgram {
  /// The structure of this program without its names.
  public var structuralKey: StructuralKey {
    var writer = ScalarKeyWriter(scalars)
    writer.key.append(byte: 1)  // The format's version.
    writer.key.append(inputs.count)
    for input in inputs { input.append(to: &writer.key) }
    writer.key.append(stages.count)
    for stage in stages {
      stage.result.append(to: &writer.key)
      switch stage.kind {
      case .map(let value):
        writer.key.append(byte: 0)
        writer.append([value])
      case .reduce(let reduction):
        writer.key.append(byte: 1)
        writer.key.append(reduction.extents)
        writer.append(reduction.initial + reduction.step + reduction.merge + [reduction.finish])
      case .scan(let scan):
        writer.key.append(byte: 2)
        writer.key.append(scan.axis)
        writer.key.append(scan.isReversed)
        writer.key.append(scan.isExclusive)
        writer.append([scan.initial, scan.step])
      case .scatter(let scatter):
        writer.key.append(byte: 3)
        writer.key.append(scatter.updateExtents)
        writer.append([scatter.initial] + scatter.position + [scatter.combine])
      }
    }
    writer.key.append(outputs.map { Int($0.payload) })
    return writer.key
  }
}

extension Nest {
  /// The structure of this nest without its name.
  public var structuralKey: StructuralKey { key(forCode: false) }

  /// What the machine code of this nest depends on: its structure, but neither its name nor the sizes of arrays, nor how many
  /// iterations a phase has, as far as ``codeExtents`` leaves that open. Code is told where to begin and where to end.
  public var codeKey: StructuralKey { key(forCode: true) }

  private func key(forCode isForCode: Bool) -> StructuralKey {
    var writer = ScalarKeyWriter(scalars)
    writer.key.append(byte: isForCode ? 5 : 4)  // The format's version.
    writer.key.append(argumentCount)
    writer.key.append(scratchBytes)
    writer.key.append(buffers.count)
    for buffer in buffers {
      switch buffer.place {
      case .slot(let k):
        writer.key.append(byte: 0)
        writer.key.append(k)
      case .scratch(let offset):
        writer.key.append(byte: 1)
        writer.key.append(offset)
      }
      writer.key.append(byte: buffer.elementType.rawValue)
      if !isForCode { writer.key.append(buffer.elementCount) }
      writer.key.append(buffer.isWritten)
      writer.key.append(buffer.isStreamed)
    }
    writer.key.append(registers.map { Int($0.rawValue) })
    writer.key.append(phases.count)
    for (phase, extent) in zip(phases, codeExtents) {
      writer.key.append(isForCode ? [phase.axis, extent] : [phase.axis, phase.extent, phase.grain])
      Self.append(phase.body, to: &writer)
    }
    return writer.key
  }

  private static func append(_ statements: [NestStatement], to writer: inout ScalarKeyWriter) {
    writer.key.append(statements.count)
    for statement in statements {
      switch statement {
      case .loop(let loop):
        writer.key.append(byte: 0)
        writer.key.append([loop.axis, loop.extent])
        switch loop.mark {
        case .serial: writer.key.append(-1)
        case .unrolled: writer.key.append(-2)
        case .vector(let lanes): writer.key.append(lanes)
        }
        append(loop.body, to: &writer)
      case .store(let buffer, let index, let value, let condition):
        writer.key.append(byte: 1)
        writer.key.append(buffer)
        writer.append([index, value, condition])
      case .assign(let register, let value):
        writer.key.append(byte: 2)
        writer.key.append(register)
        writer.append([value])
      case .reduce(let reduction):
        writer.key.append(byte: 3)
        writer.key.append(reduction.loops.flatMap { [$0.axis, $0.extent, $0.block ?? 0] })
        writer.key.append([reduction.lanes, reduction.interleave] + reduction.registers)
        writer.append(reduction.initial + reduction.step + reduction.merge)
      }
    }
  }
}
