import MartletGraph

extension KernelEmitter {
  /// Pieces of code in one entry point, which bounds its length.
  private static let mostSections = 32

  /// Groups of elements whose code is the same but for the arrays and their length: one piece of code, and what each of the
  /// groups has in its place.
  private struct Section {
    var groups: [GroupEmitter]
    /// The code, with `p0`, `p1` and so on in the place of arrays, `n` in that of the length, `block` and `blocks`; nil for a
    /// group that is by itself.
    var code: CodeTemplate?
    /// For each group the numbers of its arrays.
    var arrays: [[Int]]
  }

  /// Launches in which each group has blocks of its own: one, unless there are more different pieces of code than go into it.
  func runTogether(_ groups: [GroupEmitter]) {
    var sections: [Section] = []
    var known: [CodeTemplate: Int] = [:]
    for group in groups where group.elementBlocks > 0 {
      let writer = EntryWriter(arguments: arguments)
      let count = group.stages[0].result.elementCount
      guard count <= 1 << 30 else {
        sections.append(Section(groups: [group], code: nil, arrays: []))
        continue
      }
      group.elements(writer, block: "block", of: "blocks", length: "n")
      let (code, arrays) = CodeTemplate.make(writer.body) { number in
        let isConstant = number < program.inputs.count
        return "\(isConstant ? "const " : "")\(self.arguments[number].elementType.kernelType)*"
      }
      if let number = known[code] {
        sections[number].groups.append(group)
        sections[number].arrays.append(arrays)
      } else {
        known[code] = sections.count
        sections.append(Section(groups: [group], code: code, arrays: [arrays]))
      }
    }
    for first in stride(from: 0, to: sections.count, by: Self.mostSections) {
      launch(Array(sections[first..<min(first + Self.mostSections, sections.count)]))
    }
  }

  private func launch(_ sections: [Section]) {
    let blocks = sections.map { $0.groups.map { min($0.elementBlocks, mostBlocks(of: Self.threads)) } }
    entry(blocks: blocks.joined().reduce(0, +), threads: Self.threads, isExact: true) { writer in
      var first = 0
      for (section, counts) in zip(sections, blocks) {
        let next = first + counts.reduce(0, +)
        let condition = next == blocks.joined().reduce(0, +) ? "" : "if (blockIdx.x < \(next))"
        let head = "\(first > 0 ? "else" : "")\(first > 0 && !condition.isEmpty ? " " : "")\(condition)"
        writer.section(head) {
          if let code = section.code, section.groups.count > 1 {
            instances(writer, section, code, counts, first)
          } else {
            section.groups[0].elements(writer, block: "(blockIdx.x - \(first))", of: "\(counts[0])")
          }
        }
        first = next
      }
    }
  }

  /// One piece of code for several groups: a block finds out by bisection whose it is, and takes the group's arrays.
  private func instances(
    _ writer: EntryWriter, _ section: Section, _ code: CodeTemplate, _ counts: [Int], _ first: Int
  ) {
    // Where every element has a thread, nothing asks for the number of blocks.
    let isLoop = code.lines.contains { $0.contains("blocks") }
    writer.line("int block, \(isLoop ? "blocks, " : "")n;")
    for (number, type) in code.types.enumerated() { writer.line("\(type) p\(number);") }
    var starts: [Int] = []
    var next = first
    for count in counts {
      starts.append(next)
      next += count
    }
    func choose(_ range: Range<Int>) {
      if range.count > 1 {
        let middle = range.lowerBound + range.count / 2
        writer.block("if (blockIdx.x < \(starts[middle]))") { choose(range.lowerBound..<middle) }
        writer.block("else") { choose(middle..<range.upperBound) }
        return
      }
      let number = range.lowerBound
      let length = section.groups[number].stages[0].result.elementCount
      let blocks = isLoop ? "blocks = \(counts[number]); " : ""
      writer.line("block = blockIdx.x - \(starts[number]); \(blocks)n = \(length);")
      let pointers = section.arrays[number].enumerated().map { "p\($0) = \(arguments[$1].name);" }
      if !pointers.isEmpty { writer.line(pointers.joined(separator: " ")) }
    }
    choose(0..<counts.count)
    for line in code.lines { writer.line(line) }
  }
}

/// Code in which arrays are called by the order in which they first occur, so that equal codes of different arrays are equal.
private struct CodeTemplate: Hashable {
  var lines: [String]
  /// The types of the pointers `p0`, `p1` and so on.
  var types: [String]

  /// Renames the arrays `a<number>` and what is known of them, `w<number>_<lanes>`.
  static func make(_ lines: [String], type: (Int) -> String) -> (CodeTemplate, arrays: [Int]) {
    var arrays: [Int] = []
    func place(_ number: Int) -> Int {
      if let place = arrays.firstIndex(of: number) { return place }
      arrays.append(number)
      return arrays.count - 1
    }
    func renamed(_ word: Substring) -> String {
      guard let kind = word.first, kind == "a" || kind == "w" else { return String(word) }
      let parts = word.dropFirst().split(separator: "_", omittingEmptySubsequences: false)
      guard let number = Int(parts[0]), parts.count == (kind == "a" ? 1 : 2) else { return String(word) }
      return kind == "a" ? "p\(place(number))" : "w\(place(number))_\(parts[1])"
    }
    let texts = lines.map { line in
      var text = ""
      var rest = line[...]
      while let first = rest.first {
        let isWord: (Character) -> Bool = { $0 == "_" || $0.isLetter || $0.isNumber }
        let part = isWord(first) ? rest.prefix(while: isWord) : rest.prefix(while: { !isWord($0) })
        text += isWord(first) ? renamed(part) : String(part)
        rest = rest[part.endIndex...]
      }
      return text
    }
    return (CodeTemplate(lines: texts, types: arrays.map(type)), arrays)
  }
}
