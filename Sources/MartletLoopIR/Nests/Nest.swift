import MartletTensors

/// A scheduled kernel: loops, stores and registers over flat buffers. The only thing that code generators see.
///
/// In a nest's arena a load has one operand, an element offset into the buffer that its payload numbers; `axis(n)` is
/// the variable of the loop with axis n, and no two loops share an axis; `register(n)` is a register's current value.
///
/// Statements run in order, and each evaluates its scalars when it runs: a load sees every store before it. Two slots may
/// be the same memory only where `StageProgram.inPlaceCandidates(output:)` says so; no other slots overlap.
public struct Nest: Sendable {
  public var name: String
  public var scalars: ScalarArena
  public var buffers: [NestBuffer]
  /// The element types of the registers. A register assigned inside a vector loop has one value for each lane.
  public var registers: [ElementType]
  /// Run one after the other by the whole team; everything that a phase writes is visible to the next.
  public var phases: [NestPhase]
  /// Bytes of scratch memory that each worker needs, 64-byte aligned.
  public var scratchBytes: Int
  /// The slots 0 ..< argumentCount are the program's inputs, then its outputs; those from there on are temporaries, which
  /// carry values from phase to phase.
  public var argumentCount: Int

  public init(
    name: String, scalars: ScalarArena, buffers: [NestBuffer], registers: [ElementType], phases: [NestPhase],
    scratchBytes: Int, argumentCount: Int? = nil
  ) {
    self.name = name
    self.scalars = scalars
    self.buffers = buffers
    self.registers = registers
    self.phases = phases
    self.scratchBytes = scratchBytes
    self.argumentCount =
      argumentCount ?? buffers.reduce(0) { if case .slot(let k) = $1.place { max($0, k + 1) } else { $0 } }
  }

  /// The memory that a caller provides beside inputs and outputs, as slots argumentCount, argumentCount + 1 and so on.
  public var temporaries: [NestBuffer] {
    buffers.filter { if case .slot(let k) = $0.place { k >= argumentCount } else { false } }
  }
}

/// Memory that a nest reads or writes.
public struct NestBuffer: Hashable, Sendable {
  public enum Place: Hashable, Sendable {
    /// The kernel's argument of this number.
    case slot(Int)
    /// The worker's own scratch memory, from this byte on.
    case scratch(offset: Int)
  }
  public var place: Place
  public var elementType: ElementType
  public var elementCount: Int
  public var isWritten: Bool
  /// Whether vectors are stored past the caches, as is good where nothing reads the buffer soon.
  public var isStreamed: Bool

  public init(
    _ place: Place, _ elementType: ElementType, _ elementCount: Int, isWritten: Bool, isStreamed: Bool = false
  ) {
    self.place = place
    self.elementType = elementType
    self.elementCount = elementCount
    self.isWritten = isWritten
    self.isStreamed = isStreamed
  }
}

/// A loop whose iterations are independent and dealt to the team, around everything the phase does.
public struct NestPhase: Sendable {
  /// The axis that holds the iteration's number.
  public var axis: Int
  public var extent: Int
  /// The fewest iterations that are worth a worker of their own.
  public var grain: Int
  public var body: [NestStatement]

  public init(axis: Int, extent: Int, grain: Int, body: [NestStatement]) {
    (self.axis, self.extent, self.grain, self.body) = (axis, extent, grain, body)
  }
}

public indirect enum NestStatement: Sendable {
  case loop(NestLoop)
  /// buffer[index] = value, where the condition is `.none` or true.
  case store(buffer: Int, index: ScalarID, value: ScalarID, condition: ScalarID)
  /// register = value.
  case assign(register: Int, value: ScalarID)
  case reduce(NestReduction)
}

/// A loop inside a phase.
public struct NestLoop: Sendable {
  public enum Mark: Hashable, Sendable {
    case serial
    case unrolled
    /// Independent iterations in groups of so many lanes, with the rest one by one.
    ///
    /// The body may hold serial loops and reductions of one lane, which then run once for each group. A register that is
    /// assigned in the body is not read after the loop.
    case vector(Int)
  }
  public var axis: Int
  public var extent: Int
  public var mark: Mark
  public var body: [NestStatement]

  public init(axis: Int, extent: Int, mark: Mark, body: [NestStatement]) {
    (self.axis, self.extent, self.mark, self.body) = (axis, extent, mark, body)
  }
}

/// Serial loops that carry a state in registers.
///
/// There are n = `lanes` × `interleave` states, each starting as `initial`. Iteration k of the innermost loop steps state
/// k mod n, in every iteration of the outer loops. At the end, while n > 1, with h = ⌈n / 2⌉, state i becomes the merge
/// of states i and i + h for each i < n − h, and n becomes h; state 0 is the result. The order is part of the nest, so
/// that the bits are the same wherever it runs. `lanes` is a power of two, and 1 inside a vector loop.
///
/// A loop with a block runs so many iterations at a time on states of their own, which start as `initial` too and are then
/// merged into those around them, so that a long sum is one of short ones and rounds less often. Iterations of the innermost
/// loop that no longer fill all n states step the states around.
public struct NestReduction: Sendable {
  public struct Loop: Hashable, Sendable {
    public var axis: Int
    public var extent: Int
    /// In the innermost loop a multiple of the number of states. `initial` must then be neutral in `merge`.
    public var block: Int?
    public init(axis: Int, extent: Int, block: Int? = nil) {
      (self.axis, self.extent, self.block) = (axis, extent, block)
    }
  }
  /// Outermost first.
  public var loops: [Loop]
  public var lanes: Int
  public var interleave: Int
  /// The registers that hold the final state.
  public var registers: [Int]
  public var initial: [ScalarID]
  public var step: [ScalarID]
  public var merge: [ScalarID]

  public init(
    loops: [Loop], lanes: Int, interleave: Int, registers: [Int], initial: [ScalarID], step: [ScalarID],
    merge: [ScalarID]
  ) {
    self.loops = loops
    self.lanes = lanes
    self.interleave = interleave
    self.registers = registers
    self.initial = initial
    self.step = step
    self.merge = merge
  }
}
