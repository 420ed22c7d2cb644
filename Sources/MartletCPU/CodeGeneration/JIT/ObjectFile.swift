import MartletDiagnostics

/// A relocatable object file in 64-bit ELF, read with every offset checked. Source: System V ABI, chapters 4 and 5.
struct ObjectFile {
  enum Machine: UInt16 {
    case x86 = 62
    case arm = 183
  }
  /// A section that is loaded.
  struct Section {
    /// Its number in the file.
    var number: Int
    var isExecutable: Bool
    /// Its bytes in the file.
    var range: Range<Int>
    var alignment: Int
  }
  struct Symbol {
    var name: String
    /// The number of the section where it is defined; nil for a symbol of another file, and for one that is in none.
    var section: Int?
    var value: UInt64
    var isGlobal: Bool
  }
  struct Relocation {
    /// The number of the section that is changed, and where in it.
    var section: Int
    var offset: Int
    var type: UInt32
    var symbol: Int
    var addend: Int64
  }

  let bytes: [UInt8]
  let machine: Machine
  private(set) var sections: [Section] = []
  private(set) var symbols: [Symbol] = []
  private(set) var relocations: [Relocation] = []

  /// - Throws: a diagnostic for what is no object file, is damaged, or needs more than code and constants.
  init(_ bytes: [UInt8]) throws(Diagnostic) {
    self.bytes = bytes
    let reader = Reader(bytes: bytes)
    guard try reader.uint32(0) == 0x464C_457F, try reader.uint16(4) == 0x0102, try reader.uint16(16) == 1,
      let machine = Machine(rawValue: try reader.uint16(18)), try reader.uint16(58) == UInt16(Self.headerBytes)
    else { throw Self.damage("it is no object file of this machine's") }
    self.machine = machine
    let headers = try reader.offset(40)
    let count = Int(try reader.uint16(60))
    let list = try (0..<count).map { (number) throws(Diagnostic) in
      try Header(reader, at: headers + number * Self.headerBytes, number: number)
    }
    for header in list where header.flags & Flag.allocated != 0 && header.type != Kind.unwinding {
      guard header.type == Kind.data, header.flags & (Flag.writable | Flag.threadLocal) == 0 else {
        throw Self.damage("it has writable data")
      }
      guard header.alignment <= Self.largestAlignment, header.alignment & (header.alignment - 1) == 0 else {
        throw Self.damage("a section has a wrong alignment")
      }
      sections.append(
        Section(
          number: header.number, isExecutable: header.flags & Flag.executable != 0, range: header.range,
          alignment: max(header.alignment, 1)))
    }
    try readSymbols(list, reader)
    try readRelocations(list, reader)
  }

  private mutating func readSymbols(_ list: [Header], _ reader: Reader) throws(Diagnostic) {
    guard let table = list.first(where: { $0.type == Kind.symbols }) else { return }
    guard list.indices.contains(table.link), list[table.link].type == Kind.strings else {
      throw Self.damage("its symbols have no names")
    }
    let names = list[table.link].range
    for entry in stride(from: table.range.lowerBound, to: table.range.upperBound, by: Self.symbolBytes) {
      let section = try reader.uint16(entry + 6)
      let isReserved = section >= Self.firstReservedSection
      guard isReserved || Int(section) < list.count else { throw Self.damage("a symbol is in no section") }
      symbols.append(
        Symbol(
          name: try reader.text(at: names.lowerBound + Int(try reader.uint32(entry)), before: names.upperBound),
          section: section == 0 || isReserved ? nil : Int(section), value: try reader.uint64(entry + 8),
          isGlobal: try reader.uint8(entry + 4) >> 4 != 0))
    }
  }

