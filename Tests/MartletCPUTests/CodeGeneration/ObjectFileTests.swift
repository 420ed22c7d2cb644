import CMartletRuntime
import MartletDiagnostics
import MartletLoopIR
import Testing

@testable import MartletCPU

/// Loads objects that LLVM made of small modules.
@Suite(.enabled(if: martlet_llvm_library().pointee.available == 1, "LLVM is not installed"))
struct ObjectFileTests {
  /// The object that LLVM makes of a module in its text form.
  static func object(_ text: String) throws -> [UInt8] {
    let target = try CodeTarget()
    return try target.withMachine { (machine) throws(Diagnostic) in
      let ir = IRBuilder(target.llvm, moduleName: "test")
      let functions = target.llvm.pointee
      let buffer = functions.CreateMemoryBufferWithMemoryRangeCopy(text, text.utf8.count, "test")
      var module: OpaquePointer?
      var message: UnsafeMutablePointer<CChar>?
      guard functions.ParseIRInContext(ir.context, buffer, &module, &message) == 0, let module else {
        throw CodeTarget.fault(target.llvm, "reading", message)
      }
      defer { functions.DisposeModule(module) }
      return try target.code(module, machine)
    }
  }

  /// A function with constants in memory, a table of jumps, a call of another function of the module and two of C's.
  static let text = """
    @table = private unnamed_addr constant [4 x double] [double 1.5, double 2.5, double 3.5, double 4.5], align 32
    declare double @fmod(double, double)
    declare double @ldexp(double, i32)
    define internal double @pick(i64 %n) noinline nounwind {
      %p = getelementptr double, ptr @table, i64 %n
      %v = load double, ptr %p
      ret double %v
    }
    define double @compute(i64 %n, double %x) nounwind {
    entry:
      switch i64 %n, label %other [ i64 0, label %a  i64 1, label %b  i64 2, label %c  i64 3, label %d  i64 4, label %e ]
    a:
      %v = call double @pick(i64 2)
      ret double %v
    b:
      %w = call double @fmod(double %x, double 3.0)
      ret double %w
    c:
      %y = call double @ldexp(double %x, i32 3)
      ret double %y
    d:
      %z = fmul double %x, 0.1
      ret double %z
    e:
      %u = fadd double %x, 1.0e300
      ret double %u
    other:
      ret double -1.0
    }
    """

  typealias Compute = @convention(c) (Int64, Double) -> Double

  @Test func codeConstantsAndCallsAreLinked() throws {
    let image = try CodeImage(try ObjectFile(try Self.object(Self.text)))
    let compute = unsafeBitCast(try image.address(of: "compute"), to: Compute.self)
    #expect((0...5).map { compute($0, 7) } == [3.5, 1, 56, 7 * 0.1, 7 + 1e300, -1])
    #expect(throws: Diagnostic.self) { try image.address(of: "pick") }
    #expect(throws: Diagnostic.self) { try image.address(of: "absent") }
  }

  @Test func anUnknownFunctionIsToldOf() throws {
    let object = try ObjectFile(try Self.object(Self.text))
    let error = #expect(throws: Diagnostic.self) { _ = try CodeImage(object) { $0 == "fmod" ? 1 : nil } }
    #expect(error?.message.contains("ldexp") == true)
  }

  @Test func writableDataIsRefused() throws {
    let object = try Self.object(
      "@counter = global i64 1\ndefine i64 @get() nounwind {\n  %v = load i64, ptr @counter\n  ret i64 %v\n}")
    #expect(throws: Diagnostic.self) { try ObjectFile(object) }
  }

  /// Whatever bytes a file has, it is loaded or refused. Nothing of it is run.
  @Test func damagedObjectsAreLoadedOrRefused() throws {
    let object = try Self.object(Self.text)
    for length in stride(from: 0, to: object.count, by: 7) { _ = try? ObjectFile(Array(object[..<length])) }
    var generator = SystemRandomNumberGenerator()
    for round in 0..<4000 {
      var bytes = object
      for _ in 0...round % 4 {
        bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      if let damaged = try? ObjectFile(bytes) { _ = try? CodeImage(damaged) { _ in 16 } }
    }
  }

  /// The instructions are those that GNU's assembler and linker give for the same symbols.
  @Test(
    arguments: [
      // kind, instruction before, symbol, place, instruction behind
      (275, 0x9000_0000, 0x12_3456_7000, 0x12_3450_0010, 0xF000_0320),  // adrp x0, symbol
      (277, 0x9100_0000, 0x12_3456_7ABC, 0x12_3450_0014, 0x912A_F000),  // add x0, x0, :lo12:symbol
      (286, 0xF940_0000, 0x12_3456_7AB8, 0x12_3450_0018, 0xF945_5C00),  // ldr x0, [x0, :lo12:symbol]
      (299, 0x3DC0_0000, 0x12_3456_7AB0, 0x12_3450_001C, 0x3DC2_AC00),  // ldr q0, [x0, :lo12:symbol]
      (283, 0x9400_0000, 0x12_3450_1000, 0x12_3450_0020, 0x9400_03F8),  // bl symbol
      (282, 0x1400_0000, 0x12_3450_0000, 0x12_3450_0024, 0x17FF_FFF7),  // b symbol
    ] as [(UInt32, UInt32, UInt64, UInt64, UInt32)])
  func instructionsOfArm(_ kind: UInt32, _ before: UInt32, _ symbol: UInt64, _ place: UInt64, _ behind: UInt32) throws {
    var instruction = before
    let relocation = ObjectFile.Relocation(section: 1, offset: 0, type: kind, symbol: 0, addend: 0)
    try withUnsafeMutableBytes(of: &instruction) { bytes in
      try relocation.apply(.arm, at: bytes.baseAddress!, position: place, room: 4, symbol: symbol, slot: nil)
    }
    #expect(instruction == behind)
  }
}
