import CMartletRuntime
import Dispatch
import MartletDiagnostics
import MartletLoopIR
import Synchronization

/// Compiles nests to machine code of this processor, and keeps the code of nests that it has seen.
///
/// Any number of threads may use a compiler at once. Code is found again by a nest's structure: names do not matter.
///
/// ```swift
/// let compiler = try NestCompiler()
/// let kernels = try compiler.compile([nest])
/// ```
public final class NestCompiler: Sendable {
  /// What was compiled so far.
  public struct Statistics: Sendable, Hashable {
    /// Nests for which code was generated, and requests that found their code ready.
    public var compiled = 0
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

  private let target: CodeTarget
  private let linker: CodeLinker
  private let capacity: Int
  private let threads: Int
  private let state = Mutex(State())
  /// Compiles the innermost parts of matrix products.
  let tiles: TileCompiler

  /// - Parameters:
  ///   - capacity: How many kernels are kept for nests to come; beyond it the oldest are dropped.
  ///   - threads: How many threads may generate code at once.
  /// - Throws: A diagnostic where LLVM is missing.
  public convenience init(capacity: Int = 4096, threads: Int = 2) throws(Diagnostic) {
    try self.init(capacity: capacity, threads: threads, processor: nil)
  }

  /// A compiler for a processor that has less than this machine's, such as `x86-64-v2`.
  package init(capacity: Int = 4096, threads: Int = 2, processor: String?) throws(Diagnostic) {
    target = try CodeTarget(processor: processor)
    linker = try CodeLinker(target.llvm)
    tiles = TileCompiler(target, linker)
    self.capacity = capacity
    self.threads = max(1, min(threads, Int(martlet_machine_facts().pointee.processors)))
  }

  public var statistics: Statistics { state.withLock(\.statistics) }

  /// The code of each nest, in order; nests that are not known yet are compiled as a batch.
  public func compile(_ nests: [Nest]) throws(Diagnostic) -> [CompiledKernel] {
    let keys = nests.map { $0.structuralKey }
    var found = state.withLock { state in keys.map { state.kernels[$0] } }
    var numbers: [StructuralKey: Int] = [:]
    var missing: [(key: StructuralKey, nest: Nest)] = []
    for (i, key) in keys.enumerated() where found[i] == nil && numbers[key] == nil {
      numbers[key] = missing.count
      missing.append((key, nests[i]))
    }
    let compiled = missing.isEmpty ? [] : try generate(missing.map(\.nest))
    state.withLock { state in
      state.statistics.compiled += missing.count
      state.statistics.reused += nests.count - missing.count
      for ((key, _), kernel) in zip(missing, compiled) where state.kernels[key] == nil {
        state.kernels[key] = kernel
        state.order.append(key)
      }
      if state.order.count > capacity {
        for key in state.order.prefix(state.order.count - capacity) { state.kernels[key] = nil }
        state.order.removeFirst(state.order.count - capacity)
      }
    }
    for i in found.indices {
      if found[i] == nil, let number = numbers[keys[i]] { found[i] = compiled[number] }
      found[i]!.name = nests[i].name
    }
    return found.map { $0! }
  }

  // MARK: Generating code

  private func generate(_ nests: [Nest]) throws(Diagnostic) -> [CompiledKernel] {
    let batches = deal(nests)
    let results = Mutex<[Result<[CompiledKernel], Diagnostic>?]>(Array(repeating: nil, count: batches.count))
    DispatchQueue.concurrentPerform(iterations: batches.count) { batch in
      let result = Result { () throws(Diagnostic) in try self.generate(batch: batches[batch].map { nests[$0] }) }
      results.withLock { $0[batch] = result }
    }
    var kernels: [CompiledKernel?] = Array(repeating: nil, count: nests.count)
    for (numbers, result) in zip(batches, results.withLock { $0 }) {
      for (number, kernel) in zip(numbers, try result!.get()) { kernels[number] = kernel }
    }
    return kernels.map { $0! }
  }

  /// Deals nests to as many batches as there are threads, the largest first, each to the batch with the least so far.
  private func deal(_ nests: [Nest]) -> [[Int]] {
    let sizes = nests.map { $0.scalars.count + 20 * $0.phases.count }
    var batches = Array(repeating: [Int](), count: min(threads, nests.count))
    var totals = Array(repeating: 0, count: batches.count)
    for number in nests.indices.sorted(by: { (sizes[$1], $0) < (sizes[$0], $1) }) {
      let least = totals.indices.min { totals[$0] < totals[$1] }!
      batches[least].append(number)
      totals[least] += sizes[number]
    }
    return batches
  }

  private func generate(batch nests: [Nest]) throws(Diagnostic) -> [CompiledKernel] {
    let prefix = linker.uniquePrefix()
    let object = try target.withMachine { (machine) throws(Diagnostic) in
      let module = emit(nests, prefix, machine)
      try target.optimize(module.ir, machine)
      return try target.code(module.ir, machine)
    }
    let image = try linker.link(object)
    state.withLock { $0.statistics.codeBytes += object.count }
    var kernels: [CompiledKernel] = []
    for (number, nest) in nests.enumerated() {
      var phases: [CompiledKernel.Phase] = []
      for (phaseNumber, phase) in nest.phases.enumerated() {
        let address = try image.address(of: Self.symbol(prefix, number, phaseNumber))
        phases.append(CompiledKernel.Phase(address: address, extent: phase.extent, grain: phase.grain))
      }
      kernels.append(
        CompiledKernel(
          name: nest.name, phases: phases, scratchBytes: nest.scratchBytes, codeBytes: image.byteCount, image: image))
    }
    return kernels
  }

  private static func symbol(_ prefix: String, _ nest: Int, _ phase: Int) -> String { "\(prefix)_\(nest)_\(phase)" }

  private func emit(_ nests: [Nest], _ prefix: String, _ machine: OpaquePointer) -> ModuleEmitter {
    let module = ModuleEmitter(target.llvm, name: prefix, vectorBits: target.vectorBits)
    target.prepare(module.ir, machine)
    for (number, nest) in nests.enumerated() {
      let facts = NestFacts(nest)
      for (phaseNumber, phase) in nest.phases.enumerated() {
        module.emit(phase, of: nest, facts, name: Self.symbol(prefix, number, phaseNumber))
      }
    }
    return module
  }

  /// The code of a nest as text, for dumps: LLVM's representation before or after optimisation, or assembly.
  public func text(of nest: Nest, as form: TextForm) throws(Diagnostic) -> String {
    try target.withMachine { (machine) throws(Diagnostic) in
      let module = emit([nest], "kernel", machine)
      if form == .unoptimized { return module.text }
      try target.optimize(module.ir, machine)
      if form == .optimized { return module.text }
      return String(decoding: try target.code(module.ir, machine, martlet_llvm_assembly_file), as: UTF8.self)
    }
  }

  public enum TextForm: Sendable, Hashable { case unoptimized, optimized, assembly }
}
