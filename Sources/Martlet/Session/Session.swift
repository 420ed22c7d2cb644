import Foundation
import MartletCPU
import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletRewriting
import MartletScheduling
import MartletTensors
import Synchronization

/// Runs a graph, and keeps its variables from run to run.
///
/// ```swift
/// let session = try Session(graph)
/// try session.run(graph.initializer)
/// let step = try session.makeCallable(fetches: [loss], targets: [train], feeds: [images, labels])
/// for (x, y) in batches { print(try step(x, y)[0]) }
/// ```
///
/// The first run with new fetches, targets, feeds or shapes of feeds compiles a plan, which later runs use again. Any
/// number of threads may run one session at the same time: a run sees the variables as no other run is just changing
/// them, and its own changes are seen all together.
public final class Session: Sendable {
  public let graph: Graph
  public let options: SessionOptions
  public let variables = VariableStore()
  let compiler: ProgramCompiler
  /// What runs the plans.
  public var device: SessionOptions.Device { compiler.device }
  private let state: Mutex<State>
  private let runCount = Atomic<Int>(0)

  private struct State {
    var signatures: [RunSignature.Key: RunSignature] = [:]
    var compilations: [SessionStatistics.Compilation] = []
    /// The graph's size at the last compilation.
    var nodeCount = 0
    var lastCompiled: (key: RunSignature.Key, types: [TensorType])?
  }

  /// - Throws: all mistakes that were made while the graph was built, as one error.
  public init(_ graph: Graph, options: SessionOptions = SessionOptions()) throws {
    try DiagnosticList(graph.diagnostics).throwIfAny()
    self.graph = graph
    self.options = options
    compiler = try ProgramCompiler(options)
    state = Mutex(State())
  }

  /// What the session has done so far.
  public var statistics: SessionStatistics {
    var statistics = SessionStatistics()
    statistics.runs = runCount.load(ordering: .relaxed)
    statistics.compilations = state.withLock { $0.compilations }
    return statistics
  }

  /// What was compiled last: what was asked for, and the types of the feeds.
  var lastCompiled: (key: RunSignature.Key, types: [TensorType])? { state.withLock { $0.lastCompiled } }

  // MARK: Runs

  /// Computes values.
  ///
  /// - Parameters:
  ///   - fetches: the values wanted.
  ///   - feeds: arrays for placeholders, or in the place of any other values.
  ///   - targets: nodes to run for their effects, such as assignments.
  /// - Returns: the fetched arrays, in order.
  /// - Throws: a diagnostic that names the node and its line, for a feed that does not fit, a placeholder without one, a
  ///   variable without a value, or a fault of the run itself.
  @discardableResult
  public func run(
    _ fetches: [Output], feeds: [Output: Tensor] = [:], targets: [GraphNode] = [], options: RunOptions = RunOptions()
  ) throws -> [Tensor] {
    let ordered = feeds.sorted { $0.key.id < $1.key.id }
    let signature = try signature(fetches, targets, ordered.map(\.key))
    return try run(signature, ordered.map(\.value), options)
  }

  /// Computes one value.
  public func run(
    _ fetch: Output, feeds: [Output: Tensor] = [:], targets: [GraphNode] = [], options: RunOptions = RunOptions()
  ) throws -> Tensor {
    try run([fetch], feeds: feeds, targets: targets, options: options)[0]
  }

  /// Runs a node for its effects.
  public func run(
    _ target: GraphNode, feeds: [Output: Tensor] = [:], options: RunOptions = RunOptions()
  ) throws {
    try run([], feeds: feeds, targets: [target], options: options)
  }

  /// A run whose fetches, targets and feeds are settled, for loops that repeat it.
  ///
  /// - Throws: a diagnostic for each placeholder that would be needed and is not among the feeds.
  public func makeCallable(
    fetches: [Output], targets: [GraphNode] = [], feeds: [Output] = []
  ) throws -> Callable {
    let signature = try signature(fetches, targets, feeds)
    try ProgramExtractor(
      graph, fetches: signature.key.fetches, targets: signature.key.targets, feeds: signature.key.feeds
    ).check()
    return Callable(session: self, signature: signature)
  }

  /// The plan that a run with feeds of these types would follow. Nothing is run, and no code is generated.
  public func plan(
    for fetches: [Output], targets: [GraphNode] = [], feeds: [Output: TensorType] = [:]
  ) throws -> ExecutionPlan {
    try profiledPlan(for: fetches, targets: targets, feeds: feeds).plan
  }

  /// As `plan(for:targets:feeds:)`, with what the passes and the planner took.
  public func profiledPlan(
    for fetches: [Output], targets: [GraphNode] = [], feeds: [Output: TensorType] = [:]
  ) throws -> (plan: ExecutionPlan, profile: CompilationProfile) {
    let ordered = feeds.sorted { $0.key.id < $1.key.id }
    let key = try signature(fetches, targets, ordered.map(\.key)).key
    var profile = CompilationProfile()
    let program = try program(key, feedTypes: ordered.map(\.value), profile: &profile)
    return (try compiler.plan(program, profile: &profile), profile)
  }