  private mutating func readRelocations(_ list: [Header], _ reader: Reader) throws(Diagnostic) {
    for table in list where table.type == Kind.relocations {
      guard let target = sections.first(where: { $0.number == table.info }) else { continue }
      for entry in stride(from: table.range.lowerBound, to: table.range.upperBound, by: Self.relocationBytes) {
        guard relocations.count < bytes.count / Self.relocationBytes else {
          throw Self.damage("it has more relocations than there is room for")
        }
        let (offset, info) = (try reader.offset(entry), try reader.uint64(entry + 8))
        guard offset < target.range.count, info >> 32 < UInt64(symbols.count) else {
          throw Self.damage("a relocation is out of bounds")
        }
        relocations.append(
          Relocation(
            section: target.number, offset: offset, type: UInt32(truncatingIfNeeded: info), symbol: Int(info >> 32),
            addend: Int64(bitPattern: try reader.uint64(entry + 16))))
      }
    }
  }

  static func damage(_ what: String) -> Diagnostic { Diagnostic("an object file cannot be loaded: \(what)") }

  private static let headerBytes = 64
  private static let symbolBytes = 24
  private static let relocationBytes = 24
  private static let longestName = 256
  private static let firstReservedSection: UInt16 = 0xFF00
  private static let largestAlignment = 4096

  private enum Kind {
    static let data: UInt32 = 1
    static let symbols: UInt32 = 2
    static let strings: UInt32 = 3
    static let relocations: UInt32 = 4
    static let empty: UInt32 = 8
    static let unwinding: UInt32 = 0x7000_0001
  }
  private enum Flag {
    static let writable: UInt64 = 1
    static let allocated: UInt64 = 2
    static let executable: UInt64 = 4
    static let threadLocal: UInt64 = 0x400
  }

  /// A section's header.
  private struct Header {
    var number: Int
    var type: UInt32
    var flags: UInt64
    var range: Range<Int>
    var link: Int
    var info: Int
    var alignment: Int

    init(_ reader: Reader, at base: Int, number: Int) throws(Diagnostic) {
      self.number = number
      type = try reader.uint32(base + 4)
      flags = try reader.uint64(base + 8)
      let (start, count) = (try reader.offset(base + 24), try reader.offset(base + 32))
      if type == 0 || type == Kind.empty {
        range = 0..<0
      } else {
        guard start <= reader.bytes.count, count <= reader.bytes.count - start else {
          throw ObjectFile.damage("a section is out of bounds")
        }
        range = start..<start + count
      }
      link = Int(try reader.uint32(base + 40))
      info = Int(try reader.uint32(base + 44))
      alignment = try reader.offset(base + 48)
    }
  }

  /// Little-endian numbers of an array, none beyond its end.
  private struct Reader {
    let bytes: [UInt8]

    private func number<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) throws(Diagnostic) -> T {
      guard offset >= 0, offset <= bytes.count - MemoryLayout<T>.size else {
        throw ObjectFile.damage("it ends too early")
      }
      return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }

    func uint8(_ offset: Int) throws(Diagnostic) -> UInt8 { try number(UInt8.self, offset) }
    func uint16(_ offset: Int) throws(Diagnostic) -> UInt16 { try number(UInt16.self, offset) }
    func uint32(_ offset: Int) throws(Diagnostic) -> UInt32 { try number(UInt32.self, offset) }
    func uint64(_ offset: Int) throws(Diagnostic) -> UInt64 { try number(UInt64.self, offset) }

    /// A 64-bit number that counts bytes of a file.
    func offset(_ offset: Int) throws(Diagnostic) -> Int {
      let value = try uint64(offset)
      guard value < 1 << 40 else { throw ObjectFile.damage("an offset is beyond its end") }
      return Int(value)
    }

    /// The characters up to a zero, at most `longestName` bytes.
    func text(at start: Int, before end: Int) throws(Diagnostic) -> String {
      guard start <= end, end <= bytes.count else { throw ObjectFile.damage("a name is out of bounds") }
      guard let zero = bytes[start..<end].prefix(ObjectFile.longestName + 1).firstIndex(of: 0) else {
        throw ObjectFile.damage("a name has no end or is too long")
      }
      return String(decoding: bytes[start..<zero], as: UTF8.self)
    }
  }
}
