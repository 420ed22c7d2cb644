import Martlet

// Define the computation once: the line through 256 points, y = w·x + b.
let graph = Graph()
let x = graph.placeholder(.float32, shape: [nil], name: "x")
let y = graph.placeholder(.float32, shape: [nil], name: "y")
let w = graph.variable("w", [], .zeros)
let b = graph.variable("b", [], .zeros)
let loss = mean(square(w * x + b - y))
let train = GradientDescent(learningRate: 0.5).minimize(loss)

// Then run it many times.
let xs = (0..<256).map { Float($0) / 128 - 1 }
let ys = xs.map { 3 * $0 + 2 }
let session = try Session(graph)
try session.run(graph.initializer)
let step = try session.makeCallable(fetches: [loss], targets: [train], feeds: [x, y])
for i in 1...100 {
  let result = try step(Tensor(xs), Tensor(ys))
  if i % 20 == 0 { print("step \(i): loss \(result[0].item(as: Float.self))") }
}
print("y = \(try session.value(of: w).item(as: Float.self)) x + \(try session.value(of: b).item(as: Float.self))")

// Look at it: `dot -Tsvg graph.dot` draws the picture.
try session.writeDOT("graph.dot")
