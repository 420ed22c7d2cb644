/// The line number table of one compilation unit. Source: DWARF version 5, section 6.2.
struct LineTable {
  private struct Row {
    let address: UInt64
    let file: Int
    let line: Int
    /// Whether the row only says where a sequence ends.
    let isEnd: Bool
  }

  /// Rows in the order of the program; addresses grow within each sequence.
  private var rows: [Row] = []
  /// Paths by the numbers that rows and calls use.
  private var files: [String] = []

  /// The path of a file by its number, or nil where the table has none.
  func path(_ file: Int) -> String? { files.indices.contains(file) ? files[file] : nil }

  /// The line of the instruction at an address.
  func location(of address: UInt64) -> SourceLocation? {
    for (row, next) in zip(rows, rows.dropFirst())
    where !row.isEnd && row.address <= address && address < next.address {
      return path(row.file).map { SourceLocation(file: $0, line: row.line) }
    }
    return nil
  }

  private struct Header {
    var minimumInstructionLength = 1
    var lineBase = 0
    var lineRange = 1
    var opcodeBase = 1
    var operandCounts: [Int] = []
  }

  init(_ object: ObjectFile, at offset: Int, compilationDirectory: String) throws(DebugInformationFault) {
    var reader = try ByteReader(object.lines, at: offset)
    let (length, offsetSize) = try reader.initialLength()
    let end = try reader.position(after: length)
    reader = try ByteReader(object.lines, at: reader.offset, end: end)
    let version = try reader.int(2)
    guard (2...5).contains(version) else { throw DebugInformationFault() }
    if version >= 5 { try reader.skip(2) }
    let headerLength = try reader.int(offsetSize)
    let program = try reader.position(after: headerLength)
    var header = Header()
    header.minimumInstructionLength = try reader.int(1)
    if version >= 4 { try reader.skip(1) }
    try reader.skip(1)
    header.lineBase = Int(Int8(bitPattern: try reader.byte()))
    header.lineRange = try reader.int(1)
    header.opcodeBase = try reader.int(1)
    guard header.lineRange > 0, header.opcodeBase > 0 else { throw DebugInformationFault() }
    for _ in 1..<header.opcodeBase { header.operandCounts.append(try reader.int(1)) }
    if version >= 5 {
      try readFiles5(&reader, object, offsetSize: offsetSize, compilationDirectory: compilationDirectory)
    } else {
      try readFiles2(&reader, compilationDirectory: compilationDirectory)
    }
    try reader.seek(program)
    try run(&reader, header)
  }

  /// Lists of names that an empty one ends; directory 0 is where the compiler ran, and files count from 1.
  private mutating func readFiles2(
    _ reader: inout ByteReader, compilationDirectory: String
  ) throws(DebugInformationFault) {
    var directories = [compilationDirectory]
    while case let name = try reader.string(), !name.isEmpty {
      directories.append(Self.joined(compilationDirectory, name))
    }
    files.append("")
    while case let name = try reader.string(), !name.isEmpty {
      let directory = try reader.intLEB()
      _ = try reader.unsignedLEB()
      _ = try reader.unsignedLEB()
      files.append(Self.joined(directories.indices.contains(directory) ? directories[directory] : "", name))
    }
  }

  /// Tables whose columns the header describes; directories and files count from 0.
  private mutating func readFiles5(
    _ reader: inout ByteReader, _ object: ObjectFile, offsetSize: Int, compilationDirectory: String
  ) throws(DebugInformationFault) {
    func entries() throws(DebugInformationFault) -> [(path: String, directory: Int)] {
      var columns: [(content: Int, form: Int)] = []
      for _ in 0..<(try reader.int(1)) { columns.append((try reader.intLEB(), try reader.intLEB())) }
      let count = try reader.intLEB()
      guard count <= reader.bytes.count, !columns.isEmpty || count == 0 else { throw DebugInformationFault() }
      var result: [(path: String, directory: Int)] = []
      for _ in 0..<count {
        var (path, directory) = ("", 0)
        for (content, form) in columns {
          let value = try reader.attribute(form: form, implicit: 0, offsetSize: offsetSize)
          switch content {
          case 1: path = try object.string(value) ?? ""
          case 2: if case .number(let number) = value { directory = Int(truncatingIfNeeded: number) }
          default: break
          }
        }
        result.append((path, directory))
      }
      return result
    }
    let directories = try entries().map { Self.joined(compilationDirectory, $0.path) }
    files = try entries().map {
      Self.joined(directories.indices.contains($0.directory) ? directories[$0.directory] : "", $0.path)
    }
  }

  static func joined(_ directory: String, _ name: String) -> String {
    name.hasPrefix("/") || directory.isEmpty ? name : directory + "/" + name
  }

  /// Runs the line number program. Source: section 6.2.5.
  private mutating func run(_ reader: inout ByteReader, _ header: Header) throws(DebugInformationFault) {
    var (address, file, line): (UInt64, Int, Int) = (0, 1, 1)
    var sequenceStart = 0
    func advance(_ operations: UInt64) { address &+= operations &* UInt64(header.minimumInstructionLength) }
    while !reader.isAtEnd {
      let opcode = Int(try reader.byte())
      if opcode >= header.opcodeBase {
        let adjusted = opcode - header.opcodeBase
        advance(UInt64(adjusted / header.lineRange))
        line &+= header.lineBase + adjusted % header.lineRange
        rows.append(Row(address: address, file: file, line: line, isEnd: false))
        continue
      }
      switch opcode {
      case 0:
        let length = try reader.intLEB()
        guard length > 0 else { continue }
        let next = try reader.position(after: length)
        switch try reader.byte() {
        case 1:
          rows.append(Row(address: address, file: file, line: line, isEnd: true))
          // Linkers leave address 0 in the sequences of functions that they dropped.
          if rows[sequenceStart].address == 0 { rows.removeSubrange(sequenceStart...) }
          sequenceStart = rows.count
          (address, file, line) = (0, 1, 1)
        case 2: address = try reader.unsigned(8)
        default: break
        }
        try reader.seek(next)
      case 1: rows.append(Row(address: address, file: file, line: line, isEnd: false))
      case 2: advance(try reader.unsignedLEB())
      case 3: line &+= Int(truncatingIfNeeded: try reader.signedLEB())
      case 4: file = try reader.intLEB()
      case 8: advance(UInt64((255 - header.opcodeBase) / header.lineRange))
      case 9: address &+= try reader.unsigned(2)
      default: for _ in 0..<header.operandCounts[opcode - 1] { _ = try reader.unsignedLEB() }
      }
    }
  }
}
