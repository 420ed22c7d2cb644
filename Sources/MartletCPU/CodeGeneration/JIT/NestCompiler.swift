import CMartletRuntime
import Dispatch
import MartletDiagnostics
import MartletExecution
import MartletLoopIR
import Synchronization

/// Compiles nests to machine code of this processor, and keeps the code of nests that it has seen.
///
/// Any number of threads may use a compiler at once. Code is found again by a nest's structure: names do not matter,
/// nor how many iterations a phase has. Nests of further shapes share code that is told their numbers; see ``ParametricNest``.
/// LLVM is loaded when the first code must be generated. Where there is very much to compile, nests with little work are compiled
/// with little effort, and again in the background if they turn out to run often; see ``CompilationEffort``.
///
/// ```swift
/// let compiler = NestCompiler()
/// let kernels = try compiler.compile([nest])
/// ```
public final class NestCompiler: Sendable {
  /// What was compiled so far.
  public struct Statistics: Sendable, Hashable {
    /// Nests for which code was generated, for which it was on disk, and requests that found their code ready.
    public var compiled = 0
    public var loaded = 0
    public var reused = 0
    /// Nests among the compiled and loaded whose code was generated with little effort, and those of which it was generated
    /// again.
    public var quick = 0
    public var refined = 0
    /// Bytes of the object files.
    public var codeBytes = 0
  }

  private struct State {
    var kernels: [StructuralKey: CompiledKernel] = [:]
    /// Oldest first.
    var order: [StructuralKey] = []
    var statistics = Statistics()
    var ahead = Ahead()
    var forms = ParametricForms()

    mutating func keep(_ compiled: [CompiledKernel], of nests: [KeyedNest], capacity: Int) {
      for (nest, kernel) in zip(nests, compiled) {
        let known = kernels[nest.key]
        if known == nil { order.append(nest.key) }
        if known?.isQuick ?? true { kernels[nest.key] = kernel }
      }
      guard order.count > capacity else { return }
      for key in order.prefix(order.count - capacity) { kernels[key] = nil }
      order.removeFirst(order.count - capacity)
    }
  }

  /// What is compiled before it is asked for.
  private struct Ahead {
    /// Nests that are being compiled, and those that nobody has asked for yet.
    var inFlight: Set<StructuralKey> = []
    var ready: Set<StructuralKey> = []
    /// What the ready ones took.
    var counts = Statistics()

    /// Takes what was compiled for some nests; how many of them there are.
    mutating func take(_ keys: some Sequence<StructuralKey>) -> (number: Int, counts: Statistics) {
      let number = ready.count
      ready.subtract(keys)
      guard ready.count < number else { return (0, Statistics()) }
      defer { counts = Statistics() }
      return (number - ready.count, counts)
    }
  }

  /// What code will do.
  enum Demand {
    /// The nest's own.
    case own
    /// The nest's own, or else such with parameters that there is.
    case any
    /// The nest's own if there is such, else such with parameters, and its own again if no nest is like it.
    case shared
  }

  private let target: LazyTarget
  private let capacity: Int
  let threads: Int
  let policy: CompilationEffort.Policy
  private let refinement = CodeRefinement()
  /// Is told when programs are compiled.
  let ahead = CodeAhead()
  /// The nests that are being compiled ahead.
  private let nestsAhead = DispatchGroup()
  private let state = Mutex(State())
  /// Compiles the innermost parts of matrix products.
  let tiles: TileCompiler

  /// - Parameters:
  ///   - capacity: How many kernels are kept for nests to come; beyond it the oldest are dropped.
  ///   - threads: How many threads may generate code at once.
  public convenience init(capacity: Int = 4096, threads: Int = 2) {
    self.init(capacity: capacity, threads: threads, processor: nil)
  }

  /// A compiler for a processor that has less than this machine's, such as `x86-64-v2`.
  package convenience init(capacity: Int = 4096, threads: Int = 2, processor: String?) {
    self.init(capacity: capacity, threads: threads, processor: processor, policy: CompilationEffort.Policy())
  }

  init(capacity: Int = 4096, threads: Int = 2, processor: String? = nil, policy: CompilationEffort.Policy) {
    target = LazyTarget(processor)
    self.policy = policy
    tiles = TileCompiler(target, ahead: ahead)
    self.capacity = capacity
    self.threads = max(1, min(threads, Int(martlet_machine_facts().pointee.processors)))
  }

