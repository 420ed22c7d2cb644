import Foundation
import Martlet

// Compiles large graphs and prints what each stage of that takes.
//
//     Scripts/compile-scale [lstm|distinct [SIZE]]...
//
// `lstm` is a training step of an unrolled long short-term memory, gradients included, of SIZE operations (18,000 unless told).
// `distinct` is a graph of SIZE nodes (100,000) no two of which are equal: products, sums, tanh and matrix
// products, each node on two results shortly before it.

var arguments = Array(CommandLine.arguments.dropFirst())
if arguments.isEmpty { arguments = ["lstm", "distinct"] }
while let name = arguments.first {
  arguments.removeFirst()
  let size = arguments.first.flatMap { Int($0) }
  if size != nil { arguments.removeFirst() }
  switch name {
  case "lstm": try ScaleGraph.longShortTermMemory(operations: size ?? 18_000).measure(name)
  case "distinct": try ScaleGraph.distinct(nodes: size ?? 100_000).measure(name)
  default:
    FileHandle.standardError.write(Data("CompileScale: there is no graph \(name); lstm and distinct are known\n".utf8))
    exit(64)
  }
}
