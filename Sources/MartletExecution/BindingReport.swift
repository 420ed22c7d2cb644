/// What it took to bind a plan, and where the code of its kernels came from.
public struct BindingReport: Sendable, Hashable {
  /// Seconds spent on machine code: generated, loaded or found.
  public var codeSeconds = 0.0
  /// Seconds spent on the primitives of libraries, but for those that the passes and the planner had asked about before.
  public var librarySeconds = 0.0
  /// Kernels for which code was generated.
  public var generatedKernels = 0
  /// Kernels, generated or left on disk, whose code takes longer to run than it need: there was so much to compile that little
  /// effort went into those with little work. If they run often, they are compiled again in the background.
  public var quickKernels = 0
  /// Kernels whose code an earlier process had left on disk.
  public var cachedKernels = 0
  /// Kernels whose code this process had already.
  public var reusedKernels = 0

  public init() {}
}

extension ContinuousClock {
  /// Seconds since `start`.
  static func seconds(since start: Instant) -> Double { (ContinuousClock.now - start) / .seconds(1) }
}
