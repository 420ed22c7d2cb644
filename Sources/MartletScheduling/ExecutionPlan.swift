import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// What a run does, as data without closures or addresses: blocks of instructions over numbered slots.
///
/// A plan is made for exact shapes. Binding it to a back end turns kernels and library contracts into code.
public struct ExecutionPlan: Sendable {
  /// The operands and results of all blocks' instructions.
  public var slots: [PlanSlot] = []
  /// Block 0 is the program's main function; the others are branches, and conditions and bodies of loops.
  public var blocks: [PlanBlock] = []
  /// Kernels, each once however often it is used.
  public var kernels: [PlanKernel] = []
  /// Library calls, each once however often it is used.
  public var contracts: [LibraryContract] = []
  public var constants: [Constant] = []
  public var hostCalls: [HostCall] = []
  /// Where instructions come from.
  public var origins: [PlanOrigin] = []

  /// The feeds, in order.
  public var arguments: [PlanPort] = []
  /// The fetches, in order.
  public var results: [PlanPort] = []
  /// The variables that the run reads or assigns; their `argument` and `result` are slots.
  public var variables: [VariableBinding] = []
  /// Bytes of the memory that holds all intermediate values, scratch memory included.
  public var arenaBytes = 0
  /// What it will be run for, as far as can be told.
  public var use = Use.usual

  /// What plans are for: how long binding one may take depends on it.
  public enum Use: Sendable, Hashable {
    case usual
    /// It will run a few times only.
    case few
    /// It is for other shapes than an earlier plan for the same fetches and feeds, and more such may follow.
    case otherShapes
  }

  public init() {}

  public var instructionCount: Int { blocks.reduce(0) { $0 + $1.instructions.count } }
  /// The most memory that a run holds beside feeds, constants and variables: the arena and the fetched arrays.
  public var peakBytes: Int { arenaBytes + results.reduce(0) { $0 + slots[$1.slot].byteCount } }
  /// Whether a step wants the whole team.
  public var isWide: Bool {
    blocks.contains { !$0.groups.isEmpty || $0.instructions.contains(where: \.isWide) }
  }
}

/// A fed or fetched array.
public struct PlanPort: Hashable, Sendable {
  public var name: String
  public var type: TensorType
  public var slot: Int
}

/// A place in memory during a part of the run.
public struct PlanSlot: Hashable, Sendable {
  public enum Place: Hashable, Sendable {
    /// A byte offset into the run's arena, a multiple of 64.
    case arena(Int)
    case argument(Int)
    case constant(Int)
    case result(Int)
    case variable(Int)
  }
  public var place: Place
  /// The bytes before it in what it is a part of, outside the arena.
  public var offset = 0
  public var byteCount: Int
  /// The value's type; nil for scratch memory.
  public var type: TensorType?
  public var name: String
  /// The slot that it is a part of; it holds its value as long as that one does.
  public var whole: Int?
}

/// Instructions that run one after the other, but for those in groups.
public struct PlanBlock: Sendable {
  public var name: String
  public var instructions: [PlanInstruction] = []
  /// In order, none overlapping another.
  public var groups: [PlanGroup] = []
}

/// One step of a plan.
public struct PlanInstruction: Sendable {
  public enum Action: Hashable, Sendable {
    case kernel(Int)
    case library(Int)
    case host(Int)
    /// The bytes of operand 0.
    case copy
    /// The bytes of the operands, one behind the other. Those that lie in their places already are not moved.
    case join
    /// The one or the other block, by the Boolean operand 0. Both write the results.
    case conditional(then: Int, else: Int)
    case loop(PlanLoop)
  }
  public var action: Action
  public var operands: [Int]
  public var results: [Int]
  /// A kernel's temporaries, then its workers' scratch memory; a library's scratchpad; the arena of nested blocks.
  public var scratch: [Int]
  /// An index into the plan's origins.
  public var origin: Int
  /// Whether the whole team runs the step; else one worker does.
  public var isWide: Bool
  /// Whether the processor carries out the step in the plan of another device.
  public var isOnHost = false
}

/// A body repeated while a condition gives true.
public struct PlanLoop: Hashable, Sendable {
  public var condition: Int
  /// The Boolean that the condition writes.
  public var predicate: Int
  public var body: Int
  /// For each value that changes, the slot by which condition and body read it and the slot by which the body writes
  /// it: the same memory.
  public var states: [State]

  public struct State: Hashable, Sendable {
    public var read: Int
    public var written: Int
  }
}

/// A kernel of a plan: what it computes, and how.
public struct PlanKernel: Sendable {
  /// Nil for a user's own code.
  public var program: StageProgram?
  public var code: any KernelCode
  public var label: String

  /// Whether it may find that an index is wrong.
  public var canFail: Bool { program?.canFail ?? true }
}

/// Host code behind an instruction: the operation, from which binding gets the code, and what it is applied to.
public struct HostCall: Sendable {
  public var operation: any Operation
  public var operands: [Operand]
  public var results: [TensorType]
  public var name: String
}

/// The node of the graph behind an instruction.
public struct PlanOrigin: Hashable, Sendable {
  /// The operation's name, or the names of those in a fused kernel.
  public var operation: String
  public var name: String
  public var site: BuildSite

  /// A diagnostic about this node.
  public func diagnostic(
    _ message: String, required: String? = nil, found: String? = nil, hint: String? = nil
  ) -> Diagnostic {
    Diagnostic(
      message, operation: "\(operation) '\(name)'", required: required, found: found, site: site, hint: hint)
  }
}
