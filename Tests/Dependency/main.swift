import Martlet

let graph = Graph()
let x = graph.placeholder(.float32, shape: [3], name: "x")
let y = x * 10 + x
let session = try Session(graph)
print(try session.run(y, feeds: [x: Tensor([1, 2, 3] as [Float])]).scalars(as: Float.self))