  /// The program that a run with feeds of these types would be planned from, after the passes up to a form.
  public func program(
    for fetches: [Output], targets: [GraphNode] = [], feeds: [Output: TensorType] = [:], until form: Form = .fused
  ) throws -> Program {
    let ordered = feeds.sorted { $0.key.id < $1.key.id }
    let key = try signature(fetches, targets, ordered.map(\.key)).key
    var profile = CompilationProfile()
    let program = try program(key, feedTypes: ordered.map(\.value), profile: &profile)
    return try compiler.optimize(program, until: form, profile: &profile)
  }

  func run(_ signature: RunSignature, _ feeds: [Tensor], _ options: RunOptions) throws -> [Tensor] {
    let compiled = try signature.plan(for: feeds, forwardingCount: graph.forwardingCount) { types, reason in
      try compile(signature.key, types, reason)
    }
    let number = runCount.add(1, ordering: .relaxed).oldValue
    return try compiled.plan.run(feeds, variables: compiled.variables, number: number, trace: options.trace)
  }

  private func signature(
    _ fetches: [Output], _ targets: [GraphNode], _ feeds: [Output]
  ) throws -> RunSignature {
    for output in fetches + feeds where output.graph !== graph {
      throw Diagnostic("'\(output.name)' belongs to another graph than the session")
    }
    for target in targets where target.graph !== graph {
      throw Diagnostic("'\(target.name)' belongs to another graph than the session")
    }
    let key = RunSignature.Key(fetches: fetches.map(\.id), targets: targets.map(\.id), feeds: feeds.map(\.id))
    return state.withLock { state in
      if let known = state.signatures[key] { return known }
      let new = RunSignature(key, capacity: options.planCapacity)
      state.signatures[key] = new
      return new
    }
  }

  // MARK: Compiling

  private func program(
    _ key: RunSignature.Key, feedTypes: [TensorType], profile: inout CompilationProfile
  ) throws -> Program {
    try DiagnosticList(graph.diagnostics).throwIfAny()
    let start = ContinuousClock.now
    defer { profile.extractionSeconds += (ContinuousClock.now - start) / .seconds(1) }
    let extractor = ProgramExtractor(graph, fetches: key.fetches, targets: key.targets, feeds: key.feeds)
    return try extractor.program(feedTypes: feedTypes)
  }

  /// - Throws: a diagnostic if a run would need more memory than the machine has.
  private func checkMemory(_ plan: ExecutionPlan) throws(Diagnostic) {
    let available = PagePool.systemByteCount
    guard plan.peakBytes > available else { return }
    throw MemoryUse(plan).shortage(
      "a run needs more memory than this machine has", limit: available,
      hint: "work on smaller batches, or less at once")
  }

  /// Says what the processor does in the plan of another device.
  private func logPlacement(of plan: ExecutionPlan) {
    guard let log = options.log else { return }
    for instruction in plan.blocks.flatMap(\.instructions) where instruction.isOnHost {
      let origin = plan.origins[instruction.origin]
      let reason =
        if case .host = instruction.action { "it has code for the processor only" } else { "it is placed there" }
      log("on the processor: \(origin.operation) '\(origin.name)'; \(reason)")
    }
  }

  private func compile(
    _ key: RunSignature.Key, _ types: [TensorType], _ reason: SessionStatistics.Reason?
  ) throws -> RunSignature.Compiled {
    let start = ContinuousClock.now
    let nodeCount = graph.nodeCount
    var profile = CompilationProfile()
    let bound = try compiler.backend.compiling {
      var plan = try compiler.plan(try program(key, feedTypes: types, profile: &profile), profile: &profile)
      // What runs often all the same is compiled again.
      if reason == .shapes || reason == .eviction { plan.use = .otherShapes }
      if case .cuda = device {} else { try checkMemory(plan) }
      return try compiler.backend.bind(plan)
    }
    let plan = bound.plan
    profile.binding = bound.report
    let stored = try plan.variables.map { variable throws(Diagnostic) in
      try variables.variable(variable.name, type: variable.type)
    }
    let time = ContinuousClock.now - start
    let storage = graph.storage
    var compilation = SessionStatistics.Compilation(
      reason: reason ?? .signature, fetches: key.fetches.map { storage.name(of: $0) },
      targets: key.targets.map { storage.name(of: $0) },
      feeds: zip(key.feeds, types).map { "\(storage.name(of: $0)): \($1)" },
      seconds: Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18,
      instructionCount: plan.instructionCount, kernelCount: plan.kernels.count, arenaBytes: plan.arenaBytes,
      profile: profile)
    state.withLock { state in
      if reason == nil {
        if state.compilations.isEmpty {
          compilation.reason = .first
        } else if nodeCount > state.nodeCount {
          compilation.reason = .growth
        }
      }
      state.nodeCount = nodeCount
      state.lastCompiled = (key, types)
      state.compilations.append(compilation)
    }
    options.log?(compilation.description)
    logPlacement(of: plan)
    return RunSignature.Compiled(types: types, plan: bound, variables: stored)
  }
}

extension SessionStatistics.Compilation: CustomStringConvertible {
  public var description: String {
    let wanted = (fetches + targets).joined(separator: ", ")
    let given = feeds.isEmpty ? "" : " from \(feeds.joined(separator: ", "))"
    let milliseconds = Int((seconds * 1000).rounded())
    return "compiled \(wanted)\(given) in \(milliseconds) ms: \(reason.rawValue); \(instructionCount) instructions, "
      + "\(kernelCount) kernels, \(profile.binding.generatedKernels) of them compiled, arena \(arenaBytes) bytes"
  }
}
