import Foundation
import Martlet

// Two networks with one hidden layer learn the sine. One uses the operation, the other spells it out.
let graph = Graph()
let x = graph.placeholder(.float32, shape: [nil, 1], name: "x")
let y = graph.placeholder(.float32, shape: [nil, 1], name: "y")

func network(_ activation: (Output) -> Output) -> Output {
  // A matrix as the outer product of two vectors, which are what is trained.
  let rows = graph.variable("rows", [1], .ones)
  let columns = graph.variable("columns", [64], .normal(standardDeviation: 2, seed: 1))
  let bias = graph.variable("bias", [64], .normal(standardDeviation: 2, seed: 2))
  let output = graph.variable("output", [64, 1], .normal(standardDeviation: 0.125, seed: 3))
  return matMul(activation(biasAdd(matMul(x, outerProduct(rows, columns)), bias)), output)
}

let losses = [network { mish($0) }, network { $0 * tanh(softplus($0)) }].map { mean(squaredDifference($0, y)) }
let train = graph.group(losses.map { Adam(learningRate: 0.01).minimize($0) })

let statistics = StatisticsInstrument()
let options = SessionOptions(rules: RuleSet("mish", [raiseMish]), instruments: [statistics])
let session = try Session(graph, options: options)
try session.run(graph.initializer)
let step = try session.makeCallable(fetches: losses, targets: [train], feeds: [x, y])
let xs = (0..<256).map { Float($0) / 32 - 4 }
let inputs = Tensor(xs, shape: [256, 1])
let targets = Tensor(xs.map { sin($0) }, shape: [256, 1])
for i in 1...500 {
  let results = try step(inputs, targets)
  if i % 100 == 0 { print("step \(i): losses \(results.map { $0.item(as: Float.self) })") }
}
for (rule, count) in statistics.firings where rule == raiseMish.name { print("rule \(rule) fired: \(count)") }

// An operation with code of its own for each kind of device.
let numbers = Graph()
let unsorted = numbers.constant(Tensor([3, 1, 2, 0.5, -1, 0] as [Float], shape: [2, 3]))
print("sorted rows: \(try Session(numbers).run(sortRows(unsorted)))")
