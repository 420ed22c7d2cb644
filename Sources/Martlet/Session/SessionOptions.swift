import MartletCPU
import MartletCUDA
import MartletExecution
import MartletRewriting

/// How a session compiles and runs.
public struct SessionOptions: Sendable {
  /// What runs the plans; nil for the device that the environment variable `MARTLET_DEVICE` names, or else the processor.
  public var device: Device?
  /// How many threads share the work of one step; nil for all processors.
  public var threads: Int?
  /// Whether operations are joined into kernels; without it each is a step of its own.
  public var isFusing: Bool
  /// The most bytes that a run may take beside feeds, constants and variables; nil for no limit but the machine's.
  ///
  /// Where a plan would take more, values are computed again instead of being kept (see `Rematerialization`); compiling
  /// throws if that does not suffice. With any limit the gradient of attention computes its weights again.
  public var memoryBudget: Int?
  /// Whether library calls keep to the arithmetic of the operations that they stand for: no Winograd convolutions, no
  /// batch normalization folded into filters, attention as it is written, and every ReLU lets NaN pass.
  public var isExact: Bool
  /// Whether results have the same bits for any number of threads, on one machine. With one number they have in any case,
  /// run after run.
  ///
  /// The library calls that cannot promise it are done in another way then, which takes longer; `martlet doctor` lists
  /// them. The environment variable `MARTLET_DETERMINISTIC` does the same for all sessions.
  public var isDeterministic: Bool
  /// Whether the loops of kernels that take long enough are scheduled by trying out some ways on this machine, instead of by
  /// fixed estimates. Compiling takes a quarter of a second a kernel longer, once: the choices are kept with the machine code
  /// (see `codeCache`) for this machine and number of threads.
  ///
  /// Results have the same bits whatever is chosen. GPUs are not tuned.
  public var tunesSchedules: Bool
  /// Where machine code is kept from one process to the next.
  public var codeCache: CodeCache
  /// Whether an operation whose wanted device is not there runs on the session's, with a line in the log, instead of being a
  /// mistake.
  public var isPlacementSoft: Bool
  /// How a GPU is used.
  public var cuda: CUDAOptions
  /// The libraries of CUDA; tests have others than the machine's.
  package var cudaLibraries = CUDALibraries.standard
  /// How many plans are kept for one set of fetches, targets and feeds; tests have fewer.
  package var planCapacity = RunSignature.capacity
  /// Rewrites of your own, applied with Martlet's.
  public var rules: RuleSet?
  /// The names of rules that are not applied, Martlet's or yours; `martlet optimize` lists those that fire. A name that no
  /// rule has is a mistake.
  ///
  /// Those of the set `stability` change the bits of results, for the better: without `log-of-one-plus`, `log(1 + x)` is
  /// what you get from adding and then taking the logarithm. Differentiation, which happens before there is a session,
  /// applies that set to what it differentiates in any case.
  public var disabledRules: Set<String>
  /// Look on while a graph is compiled: verify, dump, time, compare.
  public var instruments: [any Instrument]
  /// Called with one line for each compilation, and with its warnings.
  public var log: (@Sendable (String) -> Void)?

  public init(
    device: Device? = nil, threads: Int? = nil, isFusing: Bool = true, isExact: Bool = false,
    isDeterministic: Bool = false, memoryBudget: Int? = nil, codeCache: CodeCache = .standard,
    tunesSchedules: Bool = false, isPlacementSoft: Bool = false, cuda: CUDAOptions = CUDAOptions(),
    rules: RuleSet? = nil,
    disabledRules: Set<String> = [],
    instruments: [any Instrument] = [], log: (@Sendable (String) -> Void)? = nil
  ) {
    self.device = device
    self.threads = threads
    self.isFusing = isFusing
    self.memoryBudget = memoryBudget
    self.isExact = isExact
    self.isDeterministic = isDeterministic
    self.codeCache = codeCache
    self.tunesSchedules = tunesSchedules
    self.isPlacementSoft = isPlacementSoft
    self.cuda = cuda
    self.rules = rules
    self.disabledRules = disabledRules
    self.instruments = instruments
    self.log = log
  }
}

/// How one run goes.
public struct RunOptions: Sendable {
  /// Takes the time of each step of the run.
  public var trace: RunTrace?

  public init(trace: RunTrace? = nil) { self.trace = trace }
}

/// What a session has done so far.
public struct SessionStatistics: Sendable {
  /// Why a plan was compiled.
  public enum Reason: String, Sendable {
    /// The session's first run.
    case first
    /// Other fetches, targets or feeds than before.
    case signature = "new fetches, targets or feeds"
    /// As `signature`, after nodes had been added to the graph.
    case growth = "the graph has grown"
    /// Known fetches and feeds, in other shapes than before.
    case shapes = "new shapes"
    /// Known shapes whose plan had been dropped, after runs with many others.
    case eviction = "its plan was dropped for others"
    /// Values of the graph were replaced by others.
    case forwarding = "the graph has changed"
  }
  public struct Compilation: Sendable {
    public var reason: Reason
    public var fetches: [String]
    public var targets: [String]
    /// The feeds with their types: `images: float32[32, 784]`.
    public var feeds: [String]
    public var seconds: Double
    public var instructionCount: Int
    public var kernelCount: Int
    public var arenaBytes: Int
    /// Where the seconds went.
    public var profile: CompilationProfile
  }

  public internal(set) var runs = 0
  public internal(set) var compilations: [Compilation] = []
}