  public var statistics: Statistics { state.withLock(\.statistics) }

  /// Whether code will have to be generated, as far as can be told ahead: else all of it may be in `store`.
  func needsLLVM(_ store: CodeStore?) -> Bool { store.flatMap { CodeContext(recordedIn: $0) } == nil }

  /// The code of each nest, in order; nests that are not known yet are compiled as a batch.
  ///
  /// - Throws: A diagnostic where LLVM is missing.
  public func compile(_ nests: [Nest]) throws(Diagnostic) -> [CompiledKernel] {
    var counts = Statistics()
    return try compile(nests, hurried: 0, store: nil, counts: &counts)
  }

  /// The code of nests that were compiled before, if need be with parameters.
  func known(_ nests: [Nest]) throws(Diagnostic) -> [CompiledKernel] {
    var counts = Statistics()
    return try compile(nests, .any, store: nil, counts: &counts)
  }

  /// - Parameters:
  ///   - hurried: How many nests, from the first on, may be compiled with little effort. The caller has them refined.
  ///   - demand: What code will do.
  ///   - inAnyCase: Whether that is wanted even if there is not much to compile.
  ///   - store: Where code is looked for that is not known yet, and where it is kept.
  ///   - counts: Is added what these nests took.
  func compile(
    _ nests: [Nest], _ demand: Demand = .own, hurried: Int = 0, inAnyCase: Bool = false, store: CodeStore?,
    counts: inout Statistics
  ) throws(Diagnostic) -> [CompiledKernel] {
    let own = nests.map { $0.codeKey }
    var keys = own
    if state.withLock({ state in keys.contains { state.ahead.inFlight.contains($0) } }) { nestsAhead.wait() }
    // Code does not depend on all extents, but whether it may be quick does.
    let mayBeQuick = nests.enumerated().map { $0 < hurried && policy.isSmall($1, isHurried: inAnyCase) }
    var found = state.withLock { state in keys.map { state.kernels[$0] } }
    var parametric: [Int: (nest: ParametricNest, values: [Int64])] = [:]
    if demand != .own {
      state.withLock { state in
        for i in nests.indices where found[i] == nil {
          guard let form = state.forms.parametric(nests[i], isNew: demand == .shared) else { continue }
          (parametric[i], keys[i], found[i]) = (form, form.nest.key, state.kernels[form.nest.key])
        }
      }
    }
    var numbers: [StructuralKey: Int] = [:]
    var missing: [KeyedNest] = []
    for (i, key) in keys.enumerated() where (found[i] == nil || found[i]!.isQuick && !mayBeQuick[i]) {
      found[i] = nil
      let mayBeQuick = mayBeQuick[i] && parametric[i] == nil
      if let known = numbers[key] {
        // What is wanted with full effort once is compiled so for all.
        if !mayBeQuick { missing[known].mayBeQuick = false }
        continue
      }
      numbers[key] = missing.count
      let nest = parametric[i]?.nest ?? ParametricNest(nests[i])
      missing.append(KeyedNest(key: key, form: nest, mayBeQuick: mayBeQuick))
    }
    var added = Statistics()
    let taken = state.withLock { $0.ahead.take(own) }
    added.reused = nests.count - missing.count - taken.number
    let compiled = missing.isEmpty ? [] : try make(missing, isHurried: inAnyCase, store, &added)
    state.withLock { state in
      state.statistics.add(added)
      state.forms.note(nests.indices.filter { numbers[keys[$0]] != nil && parametric[$0] == nil }.map { nests[$0] })
      state.keep(compiled, of: missing, capacity: capacity)
    }
    counts.add(added)
    counts.add(taken.counts)
    for i in found.indices {
      if found[i] == nil, let number = numbers[keys[i]] { found[i] = compiled[number] }
      found[i]!.adopt(nests[i])
      found[i]!.parameters = parametric[i]?.values ?? []
    }
    return found.map { $0! }
  }

