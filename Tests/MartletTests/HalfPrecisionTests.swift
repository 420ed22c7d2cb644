import Martlet
import MartletFormats
import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

/// Floats of 16 bits through the whole compiler.
@Suite struct HalfPrecisionTests {
  static let types: [ElementType] = [.float16, .bfloat16]

  /// Numbers from −1 to 1 that the type holds.
  private func numbers(_ shape: [Int], _ type: ElementType, seed: UInt64) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    let values = (0..<shape.reduce(1, *)).map { _ in Double.random(in: -1...1, using: &generator) }
    return Tensor(rounding: values, shape: shape, as: type)
  }

  private func wide(_ tensor: Tensor) -> Tensor {
    Tensor(rounding: tensor.doubles(), shape: tensor.shape, as: .float32)
  }

  /// What libraries compute is what they compute in `float32`, rounded once.
  @Test(arguments: types) func libraries(_ type: ElementType) throws {
    typealias Build = ([Output]) -> Output
    let matrix = numbers([128, 80], type, seed: 99)
    let calls: [([[Int]], Build)] = [
      ([[48, 64], [64, 80]], { matMul($0[0], $0[1]) }),
      ([[96, 130], [130, 75]], { matMul($0[0], $0[1]) }),
      ([[130, 96], [75, 130]], { matMul($0[0], $0[1], transposeA: true, transposeB: true) }),
      ([[96, 128]], { matMul($0[0], $0[0].graph.constant($0[0].elementType == type ? matrix : wide(matrix))) }),
      ([[3, 32, 48], [3, 40, 48]], { batchMatMul($0[0], $0[1], adjointY: true) }),
      ([[2, 12, 12, 16], [3, 3, 16, 24]], { conv2D($0[0], $0[1], padding: .same) }),
      ([[2, 12, 12, 16]], { maxPool($0[0], size: 2) }),
      ([[2, 12, 12, 16]], { avgPool($0[0], size: 3, strides: 2, padding: .same) }),
    ]
    for (number, (shapes, build)) in calls.enumerated() {
      let inputs = shapes.enumerated().map { numbers($1, type, seed: UInt64(10 * number + $0)) }
      func run(_ inputs: [Tensor]) throws -> Tensor {
        let graph = Graph()
        let placeholders = inputs.map { graph.placeholder($0.elementType, shape: Shape($0.shape)) }
        let feeds = Dictionary(uniqueKeysWithValues: zip(placeholders, inputs))
        return try Session(graph).run(build(placeholders), feeds: feeds)
      }
      let expected = try run(inputs.map(wide))
      // Sums that nearly cancel keep what rounding in `float32` has left.
      expectClose(
        try run(inputs), Tensor(rounding: expected.doubles(), shape: expected.shape, as: type),
        relative: 2 / Double(1 << type.significandWidth), absolute: 1e-5, "call \(number)")
    }
  }

  /// As TensorFlow writes it: what belongs to channels is `float32`. The numbers are those of the same in `float32`, rounded.
  @Test(arguments: types, [true, false]) func batchNormalization(_ type: ElementType, isTraining: Bool) throws {
    let array = numbers([2, 3, 3, 4], type, seed: 7)
    let vectors = (0..<4).map { n in Tensor((0..<4).map { 0.5 + Float(n) / 4 + Float($0) / 8 }, shape: [4]) }
    let weights = wide(numbers([2, 3, 3, 4], type, seed: 8))
    func run(_ array: Tensor) throws -> [Tensor] {
      let graph = Graph()
      let x = graph.placeholder(array.elementType, shape: Shape(array.shape))
      let channels = vectors.map { graph.placeholder(.float32, shape: Shape($0.shape)) }
      let (y, mean, variance) = fusedBatchNorm(
        x, scale: channels[0], offset: channels[1], mean: channels[2], variance: channels[3],
        exponentialAverageFactor: isTraining ? 0.25 : 1, isTraining: isTraining)
      let loss = sum(cast(y, to: .float32) * graph.constant(weights)) + sum(mean * variance)
      let slopes = try gradients(of: [loss], withRespectTo: [x] + channels).compactMap { $0 }
      #expect(slopes.map(\.elementType) == [array.elementType] + channels.map(\.elementType))
      var feeds = Dictionary(uniqueKeysWithValues: zip(channels, vectors))
      feeds[x] = array
      return try Session(graph).run([y, mean, variance] + slopes, feeds: feeds)
    }
    let (found, expected) = (try run(array), try run(wide(array)))
    #expect(found[0].elementType == type && found[1].elementType == .float32)
    for (n, (found, expected)) in zip(found, expected).enumerated() {
      let unit = 4 / Double(1 << type.significandWidth)
      let largest = expected.doubles().reduce(0) { max($0, abs($1)) }
      expectClose(
        Tensor(rounding: found.doubles(), shape: found.shape, as: .float64),
        Tensor(rounding: expected.doubles(), shape: expected.shape, as: .float64),
        relative: unit, absolute: unit * largest, "result \(n)")
    }
  }

  /// In training nobody need give moments, of whatever type: each channel's mean becomes its offset.
  @Test(arguments: types) func batchNormalizationWithoutMoments(_ type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [2, 3, 3, 4])
    let (scale, offset) = (Tensor([1, 2, 3, 4] as [Float], shape: [4]), Tensor([4, 3, 2, 1] as [Float], shape: [4]))
    let y = fusedBatchNorm(x, scale: graph.constant(scale), offset: graph.constant(offset)).y
    #expect(y.elementType == type)
    let means = sum(cast(y, to: .float32), axes: [0, 1, 2]) / 18
    let found = try Session(graph).run(means, feeds: [x: numbers([2, 3, 3, 4], type, seed: 7)])
    expectClose(found, offset, relative: 4 / Double(1 << type.significandWidth))
  }

  /// Constants are folded as operations on feeds would be: in an exact session each operation rounds.
  @Test(arguments: [SessionOptions.Device.cpu, .interpreter]) func exactSessionsRoundConstantsToo(
    _ device: SessionOptions.Device
  ) throws {
    let graph = Graph()
    let one = graph.constant(Tensor(rounding: [1], shape: [1], as: .bfloat16))
    let x = graph.placeholder(.bfloat16, shape: [1])
    func shifted(_ x: Output) -> Output { x + 1024 - 1024 }
    let products = [one, x].map {
      matMul(reshape($0, [1, 1]), graph.constant(Tensor(rounding: [1], shape: [1, 1], as: .bfloat16)))
    }
    let fetches = [shifted(one), shifted(x)] + products.map(shifted)
    let session = try Session(graph, options: SessionOptions(device: device, isExact: true))
    let found = try session.run(fetches, feeds: [x: Tensor(rounding: [1], shape: [1], as: .bfloat16)])
    #expect(found.map { $0.doubles() } == Array(repeating: [0], count: 4))
  }

  /// Division by a power of two becomes a product where its reciprocal is one of the type's numbers.
  @Test(arguments: types, [8.0, 0.25, -2, 1.0 / 65536]) func quotients(_ type: ElementType, _ divisor: Double) throws {
    let graph = Graph()
    let numbers = numbers([20], type, seed: 4)
    let x = graph.placeholder(type, shape: [20])
    let y = x / graph.constant(Tensor(rounding: [divisor], shape: [], as: type))
    let expected = Tensor(rounding: numbers.doubles().map { $0 / divisor }, shape: [20], as: type)
    #expect(try Session(graph).run([y], feeds: [x: numbers])[0].doubles() == expected.doubles())
  }

  /// Within a kernel what one operation leaves for the next is not rounded, unless the session is exact; a cast always rounds.
  @Test func roundings() throws {
    let graph = Graph()
    let x = graph.placeholder(.bfloat16, shape: [40])
    let shifted = x + 256 - 256
    let y = graph.placeholder(.float32, shape: [40])
    let cut = cast(cast(y, to: .bfloat16), to: .float32)
    let feeds = [
      x: Tensor(repeating: 1 as BFloat16, shape: [40]), y: Tensor(repeating: 1.01 as Float, shape: [40]),
    ]
    // 257 lies between the numbers 256 and 258.
    for (options, expected) in [
      (SessionOptions(), 1.0), (SessionOptions(isExact: true), 0), (SessionOptions(isFusing: false), 0),
    ] {
      let results = try Session(graph, options: options).run([shifted, cut], feeds: feeds)
      #expect(results[0].doubles() == Array(repeating: expected, count: 40))
      #expect(results[1].doubles() == Array(repeating: 1.0078125, count: 40))
    }
    var evaluator = ReferenceEvaluator()
    #expect(try evaluator.evaluate([shifted], feeds: feeds)[0].doubles() == Array(repeating: 0, count: 40))
  }

  /// In an exact session results are those of the reference, operation by operation, almost to the last element: sums of products included,
  /// and what follows a library's call.
  @Test(arguments: types) func exactSessions(_ type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [24, 32])
    let (a, b, bias) = (
      numbers([32, 40], type, seed: 7), numbers([40, 16], type, seed: 8), numbers([40], type, seed: 9)
    )
    let hidden = relu(biasAdd(matMul(x, graph.constant(a)), graph.constant(bias)))
    let wanted = [
      hidden * 1.1 - x.scalar(0.3), matMul(hidden, graph.constant(b)) + matMul(hidden * hidden, graph.constant(b)),
      tanh(hidden * 3) - hidden,
    ]
    let feeds = [x: numbers([24, 32], type, seed: 6)]
    var evaluator = ReferenceEvaluator()
    let expected = try evaluator.evaluate(wanted, feeds: feeds)
    let exact = try Session(graph, options: SessionOptions(isExact: true)).run(wanted, feeds: feeds)
    for (number, (found, expected)) in zip(exact, expected).enumerated() {
      let count = zip(found.doubles(), expected.doubles()).count { $0 != $1 }
      // Where an inner sum lies next to a tie, its order decides.
      #expect(count <= found.elementCount / 50, "fetch \(number): \(count) elements differ")
    }
    for (found, expected) in zip(try Session(graph).run(wanted, feeds: feeds), expected) {
      let unit = 2 / Double(1 << type.significandWidth)
      let greatest = expected.doubles().reduce(0) { max($0, $1.magnitude) }
      expectClose(found, expected, relative: 0, absolute: 4 * unit * greatest)
    }
  }

  /// Sums are in `float32`: in their own type they would stop growing.
  @Test(arguments: types) func sums(_ type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [2, 6000])
    let ones = Tensor(rounding: Array(repeating: 1, count: 12_000), shape: [2, 6000], as: type)
    let results = try Session(graph).run(
      [sum(x, axes: [1]), mean(x, axes: [1]), softmax(x), cumulativeSum(x, axis: 1)], feeds: [x: ones])
    #expect(results[0] == Tensor(rounding: [6000, 6000], shape: [2], as: type))
    #expect(results[1].doubles() == [1, 1])
    #expect(results[2] == Tensor(rounding: Array(repeating: 1 / 6000, count: 12_000), shape: [2, 6000], as: type))
    let counts = (1...6000).map { Double($0) }
    #expect(results[3] == Tensor(rounding: counts + counts, shape: [2, 6000], as: type))
  }

  /// Variables and their updates in float32, products in 16 bits.
  @Test(arguments: types) func mixedPrecision(_ type: ElementType) throws {
    func gradient(in type: ElementType) throws -> [Tensor] {
      let graph = Graph()
      let x = graph.placeholder(.float32, shape: [32, 24])
      let w = graph.variable("w", [24, 16], .tensor(wide(numbers([24, 16], .bfloat16, seed: 1))))
      let v = graph.variable("v", [16, 4], .tensor(wide(numbers([16, 4], .bfloat16, seed: 2))))
      let hidden = relu(matMul(cast(x, to: type), cast(w, to: type)))
      let y = cast(matMul(hidden, cast(v, to: type)), to: .float32)
      let loss = mean(square(y))
      let session = try Session(graph)
      try session.run(graph.initializer)
      let found = try gradients(of: [loss], withRespectTo: [w, v]).map { try #require($0) }
      #expect(found.allSatisfy { $0.elementType == .float32 })
      return try session.run([loss] + found, feeds: [x: wide(numbers([32, 24], .bfloat16, seed: 3))])
    }
    for (found, expected) in zip(try gradient(in: type), try gradient(in: .float32)) {
      let greatest = expected.doubles().reduce(0) { max($0, $1.magnitude) }
      expectClose(found, expected, relative: 0, absolute: greatest * 8 / Double(1 << type.significandWidth))
    }
  }

  /// Variables, gradients and optimizers all in 16 bits.
  @Test(arguments: types) func training(_ type: ElementType) throws {
    for optimizer in [GradientDescent(learningRate: 0.1), Adam(learningRate: 0.02)] as [any Optimizer] {
      let graph = Graph()
      let x = graph.placeholder(type, shape: [nil, 4])
      let labels = graph.placeholder(type, shape: [nil, 1])
      let w = graph.variable("w", [4, 1], .constant(0.125), type: type)
      let loss = mean(square(matMul(x, w) - labels))
      let train = optimizer.minimize(loss)
      let session = try Session(graph)
      try session.run(graph.initializer)
      let points = numbers([64, 4], type, seed: 5)
      let wanted = stride(from: 0, to: 256, by: 4).map { i in
        let p = points.doubles()
        return p[i] - 2 * p[i + 1] + 0.5 * p[i + 2]
      }
      let feeds = [x: points, labels: Tensor(rounding: wanted, shape: [64, 1], as: type)]
      let first = try session.run(loss, feeds: feeds).doubles()[0]
      for _ in 0..<200 { try session.run([], feeds: feeds, targets: [train]) }
      let last = try session.run(loss, feeds: feeds).doubles()[0]
      #expect(last < first / 20, "\(optimizer.name): \(first), then \(last)")
      #expect(try session.value(of: w).elementType == type)
    }
  }

  @Test(arguments: types) func randomNumbers(_ type: ElementType) throws {
    let graph = Graph()
    let fetches = [
      graph.randomUniform([4000], type: type, seed: 3), graph.randomNormal([4000], type: type, seed: 4),
      graph.truncatedNormal([4000], type: type, seed: 5),
    ]
    let results = try Session(graph).run(fetches).map { $0.doubles() }
    let step = 1 / Double(1 << type.significandWidth)
    #expect(results[0].allSatisfy { $0 >= 0 && $0 < 1 && ($0 / step).rounded() == $0 / step })
    #expect(abs(results[0].reduce(0, +) / 4000 - 0.5) < 0.02)
    for (values, deviation) in [(results[1], 1.0), (results[2], 0.8796)] {
      #expect(abs(values.reduce(0, +) / 4000) < 0.06)
      #expect(abs((values.reduce(0) { $0 + $1 * $1 } / 4000).squareRoot() - deviation) < 0.04)
    }
    #expect(results[2].allSatisfy { $0.magnitude <= 2 })
  }

  /// As a GraphDef, with NaN, infinities and subnormal numbers in constants.
  @Test(arguments: types) func files(_ type: ElementType) throws {
    let graph = Graph()
    let special = [0.1, -0.0, .nan, .infinity, -.infinity, type.leastNonzeroMagnitude, type.greatestFiniteMagnitude]
    let constant = graph.constant(Tensor(rounding: special, shape: [7], as: type), name: "special")
    let scalar = graph.constant(Tensor(rounding: [0.3], shape: [], as: type), name: "scalar")
    let x = graph.placeholder(type, shape: [7], name: "x")
    _ = select(isNaN(x), constant * scalar, x)
    let record = try graph.graphDef()
    let again = try Graph(record)
    #expect(try again.graphDef() == record)
    for name in ["special", "scalar"] {
      let (old, new) = (try #require(graph.output(named: name)), try #require(again.output(named: name)))
      #expect(old.operand.constant?.tensor == new.operand.constant?.tensor)
    }
  }
}
