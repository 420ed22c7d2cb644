internal import Glibc

/// The debug sections of a 64-bit little-endian ELF file.
struct ObjectFile {
  var information: [UInt8] = []
  var abbreviations: [UInt8] = []
  var lines: [UInt8] = []
  var strings: [UInt8] = []
  var lineStrings: [UInt8] = []
  var stringOffsets: [UInt8] = []
  var addresses: [UInt8] = []
  var ranges: [UInt8] = []
  var rangeLists: [UInt8] = []
}

extension ObjectFile {
  /// Reads the sections of a file. Missing and compressed ones are left empty.
  init(path: String) throws(DebugInformationFault) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw DebugInformationFault() }
    defer { close(file) }
    let sections = try Self.sections(of: file)
    self.init()
    information = sections[".debug_info"] ?? []
    abbreviations = sections[".debug_abbrev"] ?? []
    lines = sections[".debug_line"] ?? []
    strings = sections[".debug_str"] ?? []
    lineStrings = sections[".debug_line_str"] ?? []
    stringOffsets = sections[".debug_str_offsets"] ?? []
    addresses = sections[".debug_addr"] ?? []
    ranges = sections[".debug_ranges"] ?? []
    rangeLists = sections[".debug_rnglists"] ?? []
  }

  /// The contents of the uncompressed debug sections by name. Source: the ELF-64 object file format, version 1.5.
  private static func sections(of file: Int32) throws(DebugInformationFault) -> [String: [UInt8]] {
    let header = try read(file, at: 0, count: 64)
    guard header[0..<6].elementsEqual([0x7F, 0x45, 0x4C, 0x46, 2, 1]) else { throw DebugInformationFault() }
    var reader = try ByteReader(header, at: 40)
    let tableOffset = try reader.int(8)
    try reader.seek(58)
    let (entrySize, count, namesIndex) = (try reader.int(2), try reader.int(2), try reader.int(2))
    guard entrySize == 64, namesIndex < count else { throw DebugInformationFault() }
    let table = try read(file, at: tableOffset, count: entrySize * count)

    func section(_ index: Int) throws(DebugInformationFault) -> (name: Int, flags: UInt64, offset: Int, size: Int) {
      var reader = try ByteReader(table, at: index * entrySize)
      let name = try reader.int(4)
      try reader.skip(4)
      let flags = try reader.unsigned(8)
      try reader.skip(8)
      return (name, flags, try reader.int(8), try reader.int(8))
    }

    let namesSection = try section(namesIndex)
    let names = try read(file, at: namesSection.offset, count: namesSection.size)
    var result: [String: [UInt8]] = [:]
    for index in 0..<count {
      let (nameOffset, flags, offset, size) = try section(index)
      var nameReader = try ByteReader(names, at: nameOffset)
      let name = try nameReader.string()
      let isCompressed = flags & 0x800 != 0
      if name.hasPrefix(".debug_"), !isCompressed { result[name] = try read(file, at: offset, count: size) }
    }
    return result
  }

  private static func read(_ file: Int32, at offset: Int, count: Int) throws(DebugInformationFault) -> [UInt8] {
    var status = stat()
    guard fstat(file, &status) == 0, offset <= Int(status.st_size), count <= Int(status.st_size) - offset else {
      throw DebugInformationFault()
    }
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        let got = pread(file, buffer.baseAddress! + initialized, count - initialized, off_t(offset + initialized))
        if got <= 0 { break }
        initialized += got
      }
    }
    guard bytes.count == count else { throw DebugInformationFault() }
    return bytes
  }
}
