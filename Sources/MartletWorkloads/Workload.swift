import Martlet

/// A benchmark: data that is drawn from a fixed seed, a graph over it, and what one run of that graph is.
///
/// Each workload has a counterpart of the same name, with the same data, in the programs for other frameworks below
/// `Benchmarks/peers`. Its check gives the same number there.
public struct Workload: Sendable {
  public let name: String
  /// Draws the data, and returns what builds the graph over it.
  let prepare: @Sendable () -> Builder

  /// Builds graph and session. Its time counts as compilation.
  typealias Builder = (Options) throws -> Execution

  /// How workloads are run.
  public struct Options: Sendable {
    /// How the session compiles and runs.
    public var session: SessionOptions
    /// How long a workload is measured.
    public var seconds: Double
    /// Whether to take the times of the steps, too.
    public var isProfiling: Bool

    public init(session: SessionOptions = SessionOptions(), seconds: Double = 5, isProfiling: Bool = false) {
      self.session = session
      self.seconds = seconds
      self.isProfiling = isProfiling
    }
  }

  /// A workload that is ready to run.
  struct Execution {
    /// What is measured.
    let run: (RunOptions) throws -> Void
    /// Gives the number by which programs for the same workload are compared, after one `run` and before others.
    let check: () throws -> Double
    /// The session that runs it.
    let session: Session
  }
}

extension Workload {
  /// All workloads.
  public static let all: [Workload] =
    [overheadChain, overheadChain.unfused, overheadWide, overheadWide.unfused]
    + [fusedElementwise, softmaxRows, layerNorm]
    + [256, 512, 1024, 2048, 4096].map(matrixProduct)
    + [multilayerPerceptron, leNetTraining, lstmTraining]
    + [resNet50Inference(batch: 1), resNet50Inference(batch: 8), resNet50Training]
    + [bertInference(batch: 1), bertInference(batch: 8), leNetInference]
    + [matrixProductInBFloat16, multilayerPerceptronInBFloat16, resNet50InferenceInBFloat16, bertInferenceInBFloat16]

  /// The same graph with each operation a kernel of its own.
  private var unfused: Workload {
    Workload(name: name + "_unfused") {
      let build = prepare()
      return { options in
        var options = options
        options.session.isFusing = false
        return try build(options)
      }
    }
  }

  /// The workloads that a word stands for: the one of that name, or else all whose names begin with it and an underscore.
  public static func matching(_ word: String) -> [Workload] {
    all.first { $0.name == word }.map { [$0] } ?? all.filter { $0.name.hasPrefix(word + "_") }
  }
}
