import CMartletRuntime
import MartletDiagnostics
import Synchronization

/// Links object files into this process. Any number of threads may use it at once.
final class CodeLinker: @unchecked Sendable {
  let llvm: UnsafePointer<martlet_llvm>
  private let jit: OpaquePointer
  private let library: OpaquePointer
  private let nextNumber = Atomic<Int>(0)

  init(_ llvm: UnsafePointer<martlet_llvm>) throws(Diagnostic) {
    self.llvm = llvm
    var jit: OpaquePointer?
    try CodeTarget.check(llvm, "starting the linker", llvm.pointee.OrcCreateLLJIT(&jit, nil))
    self.jit = jit!
    library = llvm.pointee.OrcLLJITGetMainJITDylib(jit)!
    // For what instructions turn into calls of the C library, such as fmod.
    var generator: OpaquePointer?
    try CodeTarget.check(
      llvm, "starting the linker",
      llvm.pointee.OrcCreateDynamicLibrarySearchGeneratorForProcess(
        &generator, llvm.pointee.OrcLLJITGetGlobalPrefix(jit), nil, nil))
    llvm.pointee.OrcJITDylibAddGenerator(library, generator)
  }

  deinit { llvm.pointee.ConsumeError(llvm.pointee.OrcDisposeLLJIT(jit)) }

  /// A prefix for symbols that no other object file has.
  func uniquePrefix() -> String { "martlet\(nextNumber.add(1, ordering: .relaxed).newValue)" }

  /// Links an object file.
  func link(_ object: [UInt8]) throws(Diagnostic) -> CodeImage {
    let functions = llvm.pointee
    let tracker = functions.OrcJITDylibCreateResourceTracker(library)!
    let buffer = object.withUnsafeBytes {
      functions.CreateMemoryBufferWithMemoryRangeCopy($0.bindMemory(to: CChar.self).baseAddress, $0.count, "kernels")
    }
    let image = CodeImage(self, tracker, byteCount: object.count)
    try CodeTarget.check(llvm, "linking", functions.OrcLLJITAddObjectFileWithRT(jit, tracker, buffer))
    return image
  }

  fileprivate func address(of symbol: String) throws(Diagnostic) -> UInt {
    var address: UInt64 = 0
    try CodeTarget.check(llvm, "linking \(symbol)", llvm.pointee.OrcLLJITLookup(jit, &address, symbol))
    return UInt(address)
  }
}

/// The code of one object file, loaded as long as this object lives.
final class CodeImage: @unchecked Sendable {
  private let linker: CodeLinker
  private let tracker: OpaquePointer
  let byteCount: Int

  fileprivate init(_ linker: CodeLinker, _ tracker: OpaquePointer, byteCount: Int) {
    self.linker = linker
    self.tracker = tracker
    self.byteCount = byteCount
  }

  deinit {
    linker.llvm.pointee.ConsumeError(linker.llvm.pointee.OrcResourceTrackerRemove(tracker))
    linker.llvm.pointee.OrcReleaseResourceTracker(tracker)
  }

  /// The address of a function in it.
  func address(of symbol: String) throws(Diagnostic) -> UInt { try linker.address(of: symbol) }
}
