import Foundation
import Martlet

/// Builds, saves, loads and releases a chain of additions, each of which needs the one before it, and says what each costs.
struct Chain {
  let count: Int
  private let clock = ContinuousClock()

  func run() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "chain-\(getpid()).pb").path
    defer { unlink(path) }
    print("\(count) nodes        seconds   ns/node   bytes/node")
    var graph: Graph? = measure("build") { build() }
    try measure("save") { try graph?.save(path) }
    let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    print("the file has \(size) bytes, \(size / count) a node")
    measure("release") { graph = nil }
    graph = try measure("load") { try Graph(loading: path) }
    guard graph?.nodeCount == count + 2 else { throw Diagnostic("nodes were lost") }
    measure("release") { graph = nil }
  }

  private func build() -> Graph {
    let graph = Graph()
    var x = graph.placeholder(.float32, shape: [nil, 4], name: "x")
    let one = graph.constant(1.0)
    for _ in 0..<count { x = x + one }
    return graph
  }

  private func measure<R>(_ label: String, _ body: () throws -> R) rethrows -> R {
    let before = residentBytes()
    let start = clock.now
    let result = try body()
    let seconds = (clock.now - start) / .seconds(1)
    let growth = (residentBytes() - before) / count
    let columns = [String(format: "%.2f", seconds), "\(Int(seconds * 1e9) / count)", "\(growth)"]
    print(([label] + columns).map { $0.padding(toLength: 12, withPad: " ", startingAt: 0) }.joined())
    return result
  }

  /// The memory that the process holds.
  private func residentBytes() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}
