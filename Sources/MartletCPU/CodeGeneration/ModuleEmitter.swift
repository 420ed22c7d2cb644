import CMartletRuntime
import MartletLoopIR

/// Emits nests as functions of one LLVM module.
struct ModuleEmitter {
  let ir: IRBuilder
  private let zeros: IRValue
  private let signature: IRType
  private let vectorBits: Int

  /// A module for a processor, with vector registers of its width.
  init(_ target: CodeTarget, name: String) {
    let llvm = target.llvm
    let ir = IRBuilder(
      llvm, moduleName: name, hasHalfConversions: target.hasHalfConversions, hasScaling: target.hasScaling)
    self.ir = ir
    let zeroType: IRType = llvm.pointee.ArrayType(ir.int8, UInt32(Self.zeroBytes))!
    zeros = llvm.pointee.AddGlobal(ir.module, zeroType, "zeros")!
    llvm.pointee.SetInitializer(zeros, ir.zero(zeroType))
    llvm.pointee.SetGlobalConstant(zeros, 1)
    llvm.pointee.SetLinkage(zeros, martlet_llvm_private_linkage)
    llvm.pointee.SetAlignment(zeros, 64)
    signature = ir.functionType(ir.void, [ir.pointer, ir.pointer, ir.pointer, ir.pointer, ir.int64, ir.int64])
    vectorBits = target.vectorBits
  }

  /// The bytes of zeros for loads that are guarded: as many as all lanes of a loop can need.
  static let zeroBytes = 512

  /// Emits one phase as a function with this name.
  func emit(_ phase: NestPhase, of nest: ParametricNest, _ facts: NestFacts, name: String) {
    let function = ir.function(name, signature, vectorBits: vectorBits)
    FunctionEmitter(nest, facts, function: function, zeros: zeros, ir).emit(phase)
  }

  /// The module as LLVM's text.
  var text: String {
    let characters: UnsafeMutablePointer<CChar> = ir.llvm.pointee.PrintModuleToString(ir.module)!
    defer { ir.llvm.pointee.DisposeMessage(characters) }
    return String(cString: characters)
  }
}
