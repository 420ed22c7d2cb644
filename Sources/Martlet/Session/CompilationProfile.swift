import Foundation
import MartletExecution
import MartletRewriting

/// Where the time of a compilation went.
public struct CompilationProfile: Sendable {
  /// A pass of the pipeline.
  public struct Pass: Sendable {
    public var name: String
    public var seconds: Double
    /// The passes that this one repeats, each with all its rounds.
    public var passes: [Pass] = []
  }

  /// Seconds for cutting the graph down to what the run needs.
  public var extractionSeconds = 0.0
  /// In the order in which they ran.
  public var passes: [Pass] = []
  /// Seconds for scheduling kernels, ordering instructions and laying out memory.
  public var planningSeconds = 0.0
  /// Machine code and primitives of libraries.
  public var binding = BindingReport()

  public init() {}
}

extension CompilationProfile {
  /// Takes over what an instrument saw of the passes.
  mutating func add(_ statistics: StatisticsInstrument) {
    for item in statistics.times {
      let repeated = statistics.repeated.filter { $0.fixpoint == item.pass }
      passes.append(
        Pass(
          name: item.pass, seconds: item.time / .seconds(1),
          passes: repeated.map { Pass(name: $0.pass, seconds: $0.time / .seconds(1)) }))
    }
  }
}

extension CompilationProfile: CustomStringConvertible {
  /// A table with a line for each stage, times in milliseconds.
  public var description: String {
    var lines = ["  compile, ms   stage"]
    func add(_ name: String, _ seconds: Double) { lines.append(String(format: "%13.2f   ", seconds * 1e3) + name) }
    add("extraction", extractionSeconds)
    for pass in passes {
      add(pass.name, pass.seconds)
      for repeated in pass.passes { add("  " + repeated.name, repeated.seconds) }
    }
    add("planning", planningSeconds)
    add(
      "code of \(binding.generatedKernels) kernels generated, \(binding.cachedKernels) loaded, "
        + "\(binding.reusedKernels) at hand"
        + (binding.quickKernels > 0 ? "; \(binding.quickKernels) with little effort" : ""), binding.codeSeconds)
    add("libraries", binding.librarySeconds)
    return lines.joined(separator: "\n")
  }
}
