import CMartletRuntime
import MartletDiagnostics
import MartletLoopIR
import MartletTestSupport
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
    var generator = SeededGenerator(seed: 0x0B1EC7)
    for round in 0..<4000 {
      var bytes = object
      for _ in 0...round % 4 {
        bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      if let damaged = try? ObjectFile(bytes) { _ = try? CodeImage(damaged) { _ in 16 } }
    }
  }

  /// An object file for x86 made by hand: code of 16 bytes, constants of 16, symbols with these names, sections and values,
  /// and tables of 10 relocations each, all of which lie at one place.
  static func handmade(
    symbols: [(name: String, section: UInt16, value: UInt64)] = [], relocationTables: Int = 0
  ) -> [UInt8] {
    var names: [UInt8] = [0]
    var table = [UInt8](repeating: 0, count: 24)
    for symbol in symbols {
      table.put(UInt32(names.count))
      table.put(UInt8(0x12), 0)
      table.put(symbol.section)
      table.put(symbol.value, 0)
      names += Array(symbol.name.utf8)
      names.append(0)
    }
    var content: [UInt8] = []
    var headers = [UInt8](repeating: 0, count: 64)
    var count: UInt16 = 1
    func add(type: UInt32, flags: UInt64 = 0, link: UInt32 = 0, info: UInt32 = 0, copies: Int = 1, _ bytes: [UInt8]) {
      for _ in 0..<copies {
        headers.put(0, type)
        headers.put(flags, 0, UInt64(64 + content.count), UInt64(bytes.count))
        headers.put(link, info)
        headers.put(UInt64(1), 0)
        count += 1
      }
      content += bytes
    }
    add(type: 1, flags: 6, [UInt8](repeating: 0xC3, count: 16))
    add(type: 1, flags: 2, [UInt8](repeating: 0, count: 16))
    add(type: 2, link: 4, table)
    add(type: 3, names)
    add(type: 4, info: 1, copies: relocationTables, [UInt8](repeating: 0, count: 240))
    var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    file.put(UInt16(1), 62)
    file.put(UInt32(1))
    file.put(UInt64(0), 0, UInt64(64 + content.count))
    file.put(UInt32(0))
    file.put(UInt16(64), 0, 0, 64, count, 0)
    return file + content + headers
  }

  @Test func relocationsThatOverlapAreRefused() throws {
    #expect(try ObjectFile(Self.handmade(relocationTables: 1)).relocations.count == 10)
    let file = Self.handmade(relocationTables: 100)
    #expect(throws: Diagnostic.self) { try ObjectFile(file) }
  }

  @Test func longNamesAreRefused() throws {
    func file(_ length: Int) -> [UInt8] {
      Self.handmade(symbols: [(String(repeating: "x", count: length), 1, 0)])
    }
    #expect(try ObjectFile(file(256)).symbols.last?.name.count == 256)
    #expect(throws: Diagnostic.self) { try ObjectFile(file(257)) }
  }

  @Test func onlyPlacesInCodeAreFunctions() throws {
    let symbols: [(name: String, section: UInt16, value: UInt64)] = [
      ("first", 1, 0), ("last", 1, 15), ("behind", 1, 16), ("far", 1, .max), ("constant", 2, 0),
    ]
    let image = try CodeImage(try ObjectFile(Self.handmade(symbols: symbols)))
    #expect(try image.address(of: "last") == image.address(of: "first") + 15)
    for name in ["behind", "far", "constant"] {
      #expect(throws: Diagnostic.self) { try image.address(of: name) }
    }
  }

  /// Kinds of 2, 4, 8 and 16 bytes with a symbol that is aligned to half of that.
  @Test(arguments: [(284, 1), (285, 2), (286, 4), (299, 8), (312, 4)] as [(UInt32, UInt64)])
  func misalignedSymbolsOfArmAreRefused(_ kind: UInt32, _ symbol: UInt64) {
    let relocation = ObjectFile.Relocation(section: 1, offset: 0, type: kind, symbol: 0, addend: 0)
    func apply(_ symbol: UInt64) throws {
      var instruction: UInt32 = 0xF940_0000
      try withUnsafeMutableBytes(of: &instruction) { bytes in
        try relocation.apply(.arm, at: bytes.baseAddress!, position: 0, room: 4, symbol: symbol, slot: symbol)
      }
    }
    #expect(throws: Never.self) { try apply(2 * symbol) }
    #expect(throws: Diagnostic.self) { try apply(symbol) }
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

extension [UInt8] {
  /// Appends little-endian numbers.
  fileprivate mutating func put<T: FixedWidthInteger>(_ numbers: T...) {
    for number in numbers { Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) } }
  }
}