  /// Has code generated on other threads for nests that will be asked for before the program that is being compiled runs; nothing
  /// happens where none is being compiled.
  func compileAhead(_ nests: [Nest], store: CodeStore?) {
    let keyed = nests.map { (key: $0.codeKey, nest: $0) }
    // Who finds one in flight waits for it from then on.
    nestsAhead.enter()
    let new = state.withLock { state in
      keyed.filter { item in
        guard state.kernels[item.key] == nil else { return false }
        // Code for several shapes does as well.
        let form = state.forms.hasParameters ? state.forms.parametric(item.nest, isNew: false) : nil
        if let form, state.kernels[form.nest.key] != nil { return false }
        return state.ahead.inFlight.insert(item.key).inserted
      }
    }
    guard !new.isEmpty else { return nestsAhead.leave() }
    let isStarted = ahead.start { [self] in
      let missing = new.map { KeyedNest(key: $0.key, form: ParametricNest($0.nest), mayBeQuick: false) }
      var added = Statistics()
      // Who asks for what cannot be compiled is told why.
      let kernels = try? make(missing, isHurried: false, store, &added)
      state.withLock { state in
        state.statistics.add(added)
        state.ahead.inFlight.subtract(missing.map(\.key))
        guard let kernels else { return }
        state.ahead.counts.add(added)
        state.ahead.ready.formUnion(missing.map(\.key))
        state.keep(kernels, of: missing, capacity: capacity)
        state.forms.note(missing.map(\.nest))
      }
      nestsAhead.leave()
    }
    guard !isStarted else { return }
    state.withLock { $0.ahead.inFlight.subtract(new.map(\.key)) }
    nestsAhead.leave()
  }

  // MARK: Refining code

  /// Compiles a nest again in the background, with full effort.
  ///
  /// - Parameter install: Is given the code. It is not called if the process ends before or LLVM fails.
  func refine(_ nest: Nest, store: CodeStore?, install: @escaping @Sendable (CompiledKernel) -> Void) {
    refinement.add(CodeRefinement.Request(nest: nest, install: install)) { [self] requests in
      var counts = Statistics()
      // Nests of which none may be hurried; what another request had refined is found.
      defer { martlet_llvm_release_pages() }
      guard let kernels = try? compile(requests.map(\.nest), store: store, counts: &counts) else { return }
      state.withLock { $0.statistics.refined += counts.compiled + counts.loaded }
      for (request, kernel) in zip(requests, kernels) { request.install(kernel) }
    }
  }

  /// Waits until everything is refined that was asked for.
  func finishRefining() { refinement.finish() }

  // MARK: Loading and generating code

  struct KeyedNest: Sendable {
    var key: StructuralKey
    var form: ParametricNest
    var nest: Nest { form.nest }
    /// Whether it may be compiled with little effort.
    var mayBeQuick: Bool
  }

  private func make(
    _ nests: [KeyedNest], isHurried: Bool, _ store: CodeStore?, _ counts: inout Statistics
  ) throws(Diagnostic) -> [CompiledKernel] {
    var kernels = [CompiledKernel?](repeating: nil, count: nests.count)
    var context: CodeContext?
    if let store { context = try target.context(store) }
    let library = store.flatMap { store in context.map { CodeLibrary(store: store, context: $0) } }
    func load(_ numbers: [Int], _ effort: CompilationEffort) {
      guard let library = effort == .quick ? library?.quick : library else { return }
      for (i, found) in zip(numbers, library.load(numbers.map { nests[$0].key })) {
        guard let found else { continue }
        kernels[i] = try? Self.kernel(nests[i].nest, in: found.image, number: found.number, effort)
        if kernels[i] == nil { library.remove(nests[i].key) } else { counts.loaded += 1 }
      }
    }
    load(Array(nests.indices), .full)
    let missing = kernels.indices.filter { kernels[$0] == nil }
    let hurried = missing.filter { nests[$0].mayBeQuick }
    let chosen = policy.efforts(hurried.map { nests[$0].nest }, isHurried: isHurried)
    let efforts = Dictionary(uniqueKeysWithValues: zip(hurried, chosen))
    load(missing.filter { efforts[$0] == .quick }, .quick)
    let rest = missing.filter { kernels[$0] == nil }
    if !rest.isEmpty {
      let codeTarget = try target.value()
      let destination = library?.recorded(for: codeTarget)
      let batches = [CompilationEffort.full, .quick].flatMap { effort in
        let numbers = rest.filter { (efforts[$0] ?? .full) == effort }
        return CompilationBatches.deal(numbers.map { CompilationEffort.size(of: nests[$0].nest) }, among: threads)
          .map { (effort: effort, numbers: $0.map { numbers[$0] }) }
      }
      let results = Mutex<[Result<[CompiledKernel], Diagnostic>?]>(Array(repeating: nil, count: batches.count))
      DispatchQueue.concurrentPerform(iterations: batches.count) { number in
        let batch = batches[number]
        let result = Result { () throws(Diagnostic) in
          try Self.generate(batch.numbers.map { nests[$0] }, batch.effort, codeTarget, destination)
        }
        results.withLock { $0[number] = result }
      }
      for (batch, result) in zip(batches, results.withLock { $0 }) {
        let generated = try result!.get()
        for (number, kernel) in zip(batch.numbers, generated) { kernels[number] = kernel }
        counts.codeBytes += generated.first?.codeBytes ?? 0
      }
      counts.compiled += rest.count
    }
    counts.quick += kernels.count { $0!.isQuick }
    return kernels.map { $0! }
  }

