import CMartletRuntime
import Dispatch
import MartletDiagnostics
import MartletExecution
import MartletLoopIR
import Synchronization

/// Compiles nests to machine code of this processor, and keeps the code of nests that it has seen.
///
/// Any number of threads may use a compiler at once. Code is found again by a nest's structure: names do not matter. LLVM
/// is loaded when the first code must be generated.
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
    /// Bytes of the object files.
    public var codeBytes = 0
  }

  private struct State {
    var kernels: [StructuralKey: CompiledKernel] = [:]
    /// Oldest first.
    var order: [StructuralKey] = []
    var statistics = Statistics()
  }

  private let target: LazyTarget
  private let capacity: Int
  private let threads: Int
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
  package init(capacity: Int = 4096, threads: Int = 2, processor: String?) {
    target = LazyTarget(processor)
    tiles = TileCompiler(target)
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
    return try compile(nests, store: nil, counts: &counts)
  }

  /// - Parameters:
  ///   - store: Where code is looked for that is not known yet, and where it is kept.
  ///   - counts: Is added what these nests took.
  func compile(
    _ nests: [Nest], store: CodeStore?, counts: inout Statistics
  ) throws(Diagnostic) -> [CompiledKernel] {
    let keys = nests.map { $0.structuralKey }
    var found = state.withLock { state in keys.map { state.kernels[$0] } }
    var numbers: [StructuralKey: Int] = [:]
    var missing: [(key: StructuralKey, nest: Nest)] = []
    for (i, key) in keys.enumerated() where found[i] == nil && numbers[key] == nil {
      numbers[key] = missing.count
      missing.append((key, nests[i]))
    }
    var added = Statistics()
    added.reused = nests.count - missing.count
    let compiled = missing.isEmpty ? [] : try make(missing, store, &added)
    state.withLock { state in
      state.statistics.add(added)
      for ((key, _), kernel) in zip(missing, compiled) where state.kernels[key] == nil {
        state.kernels[key] = kernel
        state.order.append(key)
      }
      if state.order.count > capacity {
        for key in state.order.prefix(state.order.count - capacity) { state.kernels[key] = nil }
        state.order.removeFirst(state.order.count - capacity)
      }
    }
    counts.add(added)
    for i in found.indices {
      if found[i] == nil, let number = numbers[keys[i]] { found[i] = compiled[number] }
      found[i]!.name = nests[i].name
    }
    return found.map { $0! }
  }

  // MARK: Loading and generating code

  private func make(
    _ nests: [(key: StructuralKey, nest: Nest)], _ store: CodeStore?, _ counts: inout Statistics
  ) throws(Diagnostic) -> [CompiledKernel] {
    var kernels = [CompiledKernel?](repeating: nil, count: nests.count)
    var context: CodeContext?
    if let store { context = try target.context(store) }
    let library = store.flatMap { store in context.map { CodeLibrary(store: store, context: $0) } }
    if let library {
      for (i, found) in library.load(nests.map(\.key)).enumerated() {
        guard let found else { continue }
        kernels[i] = try? Self.kernel(nests[i].nest, in: found.image, number: found.number)
        if kernels[i] == nil { library.remove(nests[i].key) }
      }
      counts.loaded += kernels.count { $0 != nil }
    }
    let rest = kernels.indices.filter { kernels[$0] == nil }
    guard !rest.isEmpty else { return kernels.map { $0! } }
    let codeTarget = try target.value()
    let destination = library?.recorded(for: codeTarget)
    let sizes = rest.map { nests[$0].nest.scalars.count + 20 * nests[$0].nest.phases.count }
    let batches = CompilationBatches.deal(sizes, among: threads)
    let results = Mutex<[Result<[CompiledKernel], Diagnostic>?]>(Array(repeating: nil, count: batches.count))
    DispatchQueue.concurrentPerform(iterations: batches.count) { batch in
      let result = Result { () throws(Diagnostic) in
        try Self.generate(batches[batch].map { nests[rest[$0]] }, codeTarget, destination)
      }
      results.withLock { $0[batch] = result }
    }
    for (batch, result) in zip(batches, results.withLock { $0 }) {
      let generated = try result!.get()
      for (number, kernel) in zip(batch, generated) { kernels[rest[number]] = kernel }
      counts.codeBytes += generated.first?.codeBytes ?? 0
    }
    counts.compiled += rest.count
    return kernels.map { $0! }
  }

  private static func generate(
    _ nests: [(key: StructuralKey, nest: Nest)], _ target: CodeTarget, _ library: CodeLibrary?
  ) throws(Diagnostic) -> [CompiledKernel] {
    let object = try target.withMachine { (machine) throws(Diagnostic) in
      let module = emit(nests.map(\.nest), target, machine)
      try target.optimize(module.ir, machine)
      return try target.code(module.ir.module, machine)
    }
    let image = try CodeImage(try ObjectFile(object))
    library?.save(object, nests.map(\.key))
    return try nests.enumerated().map { (number, item) throws(Diagnostic) in
      try kernel(item.nest, in: image, number: number)
    }
  }

  /// The kernel of a nest whose functions are those of a number in an image.
  private static func kernel(_ nest: Nest, in image: CodeImage, number: Int) throws(Diagnostic) -> CompiledKernel {
    let phases = try nest.phases.enumerated().map { (phaseNumber, phase) throws(Diagnostic) in
      CompiledKernel.Phase(
        address: try image.address(of: symbol(number, phaseNumber)), extent: phase.extent, grain: phase.grain)
    }
    return CompiledKernel(
      name: nest.name, phases: phases, scratchBytes: nest.scratchBytes, codeBytes: image.byteCount, image: image)
  }

  private static func symbol(_ nest: Int, _ phase: Int) -> String { "kernel\(nest)_\(phase)" }

  private static func emit(_ nests: [Nest], _ target: CodeTarget, _ machine: OpaquePointer) -> ModuleEmitter {
    let module = ModuleEmitter(target.llvm, name: "kernels", vectorBits: target.vectorBits)
    target.prepare(module.ir, machine)
    for (number, nest) in nests.enumerated() {
      let facts = NestFacts(nest)
      for (phaseNumber, phase) in nest.phases.enumerated() {
        module.emit(phase, of: nest, facts, name: symbol(number, phaseNumber))
      }
    }
    return module
  }

  /// The code of a nest as text, for dumps: LLVM's representation before or after optimisation, or assembly.
  public func text(of nest: Nest, as form: TextForm) throws(Diagnostic) -> String {
    let target = try target.value()
    return try target.withMachine { (machine) throws(Diagnostic) in
      let module = Self.emit([nest], target, machine)
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
    codeBytes += other.codeBytes
  }
}
