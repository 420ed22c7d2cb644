import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// What a plan depends on beyond what passes ask of a device.
public protocol SchedulingTarget: Target {
  /// The most workers that take part in a wide step.
  var workerCount: Int { get }
  /// Bytes of scratch memory that a library call needs.
  func scratchBytes(for contract: LibraryContract) -> Int
  /// Whether a library call is worth the whole team.
  func isWide(_ contract: LibraryContract) -> Bool
  /// What a library call takes on one worker, about, in nanoseconds; nil for one that must not run beside others.
  func nanoseconds(for contract: LibraryContract) -> Int?
  /// The form in which the device runs a kernel; by default a loop nest for processors.
  func code(for program: StageProgram, label: String) -> any KernelCode
  /// An operation's own code for the device, if it brings any beside its host code.
  ///
  /// - Throws: what is wrong with the code.
  func code(
    for function: HostFunction, operands: [TensorType], results: [TensorType]
  ) throws(Diagnostic) -> (any KernelCode)?
}

extension SchedulingTarget {
  public func nanoseconds(for contract: LibraryContract) -> Int? { nil }

  public func code(
    for function: HostFunction, operands: [TensorType], results: [TensorType]
  ) throws(Diagnostic) -> (any KernelCode)? { nil }

  public func code(for program: StageProgram, label: String) -> any KernelCode {
    NestCode(program, for: machine.shape, label: label)
  }
}

extension TargetMachine {
  /// What schedules know of the machine.
  package var shape: MachineShape {
    MachineShape(vectorBytes: vectorBytes, l1: l1Bytes, l2: l2Bytes, l3: l3Bytes)
  }
}