  static func generate(
    _ nests: [KeyedNest], _ effort: CompilationEffort, _ target: CodeTarget, _ library: CodeLibrary?
  ) throws(Diagnostic) -> [CompiledKernel] {
    let object = try target.withMachine(effort) { (machine) throws(Diagnostic) in
      let module = emit(nests.map(\.form), target, machine)
      try target.optimize(module.ir, machine)
      return try target.code(module.ir.module, machine)
    }
    let image = try CodeImage(try ObjectFile(object))
    (effort == .quick ? library?.quick : library)?.save(object, nests.map(\.key))
    return try nests.enumerated().map { (number, item) throws(Diagnostic) in
      try kernel(item.nest, in: image, number: number, effort)
    }
  }

  /// The kernel of a nest whose functions are those of a number in an image.
  private static func kernel(
    _ nest: Nest, in image: CodeImage, number: Int, _ effort: CompilationEffort
  ) throws(Diagnostic) -> CompiledKernel {
    let phases = try nest.phases.enumerated().map { (phaseNumber, phase) throws(Diagnostic) in
      CompiledKernel.Phase(
        address: try image.address(of: symbol(number, phaseNumber)), extent: phase.extent, grain: phase.grain)
    }
    return CompiledKernel(
      name: nest.name, phases: phases, scratchBytes: nest.scratchBytes, codeBytes: image.byteCount,
      isQuick: effort == .quick, image: image)
  }

  private static func symbol(_ nest: Int, _ phase: Int) -> String { "kernel\(nest)_\(phase)" }

  private static func emit(
    _ nests: [ParametricNest], _ target: CodeTarget, _ machine: OpaquePointer
  ) -> ModuleEmitter {
    let module = ModuleEmitter(target, name: "kernels")
    target.prepare(module.ir, machine)
    for (number, nest) in nests.enumerated() {
      let facts = NestFacts(nest)
      for (phaseNumber, phase) in nest.nest.phases.enumerated() {
        module.emit(phase, of: nest, facts, name: symbol(number, phaseNumber))
      }
    }
    return module
  }

  /// The code of a nest as text, for dumps: LLVM's representation before or after optimisation, or assembly.
  public func text(of nest: Nest, as form: TextForm) throws(Diagnostic) -> String {
    let target = try target.value()
    return try target.withMachine { (machine) throws(Diagnostic) in
      let module = Self.emit([ParametricNest(nest)], target, machine)
      if form == .unoptimized { return module.text }
      try target.optimize(module.ir, machine)
      if form == .optimized { return module.text }
      return String(decoding: try target.code(module.ir.module, machine, martlet_llvm_assembly_file), as: UTF8.self)
    }
  }

  public enum TextForm: Sendable, Hashable { case unoptimized, optimized, assembly }
}

extension NestCompiler.Statistics {
  fileprivate mutating func add(_ other: Self) {
    compiled += other.compiled
    loaded += other.loaded
    reused += other.reused
    quick += other.quick
    refined += other.refined
    codeBytes += other.codeBytes
  }
}
