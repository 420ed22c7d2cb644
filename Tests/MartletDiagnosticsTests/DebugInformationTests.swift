import Testing

@testable import MartletDiagnostics

/// Debug information assembled by hand from the DWARF standard.
@Suite struct DebugInformationTests {
  // MARK: Numbers

  /// The examples of DWARF version 5, tables 7.7 and 7.8.
  @Test(arguments: [([0x02], 2), ([0x7F], 127), ([0x80, 0x01], 128), ([0xB9, 0x64], 12857)] as [([UInt8], UInt64)])
  func unsignedNumbers(bytes: [UInt8], expected: UInt64) throws {
    var reader = try ByteReader(bytes)
    #expect(try reader.unsignedLEB() == expected)
    #expect(reader.isAtEnd)
  }

  @Test(
    arguments: [([0x02], 2), ([0x7E], -2), ([0xFF, 0x00], 127), ([0x81, 0x7F], -127), ([0x80, 0x7F], -128)]
      as [([UInt8], Int64)])
  func signedNumbers(bytes: [UInt8], expected: Int64) throws {
    var reader = try ByteReader(bytes)
    #expect(try reader.signedLEB() == expected)
    #expect(reader.isAtEnd)
  }

  @Test func readingBeyondTheEndThrows() throws {
    var reader = try ByteReader([0x80, 0x80])
    #expect(throws: DebugInformationFault.self) { try reader.unsignedLEB() }
    #expect(throws: DebugInformationFault.self) { try reader.unsigned(1) }
    #expect(throws: DebugInformationFault.self) { try reader.skip(.max) }
    #expect(throws: DebugInformationFault.self) { try ByteReader([1, 2], at: 3) }
  }

  // MARK: Units

