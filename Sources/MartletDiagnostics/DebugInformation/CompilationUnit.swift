/// One compilation unit of a file's debug information. Source: DWARF version 5, chapters 2, 3 and 7.
struct CompilationUnit {
  /// The addresses of the unit's code.
  private(set) var ranges: [Range<UInt64>] = []

  private let object: ObjectFile
  private let version: Int
  private let offsetSize: Int
  private let abbreviationsOffset: Int
  private let contentStart: Int
  /// Where the next unit starts.
  let end: Int

  private var lineTableOffset: Int?
  private var compilationDirectory: AttributeValue = .other
  private var lowAddress: UInt64 = 0
  private var stringOffsetsBase = 0
  private var addressesBase = 0
  private var rangeListsBase = 0

  private enum Tag {
    static let inlinedSubroutine = 0x1D
  }

  private enum Name {
    static let lineTable = 0x10
    static let lowAddress = 0x11
    static let highAddress = 0x12
    static let compilationDirectory = 0x1B
    static let ranges = 0x55
    static let callFile = 0x58
    static let callLine = 0x59
    static let stringOffsetsBase = 0x72
    static let addressesBase = 0x73
    static let rangeListsBase = 0x74
  }

  private struct Abbreviation {
    var tag: Int
    var attributes: [(name: Int, form: Int, implicit: Int64)]
  }

  /// Reads the header and the first entry of the unit at an offset.
  init(_ object: ObjectFile, at offset: Int) throws(DebugInformationFault) {
    self.object = object
    var reader = try ByteReader(object.information, at: offset)
    let (length, offsetSize) = try reader.initialLength()
    self.offsetSize = offsetSize
    end = try reader.position(after: length)
    version = try reader.int(2)
    guard (2...5).contains(version) else {
      // A unit of another version is passed over.
      abbreviationsOffset = 0
      contentStart = end
      return
    }
    if version >= 5 {
      let kind = try reader.int(1)
      try reader.skip(1)
      abbreviationsOffset = try reader.int(offsetSize)
      switch kind {
      case 4, 5: try reader.skip(8)  // A skeleton or split unit has an identifier.
      case 2, 6: try reader.skip(8 + offsetSize)  // A type unit has a signature and an offset.
      default: break
      }
    } else {
      abbreviationsOffset = try reader.int(offsetSize)
      try reader.skip(1)
    }
    contentStart = reader.offset
    try readFirstEntry()
  }

  private mutating func readFirstEntry() throws(DebugInformationFault) {
    var reader = try ByteReader(object.information, at: contentStart, end: end)
    let code = try reader.intLEB()
    guard let abbreviation = try abbreviations()[code] else { return }
    var (low, high, rangeList): (AttributeValue?, AttributeValue?, AttributeValue?)
    for (name, form, implicit) in abbreviation.attributes {
      let value = try reader.attribute(form: form, implicit: implicit, offsetSize: offsetSize)
      switch (name, value) {
      case (Name.lineTable, .number(let offset)): lineTableOffset = Int(exactly: offset)
      case (Name.lowAddress, _): low = value
      case (Name.highAddress, _): high = value
      case (Name.ranges, _): rangeList = value
      case (Name.compilationDirectory, _): compilationDirectory = value
      case (Name.stringOffsetsBase, .number(let base)): stringOffsetsBase = Int(truncatingIfNeeded: base)
      case (Name.addressesBase, .number(let base)): addressesBase = Int(truncatingIfNeeded: base)
      case (Name.rangeListsBase, .number(let base)): rangeListsBase = Int(truncatingIfNeeded: base)
      default: break
      }
    }
    // Indices are looked up last, since the bases may follow them.
    if let low, let address = try address(low) { lowAddress = address }
    ranges = try addressRanges(low: low, high: high, list: rangeList)
  }

  /// A call that was inlined: the addresses of the copied code, and where it was called.
  struct InlinedCall {
    let ranges: [Range<UInt64>]
    let file: Int
    let line: Int
  }

  /// The calls that were inlined in the unit; a call within a call follows it.
  func inlinedCalls() throws(DebugInformationFault) -> [InlinedCall] {
    var calls: [InlinedCall] = []
    let abbreviations = try abbreviations()
    var reader = try ByteReader(object.information, at: contentStart, end: end)
    while !reader.isAtEnd {
      let code = try reader.intLEB()
      guard code != 0 else { continue }
      guard let abbreviation = abbreviations[code] else { throw DebugInformationFault() }
      var (low, high, list): (AttributeValue?, AttributeValue?, AttributeValue?)
      var (file, line): (UInt64, UInt64) = (0, 0)
      for (name, form, implicit) in abbreviation.attributes {
        let value = try reader.attribute(form: form, implicit: implicit, offsetSize: offsetSize)
        switch (name, value) {
        case (Name.lowAddress, _): low = value
        case (Name.highAddress, _): high = value
        case (Name.ranges, _): list = value
        case (Name.callFile, .number(let number)): file = number
        case (Name.callLine, .number(let number)): line = number
        default: break
        }
      }
      guard abbreviation.tag == Tag.inlinedSubroutine else { continue }
      let ranges = try addressRanges(low: low, high: high, list: list)
      guard !ranges.isEmpty else { continue }
      calls.append(
        InlinedCall(ranges: ranges, file: Int(truncatingIfNeeded: file), line: Int(truncatingIfNeeded: line)))
    }
    return calls
  }

