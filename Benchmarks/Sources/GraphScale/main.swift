import Foundation
import Martlet

// Builds, saves, loads and releases one long chain of additions, and prints what each step takes, as lines of JSON.
//
//     swift run -c release --package-path Benchmarks GraphScale [NODES]

let count = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000_000
let path = NSTemporaryDirectory() + "martlet-chain-\(getpid()).pb"
defer { try? FileManager.default.removeItem(atPath: path) }

/// The memory that the process occupies, in bytes.
func residentBytes() -> Int {
  guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
  let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
  return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
}

func timed<R>(_ step: String, _ body: () throws -> R) rethrows -> R {
  let memory = residentBytes()
  let clock = ContinuousClock()
  let start = clock.now
  let result = try body()
  let seconds = (clock.now - start) / .seconds(1)
  let bytes = (residentBytes() - memory) / count
  print(
    String(
      format: "{\"step\": \"%@\", \"nodes\": %d, \"seconds\": %.3f, \"us_per_node\": %.3f, \"bytes_per_node\": %d}",
      step, count, seconds, seconds * 1e6 / Double(count), bytes))
  return result
}

func chain() -> Graph {
  let graph = Graph()
  let one = graph.constant(1.0, name: "one")
  var x = graph.placeholder(.float32, shape: [], name: "x")
  for _ in 0..<count { x = x + one }
  return graph
}

var graph: Graph? = timed("build", chain)
try timed("save") { try graph?.save(path) }
timed("release") { graph = nil }
var loaded: Graph? = try timed("load") { try Graph(loading: path) }
guard loaded?.nodeCount == count + 2 else { fatalError("the loaded graph has \(loaded?.nodeCount ?? 0) nodes") }
timed("release the loaded one") { loaded = nil }
