/// The debug information of one loaded file, read as far as it was asked for.
struct Module {
  /// A unit in a form that is quick to search.
  private struct Index {
    var calls: [CompilationUnit.InlinedCall] = []
    var lines: LineTable?
  }

  private var units: [CompilationUnit] = []
  private var indices: [Int: Index] = [:]
  private var known: [UInt64: [SourceLocation]] = [:]

  /// Reads the units' headers. A file that cannot be read, or without debug information, has no units.
  init(path: String) {
    self.init((try? ObjectFile(path: path)) ?? ObjectFile())
  }

  init(_ object: ObjectFile) {
    var offset = 0
    while offset < object.information.count, let unit = try? CompilationUnit(object, at: offset), unit.end > offset {
      units.append(unit)
      offset = unit.end
    }
  }

  /// The locations of the instruction at an address of the file, innermost first: its own line, then the line of each
  /// call that was inlined around it.
  mutating func locations(of address: UInt64) -> [SourceLocation] {
    if let result = known[address] { return result }
    let result = search(for: address)
    known[address] = result
    return result
  }

  private mutating func search(for address: UInt64) -> [SourceLocation] {
    guard let unit = units.firstIndex(where: { $0.ranges.contains { $0.contains(address) } }) else { return [] }
    let index = index(of: unit)
    guard let lines = index.lines else { return [] }
    let calls = index.calls.filter { call in call.ranges.contains { $0.contains(address) } }
    let callers = calls.reversed().compactMap { call in
      lines.path(call.file).map { SourceLocation(file: $0, line: call.line) }
    }
    return [lines.location(of: address)].compactMap { $0 } + callers
  }

  private mutating func index(of unit: Int) -> Index {
    if let index = indices[unit] { return index }
    let index = Index(
      calls: (try? units[unit].inlinedCalls()) ?? [], lines: try? units[unit].lineTable())
    indices[unit] = index
    return index
  }
}
