import CMartletRuntime
import MartletGraph
import MartletLoopIR
import MartletScheduling
import MartletTensors

/// A device that plans can be bound to and run on.
public protocol Backend: SchedulingTarget {
  /// Runs `body`, which compiles something. What the back end prepares at the same time has ended when this returns: a
  /// process that ends must not be loading libraries.
  ///
  /// - Throws: what `body` throws, or what failed in what was prepared.
  func compiling<Result>(_ body: () throws -> Result) throws -> Result
  /// Resolves a plan's kernels, library contracts and host code.
  ///
  /// - Throws: what the back end cannot compile or its libraries cannot do.
  func bind(_ plan: ExecutionPlan) throws -> any RunnablePlan
}

extension Backend {
  public func compiling<Result>(_ body: () throws -> Result) throws -> Result { try body() }
}

/// A plan with its code.
///
/// Any number of runs may go on at the same time; each has memory of its own.
public protocol RunnablePlan: AnyObject, Sendable {
  var plan: ExecutionPlan { get }
  /// What binding took.
  var report: BindingReport { get }
  /// Runs the plan.
  ///
  /// - Parameters:
  ///   - arguments: the feeds, of the plan's types.
  ///   - variables: those of the plan, in its order. They are locked until the run has ended.
  ///   - number: counts the runs of the session; random numbers depend on it.
  ///   - trace: takes the time of each instruction.
  /// - Returns: the fetches.
  /// - Throws: a diagnostic that names the node at which the run ended, or a variable without a value.
  func run(_ arguments: [Tensor], variables: [StoredVariable], number: Int, trace: RunTrace?) throws -> [Tensor]
  /// Whether memory is kept for runs to come, as it is at first; else it is given up when a run ends. It takes little time to
  /// get it again.
  func keepIdleMemory(_ isKept: Bool)
}

extension RunnablePlan {
  public func keepIdleMemory(_ isKept: Bool) {}
}

/// A back end whose instructions are functions that work on the processor's memory.
public protocol HostBackend: Backend {
  /// Code for kernels. All that a plan needs come at once, so that they can be compiled together.
  ///
  /// - Parameters:
  ///   - contracts: what will be bound next, for which code may have to be generated, too.
  ///   - use: how much time to compile counts beside time to run.
  ///   - report: is told where the code came from.
  func bind(
    _ kernels: [PlanKernel], before contracts: [LibraryContract], for use: ExecutionPlan.Use,
    report: inout BindingReport
  ) throws -> [BoundCall]
  /// A library's primitive for a contract that this back end claims.
  ///
  /// - Parameter constants: operands, by number, that are the same in every run, to be laid out as the library likes.
  func bind(_ contract: LibraryContract, constants: [Int: Constant]) throws -> BoundCall
  /// Runs `task(context)` and returns when it is done; calls of wide steps may be made in it if `isWide`.
  func run(isWide: Bool, _ task: @convention(c) (UnsafeMutableRawPointer?) -> Void, _ context: UnsafeMutableRawPointer)
}

extension HostBackend {
  public func bind(_ plan: ExecutionPlan) throws -> any RunnablePlan { try BoundPlan(plan, backend: self) }
}

/// Code that runs one instruction.
///
/// It is given the run's `RunState`, the addresses of operands, results and scratch memory in the order of the
/// instruction, and the data of its `BoundCall`. It returns 0, or anything else to end the run.
public typealias CallFunction =
  @convention(c) (
    _ state: UnsafeMutableRawPointer, _ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>,
    _ data: UnsafeMutableRawPointer?
  ) -> Int32

/// A kernel or a library call, ready to run.
public struct BoundCall: @unchecked Sendable {
  public var function: CallFunction
  public var data: UnsafeMutableRawPointer?
  /// Keeps `data` and the code alive.
  public var owner: AnyObject?
  /// Operands, by number, that it does not read, having laid them out. They have no address in a run if nothing else
  /// reads them.
  public var unread: Set<Int> = []

  public init(_ function: CallFunction, data: UnsafeMutableRawPointer? = nil, owner: AnyObject? = nil) {
    (self.function, self.data, self.owner) = (function, data, owner)
  }

  /// A call whose data is an object, which `function` gets back by `object(_:at:)`.
  public init(_ function: CallFunction, object: AnyObject, unread: Set<Int> = []) {
    self.init(function, data: Unmanaged.passUnretained(object).toOpaque(), owner: object)
    self.unread = unread
  }

  /// The object that a call was made with.
  public static func object<T: AnyObject>(_ type: T.Type, at data: UnsafeMutableRawPointer?) -> T {
    guard let data else { preconditionFailure("the call has no data") }
    return Unmanaged<T>.fromOpaque(data).takeUnretainedValue()
  }
}

/// What one run hands to every call.
public struct RunState {
  /// The run-time parameters by number. Number 0 counts the runs of the session, number 1 is that of the iteration of the
  /// loops around; see `number(ofIteration:around:)`.
  public var parameters: UnsafeMutablePointer<Int64>
  /// The first fault that generated code met.
  public var status: UnsafeMutablePointer<martlet_status>
  /// The error that host code threw.
  var failure: Unmanaged<RunFailure>

  public static let parameterCount = 4

  /// What tells an iteration of a loop from others of the run: 0 outside of loops, in a loop the iterations' numbers from 1,
  /// in loops within loops a number mixed from theirs. It depends on nothing else, such as the order of loops.
  ///
  /// - Parameter around: the number of the iteration that the loop is run in.
  public static func number(ofIteration iteration: Int64, around: Int64) -> Int64 {
    guard around != 0 else { return iteration }
    return Int64(bitPattern: RandomStreamKey.mixed(UInt64(bitPattern: around)) &+ UInt64(bitPattern: iteration))
  }

  public static func at(_ address: UnsafeMutableRawPointer) -> UnsafeMutablePointer<RunState> {
    address.assumingMemoryBound(to: RunState.self)
  }

  /// Ends the run with an error, when the call then returns something else than 0.
  public func fail(_ error: any Error) { failure.takeUnretainedValue().error = error }
}

/// Where an error waits until the run has ended.
final class RunFailure {
  var error: (any Error)?
}