  private static func word(_ value: UInt64, _ width: Int) -> [UInt8] {
    (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }

  private static func joined(_ parts: [[UInt8]]) -> [UInt8] { Array(parts.joined()) }

  private static func string(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

  /// A line program over addresses 0x1000 to 0x1030, sixteen bytes a row: lines 5 of file 1, 9 of file 2, none of file 2.
  private static let lineProgram: [UInt8] = [
    0, 9, 2, 0x00, 0x10, 0, 0, 0, 0, 0, 0, 3, 4, 1, 4, 2, 3, 4, 2, 16, 1, 3, 0x77, 2, 16, 1, 2, 16, 0, 1, 1,
  ]

  private static let standardOperands: [UInt8] = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]

  /// Version 4: a unit in /src whose function spans 0x1000 to 0x1030, with a call inlined at line 20 of file 1 over
  /// 0x1010 to 0x1030, and within it one inlined at line 30 of file 2 over 0x1020 to 0x1030.
  private static var version4: ObjectFile {
    var lineHeader: [UInt8] = [1, 1, 1, 0xFB, 14, 13] + standardOperands
    lineHeader += joined([string("lib"), [0], string("main.swift"), [0, 0, 0], string("Inlined.swift"), [1, 0, 0, 0]])
    let lines = joined([word(4, 2), word(UInt64(lineHeader.count), 4), lineHeader, lineProgram])
    let abbreviations = joined([
      [1, 0x11, 1, 0x10, 0x17, 0x1B, 0x08, 0x11, 0x01, 0x12, 0x06, 0, 0],
      [2, 0x2E, 1, 0x11, 0x01, 0x12, 0x06, 0, 0],
      [3, 0x1D, 1, 0x11, 0x01, 0x12, 0x06, 0x58, 0x0B, 0x59, 0x0F, 0, 0], [0],
    ])
    let entries = joined([
      [1], word(0, 4), string("/src"), word(0x1000, 8), word(0x30, 4),
      [2], word(0x1000, 8), word(0x30, 4),
      [3], word(0x1010, 8), word(0x20, 4), [1, 20],
      [3], word(0x1020, 8), word(0x10, 4), [2, 30], [0, 0, 0, 0],
    ])
    let unit = joined([word(4, 2), word(0, 4), [8], entries])
    return ObjectFile(
      information: word(UInt64(unit.count), 4) + unit, abbreviations: abbreviations,
      lines: word(UInt64(lines.count), 4) + lines)
  }

  /// The same in version 5, with addresses, strings and ranges behind tables.
  private static var version5: ObjectFile {
    var lineHeader: [UInt8] = [1, 1, 1, 0xFB, 14, 13] + standardOperands
    // Directories: "/src" and "lib" of the line strings.
    lineHeader += joined([[1, 1, 0x1F, 2], word(0, 4), word(5, 4), [2, 1, 0x08, 2, 0x0B, 3]])
    lineHeader += joined([string("unused"), [0], string("main.swift"), [0], string("Inlined.swift"), [1]])
    let lines = joined([word(5, 2), [8, 0], word(UInt64(lineHeader.count), 4), lineHeader, lineProgram])
    let abbreviations = joined([
      [1, 0x11, 1, 0x10, 0x17, 0x1B, 0x25, 0x11, 0x1B, 0x55, 0x23, 0x72, 0x17, 0x73, 0x17, 0x74, 0x17, 0, 0],
      [3, 0x1D, 1, 0x55, 0x23, 0x58, 0x21, 1, 0x59, 0x0B, 0, 0],
      [4, 0x1D, 0, 0x11, 0x29, 0x12, 0x06, 0x58, 0x0B, 0x59, 0x05, 0, 0], [0],
    ])
    let entries = joined([
      [1], word(0, 4), [0, 0, 0], word(8, 4), word(8, 4), word(12, 4), [3, 1, 20],
      [4, 1], word(0x10, 4), [2], word(30, 2), [0, 0],
    ])
    let unit = joined([word(5, 2), [1, 8], word(0, 4), entries])
    // Two lists: an offset pair from the unit's address; start and length, after a list entry that sets a base.
    let lists = joined([[4, 0, 0x30, 0], [5], word(0x1000, 8), [4, 0x10, 0x30, 0]])
    let rangeLists = joined([
      word(UInt64(16 + lists.count), 4), word(5, 2), [8, 0], word(2, 4), word(8, 4), word(12, 4), lists,
    ])
    return ObjectFile(
      information: word(UInt64(unit.count), 4) + unit, abbreviations: abbreviations,
      lines: word(UInt64(lines.count), 4) + lines, strings: string("?") + string("/src"),
      lineStrings: string("/src") + string("lib"), stringOffsets: joined([word(8, 4), word(5, 4), word(2, 4)]),
      addresses: joined([word(20, 4), word(5, 4), word(0x1000, 8), word(0x1020, 8)]), rangeLists: rangeLists)
  }

  private static let objects = [version4, version5]

  static let expectations: [(UInt64, [String])] = [
    (0xFFF, []), (0x1000, ["/src/main.swift:5"]), (0x100F, ["/src/main.swift:5"]),
    (0x1010, ["/src/lib/Inlined.swift:9", "/src/main.swift:20"]),
    (0x102F, ["/src/lib/Inlined.swift:0", "/src/lib/Inlined.swift:30", "/src/main.swift:20"]), (0x1030, []),
  ]

  @Test(arguments: [0, 1], expectations)
  func inlinedCallsStandInOrder(object: Int, expectation: (address: UInt64, locations: [String])) {
    var module = Module(Self.objects[object])
    #expect(module.locations(of: expectation.address).map { "\($0.file):\($0.line)" } == expectation.locations)
  }

  /// A damaged file may give no locations or wrong ones, but must not trap or hang.
  @Test(.timeLimit(.minutes(30)), arguments: [0, 1]) func damageIsSurvived(object: Int) {
    func survey(_ object: ObjectFile) {
      var module = Module(object)
      for address in [0x1000, 0x1015, 0x1025] as [UInt64] { _ = module.locations(of: address) }
    }
    let sections: [WritableKeyPath<ObjectFile, [UInt8]>] = [
      \.information, \.abbreviations, \.lines, \.addresses, \.rangeLists, \.stringOffsets,
    ]
    for section in sections {
      let bytes = Self.objects[object][keyPath: section]
      for position in bytes.indices {
        var damaged = Self.objects[object]
        for value in [0x00, 0x7F, 0x80, 0xFF, bytes[position] ^ 1] as [UInt8] {
          damaged[keyPath: section][position] = value
          survey(damaged)
        }
        damaged[keyPath: section] = Array(bytes[..<position])
        survey(damaged)
      }
    }
  }

  @Test(arguments: ["/nonexistent", "/dev/null", "/etc/hostname"]) func otherFilesHaveNoLocations(path: String) {
    var module = Module(path: path)
    #expect(module.locations(of: 0x1000).isEmpty)
  }
}
