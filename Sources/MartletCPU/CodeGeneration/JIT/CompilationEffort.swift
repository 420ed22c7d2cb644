import MartletLoopIR

/// What the code generator takes pains over: instruction selection and register allocation of a nest take five times as
/// long as the rest of its compilation, and as what the quick way does instead.
enum CompilationEffort: Hashable, Sendable {
  case quick, full

  /// When nests are compiled the quick way.
  struct Policy: Sendable {
    /// The size of a compilation, in rows, from which on it is worth hurrying: a core takes about 50 µs for a row.
    var leastSize = 40_000
    /// The most operations that a nest may take in a run to be compiled the quick way: about 0.1 ms of a core.
    var mostOperations = 1 << 22
    /// The same where few runs are expected: about 1 ms, against 2 ms for better code.
    var mostOperationsOfFewRuns = 1 << 25
    /// How often a nest runs before it is compiled again.
    var runs = 512

    /// The effort for each of the nests that are to be compiled at one time.
    ///
    /// - Parameter isHurried: Whether to hurry even if it is not much.
    func efforts(_ nests: [Nest], isHurried: Bool = false) -> [CompilationEffort] {
      guard isHurried || nests.reduce(0, { $0 + CompilationEffort.size(of: $1) }) >= leastSize else {
        return Array(repeating: .full, count: nests.count)
      }
      return nests.map { isSmall($0, isHurried: isHurried) ? .quick : .full }
    }

    /// Whether a nest takes so little that quick code will do.
    func isSmall(_ nest: Nest, isHurried: Bool) -> Bool {
      nest.greatestOperationCount <= (isHurried ? mostOperationsOfFewRuns : mostOperations)
    }
  }

  /// An estimate of the work of compiling a nest.
  static func size(of nest: Nest) -> Int { nest.scalars.count + 20 * nest.phases.count }
}
