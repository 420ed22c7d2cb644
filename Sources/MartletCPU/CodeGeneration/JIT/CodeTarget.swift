import CMartletRuntime
import MartletDiagnostics

/// The processor that code is generated for, and the work of turning a module into machine code for it.
struct CodeTarget: @unchecked Sendable {
  let llvm: UnsafePointer<martlet_llvm>
  private let target: OpaquePointer
  /// Another processor than this machine's, in LLVM's words, that code is generated for.
  private let processor: String?
  /// Rows are emitted once and where they belong; what remains is to promote registers and to find equal addresses. (Combining
  /// instructions takes a third of the time again, and breaks up the minima and maxima that the code generator knows.)
  let passes = "function(sroa,early-cse)"
  /// 512, 256 or 128.
  let vectorBits: Int
  /// Whether the processor is known to convert floats of 16 bits (F16C).
  let hasHalfConversions: Bool
  /// Whether it is known to multiply vectors of 512 bits by powers of two in one instruction (AVX-512).
  let hasScaling: Bool

  /// Throws a diagnostic where LLVM is missing or cannot generate code for this machine.
  init(processor: String? = nil) throws(Diagnostic) {
    self.processor = processor
    llvm = martlet_llvm_library()
    guard llvm.pointee.available != 0 else {
      throw Diagnostic(
        "no machine code can be generated: " + String(cString: llvm.pointee.message),
        hint: "install libllvm19 (any LLVM from 15 on will do), or name the library in MARTLET_LLVM")
    }
    var target: OpaquePointer?
    var message: UnsafeMutablePointer<CChar>?
    let failed = llvm.pointee.GetTargetFromTriple(llvm.pointee.triple, &target, &message)
    guard failed == 0, let target else { throw Self.fault(llvm, "finding the target", message) }
    self.target = target
    let features = String(cString: llvm.pointee.features).split(separator: ",")
    hasHalfConversions = processor == nil && features.contains("+f16c")
    hasScaling = processor == nil && features.contains("+avx512f")
    vectorBits = Int(martlet_machine_facts().pointee.vector_bits)
  }

  static func fault(
    _ llvm: UnsafePointer<martlet_llvm>, _ doing: String, _ message: UnsafeMutablePointer<CChar>?
  ) -> Diagnostic {
    defer { if let message { llvm.pointee.DisposeMessage(message) } }
    return Diagnostic("LLVM failed in \(doing): " + (message.map { String(cString: $0) } ?? "for no given reason"))
  }

  /// Throws what an error of LLVM's says.
  static func check(_ llvm: UnsafePointer<martlet_llvm>, _ doing: String, _ error: OpaquePointer?) throws(Diagnostic) {
    guard let error else { return }
    let message = llvm.pointee.GetErrorMessage(error)
    defer { llvm.pointee.DisposeErrorMessage(message) }
    throw Diagnostic("LLVM failed in \(doing): " + (message.map { String(cString: $0) } ?? "for no given reason"))
  }

  /// Runs `body` with a machine of its own, which one thread may use.
  ///
  /// - Parameter effort: what its code generator takes pains over. Results have the same bits in any case.
  func withMachine<Result>(
    _ effort: CompilationEffort = .full, _ body: (OpaquePointer) throws(Diagnostic) -> Result
  ) throws(Diagnostic) -> Result {
    let functions = llvm.pointee
    guard
      let machine = functions.CreateTargetMachine(
        target, functions.triple, processor ?? String(cString: functions.cpu),
        processor == nil ? String(cString: functions.features) : "",
        effort == .quick ? martlet_llvm_level_none : martlet_llvm_level_default, martlet_llvm_relocation_pic,
        martlet_llvm_code_model_small)
    else { throw Diagnostic("LLVM has no code generator for this processor") }
    defer { functions.DisposeTargetMachine(machine) }
    return try body(machine)
  }

  /// Lays data out as the machine does.
  func prepare(_ ir: IRBuilder, _ machine: OpaquePointer) {
    let layout = llvm.pointee.CreateTargetDataLayout(machine)
    llvm.pointee.SetModuleDataLayout(ir.module, layout)
    llvm.pointee.DisposeTargetData(layout)
    llvm.pointee.SetTarget(ir.module, llvm.pointee.triple)
  }

  /// Optimises a module.
  func optimize(_ ir: IRBuilder, _ machine: OpaquePointer) throws(Diagnostic) {
    #if DEBUG
      var message: UnsafeMutablePointer<CChar>?
      if llvm.pointee.VerifyModule(ir.module, martlet_llvm_return_when_broken, &message) != 0 {
        preconditionFailure("malformed code: " + (message.map { String(cString: $0) } ?? ""))
      }
      llvm.pointee.DisposeMessage(message)
    #endif
    let options = llvm.pointee.CreatePassBuilderOptions()
    defer { llvm.pointee.DisposePassBuilderOptions(options) }
    try Self.check(llvm, "optimising", llvm.pointee.RunPasses(ir.module, passes, machine, options))
  }

  /// The module as an object file, or as assembly text.
  func code(
    _ module: OpaquePointer, _ machine: OpaquePointer, _ kind: martlet_llvm_file_type = martlet_llvm_object_file
  ) throws(Diagnostic) -> [UInt8] {
    var buffer: OpaquePointer?
    var message: UnsafeMutablePointer<CChar>?
    guard
      llvm.pointee.TargetMachineEmitToMemoryBuffer(machine, module, kind, &message, &buffer) == 0, let buffer
    else { throw Self.fault(llvm, "generating code", message) }
    defer { llvm.pointee.DisposeMemoryBuffer(buffer) }
    let bytes = UnsafeRawBufferPointer(
      start: llvm.pointee.GetBufferStart(buffer), count: llvm.pointee.GetBufferSize(buffer))
    return [UInt8](bytes)
  }
}