  func lineTable() throws(DebugInformationFault) -> LineTable? {
    guard let lineTableOffset else { return nil }
    let directory =
      if case .stringIndex(let index) = compilationDirectory {
        try string(at: index)
      } else {
        try object.string(compilationDirectory) ?? ""
      }
    return try LineTable(object, at: lineTableOffset, compilationDirectory: directory)
  }

  private func abbreviations() throws(DebugInformationFault) -> [Int: Abbreviation] {
    var result: [Int: Abbreviation] = [:]
    var reader = try ByteReader(object.abbreviations, at: abbreviationsOffset)
    while case let code = try reader.intLEB(), code != 0 {
      var abbreviation = Abbreviation(tag: try reader.intLEB(), attributes: [])
      try reader.skip(1)
      while true {
        let (name, form) = (try reader.intLEB(), try reader.intLEB())
        let implicit = form == 0x21 ? try reader.signedLEB() : 0
        if name == 0, form == 0 { break }
        abbreviation.attributes.append((name, form, implicit))
      }
      result[code] = abbreviation
    }
    return result
  }

  // MARK: Addresses

  private func address(_ value: AttributeValue) throws(DebugInformationFault) -> UInt64? {
    switch value {
    case .address(let address): return address
    case .addressIndex(let index): return try address(at: index)
    default: return nil
    }
  }

  private func address(at index: UInt64) throws(DebugInformationFault) -> UInt64 {
    var reader = try ByteReader(object.addresses, at: position(base: addressesBase, index: index, width: 8))
    return try reader.unsigned(8)
  }

  private func string(at index: UInt64) throws(DebugInformationFault) -> String {
    let position = try position(base: stringOffsetsBase, index: index, width: offsetSize)
    var reader = try ByteReader(object.stringOffsets, at: position)
    return try ObjectFile.string(object.strings, reader.unsigned(offsetSize))
  }

  private func position(base: Int, index: UInt64, width: Int) throws(DebugInformationFault) -> Int {
    guard base >= 0, index < UInt64(Int32.max) else { throw DebugInformationFault() }
    return base &+ Int(index) * width  // The reader refuses what lies outside the section.
  }

  private func addressRanges(
    low: AttributeValue?, high: AttributeValue?, list: AttributeValue?
  ) throws(DebugInformationFault) -> [Range<UInt64>] {
    switch list {
    case .number(let offset):
      guard let offset = Int(exactly: offset) else { throw DebugInformationFault() }
      return version >= 5 ? try rangeList5(at: offset) : try rangeList4(at: offset)
    case .rangeListIndex(let index):
      var reader = try ByteReader(
        object.rangeLists, at: position(base: rangeListsBase, index: index, width: offsetSize))
      return try rangeList5(at: rangeListsBase &+ reader.int(offsetSize))
    default: break
    }
    guard let low, let high, let start = try address(low) else { return [] }
    if case .number(let length) = high { return Self.range(start, start &+ length) }
    return try address(high).map { Self.range(start, $0) } ?? []
  }

  /// The range, unless it is empty or at 0 or 1, where linkers put functions that they dropped.
  private static func range(_ start: UInt64, _ end: UInt64) -> [Range<UInt64>] {
    start > 1 && start < end ? [start..<end] : []
  }

  /// Pairs of offsets from a base. Source: DWARF version 4, section 2.17.3.
  private func rangeList4(at offset: Int) throws(DebugInformationFault) -> [Range<UInt64>] {
    var reader = try ByteReader(object.ranges, at: offset)
    var base = lowAddress
    var result: [Range<UInt64>] = []
    while true {
      let (start, end) = (try reader.unsigned(8), try reader.unsigned(8))
      if start == 0, end == 0 { return result }
      if start == .max { base = end } else { result += Self.range(base &+ start, base &+ end) }
    }
  }

  /// Source: DWARF version 5, sections 2.17.3 and 7.25.
  private func rangeList5(at offset: Int) throws(DebugInformationFault) -> [Range<UInt64>] {
    var reader = try ByteReader(object.rangeLists, at: offset)
    var base = lowAddress
    var result: [Range<UInt64>] = []
    while true {
      switch try reader.byte() {
      case 0: return result
      case 1: base = try address(at: reader.unsignedLEB())
      case 2: result += Self.range(try address(at: reader.unsignedLEB()), try address(at: reader.unsignedLEB()))
      case 3:
        let start = try address(at: reader.unsignedLEB())
        result += Self.range(start, start &+ (try reader.unsignedLEB()))
      case 4: result += Self.range(base &+ (try reader.unsignedLEB()), base &+ (try reader.unsignedLEB()))
      case 5: base = try reader.unsigned(8)
      case 6: result += Self.range(try reader.unsigned(8), try reader.unsigned(8))
      case 7:
        let start = try reader.unsigned(8)
        result += Self.range(start, start &+ (try reader.unsignedLEB()))
      default: throw DebugInformationFault()
      }
    }
  }
}
