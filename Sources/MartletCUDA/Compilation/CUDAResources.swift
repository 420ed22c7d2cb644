/// What the machine code of an entry point needs of a multiprocessor.
public struct CUDAResources: Hashable, Sendable {
  public var entry: String
  /// Registers of a thread.
  public var registers = 0
  /// Bytes of a block's shared memory that the code declares.
  public var sharedBytes = 0
  /// Bytes of a thread's memory for arrays and for registers that were spilled.
  public var stackBytes = 0
  /// Bytes that are written and read where there were too few registers.
  public var spillBytes = 0

  /// The entry points of PTX, of which no more is known before the driver compiles it:
  ///
  ///     .visible .entry k(
  static func entries(ofPTX code: [UInt8]) -> [CUDAResources] {
    String(decoding: code.prefix { $0 != 0 }, as: UTF8.self).split(separator: "\n").compactMap { line in
      let words = line.split { $0 == " " || $0 == "(" }
      guard let position = words.firstIndex(of: ".entry"), position + 1 < words.count else { return nil }
      return CUDAResources(entry: String(words[position + 1]))
    }
  }

  /// Takes the assembler's report, as its option `-v` gives it, out of a log; the rest is what else was said.
  ///
  ///     ptxas info    : Compiling entry function 'k' for 'sm_90'
  ///     ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
  ///     ptxas info    : Used 32 registers, used 1 barriers, 256 bytes smem
  static func read(_ log: String) -> (resources: [CUDAResources], rest: String) {
    var resources: [CUDAResources] = []
    var rest: [Substring] = []
    for line in log.split(separator: "\n") {
      guard line.hasPrefix("ptxas info") || line.hasPrefix("ptxas         .") else {
        rest.append(line)
        continue
      }
      let words = line.split { $0 == " " || $0 == "," || $0 == "'" }
      /// The sum of the numbers that stand before these words.
      func number(before following: Substring...) -> Int {
        words.indices.reduce(0) { sum, position in
          words[position...].dropFirst().starts(with: following) ? sum + (Int(words[position]) ?? 0) : sum
        }
      }
      if line.contains("Compiling entry function"), let position = words.firstIndex(of: "function") {
        resources.append(CUDAResources(entry: String(words[position + 1])))
      } else if let last = resources.indices.last {
        if line.contains("stack frame") {
          resources[last].stackBytes = number(before: "bytes", "stack")
          resources[last].spillBytes = number(before: "bytes", "spill")
        } else if line.contains("registers") {
          resources[last].registers = number(before: "registers")
          resources[last].sharedBytes = number(before: "bytes", "smem")
        }
      }
    }
    return (resources, rest.joined(separator: "\n"))
  }
}
