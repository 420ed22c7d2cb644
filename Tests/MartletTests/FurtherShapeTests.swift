import Martlet
import Testing

/// Runs with many shapes of the same feeds: numbers as the interpreter's, and no code generated for further ones.
struct FurtherShapeTests {
  private static func floats(_ shape: [Int], _ factor: Int = 37) -> Tensor {
    let count = shape.reduce(1, *)
    return Tensor((0..<count).map { Float(($0 * factor) % 101) / 101 - 0.5 }, shape: shape)
  }

  private static func integers(_ shape: [Int], below bound: Int) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map { Int32(($0 * 53) % bound) }, shape: shape)
  }

  /// A graph with its fetches, targets and feeds, and the feeds' arrays for an extent.
  private struct Model {
    var graph: Graph
    var fetches: [Output]
    var targets: [GraphNode] = []
    var feeds: [Output]
    var arrays: (Int) -> [Tensor]

    func session(_ device: SessionOptions.Device) throws -> (session: Session, run: Callable) {
      let session = try Session(graph, options: SessionOptions(device: device, codeCache: .off))
      try session.run(graph.initializer)
      return (session, try session.makeCallable(fetches: fetches, targets: targets, feeds: feeds))
    }
  }

  private static func normalized(_ x: Output) -> Output {
    let center = mean(x, axes: [-1], keepDims: true)
    let variance = mean(squaredDifference(x, center), axes: [-1], keepDims: true)
    return (x - center) * rsqrt(variance + 1e-5)
  }

  /// An encoder of one layer over sentences of any length.
  private static func encoder() -> Model {
    let (hidden, heads, words) = (12, 2, 50)
    let graph = Graph()
    let tokens = graph.placeholder(.int32, shape: [1, nil], name: "tokens")
    let mask = graph.placeholder(.float32, shape: [1, nil], name: "mask")
    func weight(_ rows: Int, _ columns: Int, _ factor: Int) -> Output {
      graph.constant(floats([rows, columns], factor))
    }
    var x = normalized(reshape(gather(weight(words, hidden, 29), tokens), [-1, hidden]))
    func projection(_ factor: Int) -> Output {
      transpose(
        reshape(matMul(x, weight(hidden, hidden, factor)), [1, -1, heads, hidden / heads]), permutation: [0, 2, 1, 3])
    }
    let penalty = (1 - reshape(mask, [1, 1, 1, -1])) * -10000
    let scores = batchMatMul(projection(31), projection(41), adjointY: true) * 0.3 + penalty
    let context = batchMatMul(softmax(scores), projection(43))
    let merged = reshape(transpose(context, permutation: [0, 2, 1, 3]), [-1, hidden])
    x = normalized(matMul(merged, weight(hidden, hidden, 47)) + x)
    let y = matMul(x, weight(hidden, 3 * hidden, 59))
    x = normalized(matMul(0.5 * y * (1 + erf(y * 0.7)), weight(3 * hidden, hidden, 61)) + x)
    return Model(graph: graph, fetches: [x, mean(x, axes: [0])], feeds: [tokens, mask]) { length in
      [
        integers([1, length], below: words),
        Tensor((0..<length).map { $0 % 7 == 5 ? 0 : 1 as Float }, shape: [1, length]),
      ]
    }
  }

  /// A step of training with batches of any size, with a convolution if wanted.
  private static func training(convolving: Bool) -> Model {
    let graph = Graph()
    let extent = 5
    let images = graph.placeholder(.float32, shape: [nil, extent, extent, 2], name: "images")
    let labels = graph.placeholder(.int32, shape: [nil], name: "labels")
    func variable(_ name: String, _ shape: [Int], _ factor: Int) -> Output {
      graph.variable(name, shape, .tensor(floats(shape, factor)))
    }
    var x = images
    if convolving {
      x = relu(biasAdd(conv2D(x, variable("f", [3, 3, 2, 3], 29), strides: 1, padding: .same), variable("c", [3], 31)))
      x = maxPool(x, size: 2, strides: 2, padding: .same)
    }
    let width = convolving ? 3 * 3 * 3 : extent * extent * 2
    x = tanh(biasAdd(matMul(reshape(x, [-1, width]), variable("w1", [width, 20], 37)), variable("b1", [20], 41)))
    let logits = biasAdd(matMul(x, variable("w2", [20, 7], 43)), variable("b2", [7], 47))
    let loss = mean(sparseSoftmaxCrossEntropy(logits: logits, labels: labels))
    let step = Adam(learningRate: 0.01).minimize(loss)
    return Model(graph: graph, fetches: [loss], targets: [step], feeds: [images, labels]) { batch in
      [floats([batch, extent, extent, 2]), integers([batch], below: 7)]
    }
  }

  /// One model's runs with some extents on the processor, against the interpreter's.
  private static func compare(_ model: Model, _ extents: [Int], tolerance: Double = 2e-4) throws {
    let (_, run) = try model.session(.cpu)
    let (_, reference) = try model.session(.interpreter)
    for extent in extents {
      let arrays = model.arrays(extent)
      let (found, expected) = (try run.run(arrays), try reference.run(arrays))
      for (a, b) in zip(found, expected) {
        #expect(a.shape == b.shape)
        let worst = zip(a.scalars(as: Float.self), b.scalars(as: Float.self)).map { x, y in
          x.isNaN && y.isNaN ? 0 : Double(abs(x - y))
        }
        #expect((worst.max() ?? 0) < tolerance, "extent \(extent)")
      }
    }
  }

  /// For each extent how many kernels code was generated for.
  private static func generated(_ model: Model, _ extents: [Int]) throws -> [Int] {
    let (session, run) = try model.session(.cpu)
    for extent in extents { try run.run(model.arrays(extent)) }
    return session.statistics.compilations.suffix(extents.count).map(\.profile.binding.generatedKernels)
  }

  @Test(arguments: [[48, 40], [7, 64]])
  func lengths(_ first: [Int]) throws {
    let rest = [0, 1, 2, 3, 15, 16, 17, 31, 33, 65]
    try Self.compare(Self.encoder(), first + rest)
  }

  @Test(arguments: [false, true]) func batches(_ convolving: Bool) throws {
    let extents = [32, 19, 1, 2, 3, 15, 16, 17, 31]
    try Self.compare(Self.training(convolving: convolving), extents)
  }

  @Test func furtherLengthsNeedNoCode() throws {
    let generated = try Self.generated(Self.encoder(), [48, 40, 44, 35, 37, 41, 43, 46, 39])
    #expect(generated.suffix(5) == [0, 0, 0, 0, 0], "\(generated)")
  }

  @Test(arguments: [false, true]) func furtherBatchesNeedNoCode(_ convolving: Bool) throws {
    let model = Self.training(convolving: convolving)
    let generated = try Self.generated(model, [32, 26, 22, 29, 23, 31, 27, 25, 21])
    #expect(generated.suffix(4) == [0, 0, 0, 0], "\(generated)")
  }

  /// Plans of shapes that were run before are kept, many of them.
  @Test func manyShapesAreCompiledOnce() throws {
    let model = Self.encoder()
    let (session, run) = try model.session(.cpu)
    for _ in 0..<2 { for length in 20..<60 { try run.run(model.arrays(length)) } }
    #expect(session.statistics.compilations.count == 41)
  }
}
