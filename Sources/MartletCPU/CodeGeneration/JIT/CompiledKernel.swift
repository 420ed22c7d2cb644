import CMartletRuntime
import MartletLoopIR

/// Machine code of a nest, ready to run; the code stays loaded as long as this value or a copy of it exists.
public struct CompiledKernel: Sendable {
  /// One phase: its code, and how its iterations may be dealt to workers.
  public struct Phase: Sendable {
    /// The address of a function of type `martlet_kernel`, valid as long as the kernel.
    public var address: UInt
    /// The number of iterations.
    public var extent: Int
    /// The fewest iterations that are worth a worker of their own.
    public var grain: Int

    /// The function at the address.
    public var function: martlet_kernel { unsafeBitCast(address, to: martlet_kernel.self) }
  }

  public var name: String
  public var phases: [Phase]
  /// Bytes of scratch memory that each worker needs, 64-byte aligned.
  public var scratchBytes: Int
  /// Bytes of the object file that holds the code, shared with the kernels that were compiled in one batch.
  public var codeBytes: Int
  /// Whether the code was generated with little effort, so that it pays to do it again if the kernel runs often.
  public var isQuick: Bool
  /// What the code is told beside the run's parameters, where one code does for several shapes.
  public var parameters: [Int64] = []
  let image: CodeImage

  /// Takes on what a nest has beside its code.
  mutating func adopt(_ nest: Nest) {
    name = nest.name
    scratchBytes = nest.scratchBytes
    for (i, phase) in nest.phases.enumerated() { (phases[i].extent, phases[i].grain) = (phase.extent, phase.grain) }
  }
}

/// What generated code records in `martlet_status` when it meets a fault; `site` is then the payload of the check.
public enum KernelFault {
  /// The `code` of an index outside its extent; `index` is that index.
  public static let indexOutOfBounds: Int32 = 1

  /// What generated code calls it.
  static let raiseName = "martlet_status_raise"
  static let raiseAddress: UInt = {
    let raise: @convention(c) (UnsafeMutablePointer<martlet_status>?, Int32, Int64, Int64) -> Void =
      martlet_status_raise
    return unsafeBitCast(raise, to: UInt.self)
  }()
}
