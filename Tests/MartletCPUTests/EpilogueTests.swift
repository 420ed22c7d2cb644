import Martlet
import MartletTestSupport
import Testing

/// Library calls that do what follows them, against the interpreter, which knows of none.
@Suite struct EpilogueTests {
  enum Activation: CaseIterable {
    case none, relu, relu6, leaky, elu, selu, tanh, sigmoid, gelu, geluByQuotient, geluByTanh, geluByPower, quickGelu

    func callAsFunction(_ x: Output) -> Output {
      switch self {
      case .none: x
      case .relu: Martlet.relu(x)
      case .relu6: Martlet.relu6(x)
      case .leaky: leakyRelu(x, alpha: 0.3)
      case .elu: Martlet.elu(x)
      case .selu: Martlet.selu(x)
      case .tanh: Martlet.tanh(x)
      case .sigmoid: Martlet.sigmoid(x)
      case .gelu: 0.5 * x * (1 + erf(x * (1 / 2.0.squareRoot())))
      case .geluByQuotient: x * (erf(x / 2.0.squareRoot()) + 1) * 0.5
      case .geluByTanh: 0.5 * x * (1 + Martlet.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))
      case .geluByPower: x * (Martlet.tanh((pow(x, 3) * 0.044715 + x) * 0.7978845608) + 1) * 0.5
      // Another number in the place of 0.044715.
      case .quickGelu: 0.5 * x * (1 + Martlet.tanh(0.7978845608 * (x + 0.05 * x * x * x)))
      }
    }
    /// Whether it is one that epilogues have.
    var isKnown: Bool { self != .selu && self != .quickGelu }
  }

  @Test(arguments: Activation.allCases)
  func productsWithConstantMatrices(activation: Activation) throws {
    let isTransposed = activation == .relu
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [96, 64], name: "x")
    let w = graph.constant(randomTensor(isTransposed ? [80, 64] : [64, 80], seed: 2))
    let y = activation(
      biasAdd(matMul(x, w, transposeB: isTransposed), graph.constant(randomTensor([80], seed: 3))))
    let steps = try checkedSteps(graph, [y], [x: randomTensor([96, 64], seed: 1)])
    #expect(steps == (1, activation.isKnown ? 0 : 1))
  }

  @Test(arguments: Activation.allCases, [DataFormat.nhwc, .nchw])
  func convolutions(activation: Activation, format: DataFormat) throws {
    let graph = Graph()
    let shape = format == .nhwc ? [2, 7, 6, 16] : [2, 16, 7, 6]
    let x = graph.placeholder(.float32, shape: Shape(shape), name: "x")
    let y = conv2D(x, graph.constant(randomTensor([3, 3, 16, 32], seed: 2)), padding: .same, dataFormat: format)
    let result = activation(biasAdd(y, graph.constant(randomTensor([32], seed: 3)), dataFormat: format))
    let steps = try checkedSteps(graph, [result], [x: randomTensor(shape, seed: 1)])
    #expect(steps == (1, activation.isKnown ? 0 : 1))
  }

  /// The scale of a batch normalization goes into the filter, its shift becomes a bias.
  @Test(arguments: [DataFormat.nhwc, .nchw], [false, true])
  func batchNormalization(format: DataFormat, isDepthwise: Bool) throws {
    let graph = Graph()
    let shape = format == .nhwc ? [2, 9, 8, 16] : [2, 16, 9, 8]
    let x = graph.placeholder(.float32, shape: Shape(shape), name: "x")
    let filter = graph.constant(randomTensor(isDepthwise ? [3, 3, 16, 2] : [3, 3, 16, 32], seed: 2))
    let y =
      isDepthwise
      ? depthwiseConv2D(x, filter, padding: .same, dataFormat: format)
      : conv2D(x, filter, padding: .same, dataFormat: format)
    func vector(_ seed: UInt64, _ offset: Float) -> Output {
      graph.constant(Tensor(randomTensor([32], seed: seed).scalars(as: Float.self).map { $0 * 0.5 + offset }))
    }
    let normalized = fusedBatchNorm(
      y, scale: vector(3, 1), offset: vector(4, 0), mean: vector(5, 0), variance: vector(6, 2), epsilon: 1e-3,
      isTraining: false, dataFormat: format
    ).y
    #expect(try checkedSteps(graph, [relu(normalized)], [x: randomTensor(shape, seed: 1)]) == (1, 0))
  }

  /// Winograd's algorithm rounds more; an exact session does without it, and lets NaN through a ReLU.
  @Test(arguments: [[1, 24, 24, 64], [2, 17, 19, 32]])
  func winograd(shape: [Int]) throws {
    let graph = Graph()
    let channels = shape[3]
    let x = graph.placeholder(.float32, shape: Shape(shape), name: "x")
    let filter = graph.constant(randomTensor([3, 3, channels, 2 * channels], seed: 2))
    let bias = graph.constant(randomTensor([2 * channels], seed: 3))
    let y = relu(biasAdd(conv2D(x, filter, padding: .same), bias))
    let exact = try Session(graph, options: SessionOptions(device: .cpu, isExact: true))
    let fast = try Session(graph, options: .cpu)
    var images = randomTensor(shape, seed: 1)
    let expected = try exact.run(y, feeds: [x: images]).scalars(as: Float.self)
    let found = try fast.run(y, feeds: [x: images]).scalars(as: Float.self)
    let largest = expected.reduce(0) { max($0, abs($1)) }
    let error = zip(expected, found).reduce(0) { max($0, abs($1.0 - $1.1)) }
    #expect(error / largest < 1e-5)
    var values = images.scalars(as: Float.self)
    values[0] = .nan
    images = Tensor(values, shape: shape)
    #expect(try exact.run(y, feeds: [x: images]).scalars(as: Float.self)[0].isNaN)
  }

  /// Two branches that meet: one call adds the other's result, in its place.
  @Test func residuals() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, 8, 8, 16], name: "x")
    func convolution(_ x: Output, _ kernel: Int, _ seed: UInt64) -> Output {
      let filter = graph.constant(randomTensor([kernel, kernel, 16, 16], seed: seed))
      return biasAdd(conv2D(x, filter, padding: .same), graph.constant(randomTensor([16], seed: seed + 1)))
    }
    let y = relu(convolution(relu(convolution(x, 1, 2)), 3, 4) + convolution(x, 1, 6))
    let z = relu(convolution(convolution(y, 1, 12), 3, 8) + y)
    // The residual that is fed is moved; those that nobody needs any more are written over.
    let w = convolution(z, 1, 10) + x
    #expect(try checkedSteps(graph, [w], [x: randomTensor([2, 8, 8, 16], seed: 1)]) == (6, 0))
    let plan = try Session(graph, options: .cpu).plan(for: [w], feeds: [x: TensorType(.float32, [2, 8, 8, 16])])
    let writesOver = plan.blocks[0].instructions.count { instruction in
      guard let residual = instruction.operands.dropFirst(3).last else { return false }
      return plan.slots[residual].place == plan.slots[instruction.results[0]].place
    }
    #expect(writesOver == 2)
  }

  /// A bias and a residual behind a reshape.
  /// Each column of the result has a scale of its own, which goes into the constant matrices of the batch.
  @Test(arguments: [false, true]) func scaledProductsOfBatches(isTransposed: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3, 2, 5, 4], name: "x")
    let w = graph.constant(randomTensor(isTransposed ? [3, 2, 6, 4] : [3, 2, 4, 6], seed: 2))
    let y = batchMatMul(x, w, adjointY: isTransposed) * graph.constant(randomTensor([6], seed: 3))
    #expect(try checkedSteps(graph, [y], [x: randomTensor([3, 2, 5, 4], seed: 1)]) == (1, 0))
  }

  @Test func reshapedProducts() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, 50, 64], name: "x")
    let w = graph.constant(randomTensor([64, 64], seed: 2))
    let y = reshape(matMul(reshape(x, [100, 64]), w), [2, 50, 64])
    let z = tanh(y + graph.constant(randomTensor([1, 1, 64], seed: 3)) + x)
    #expect(try checkedSteps(graph, [z], [x: randomTensor([2, 50, 64], seed: 1)]) == (1, 0))
  }

  enum Case: CaseIterable {
    case usedElsewhere, fetchedBetween, vectorAlongRows, otherOrder, afterActivation, scaledVariableFilter, selfProduct

    func build(_ x: Output, _ w: Output, _ vector: Output, _ fed: Output) -> [Output] {
      let product = matMul(x, w)
      switch self {
      case .usedElsewhere: return [relu(product), product * product]
      case .fetchedBetween:
        let y = product + vector
        return [y, relu(y)]
      case .vectorAlongRows: return [product + reshape(vector, [64, 1])]
      case .otherOrder: return [product + transpose(fed, permutation: [1, 0])]
      case .afterActivation: return [relu(product) + fed]
      case .scaledVariableFilter: return [matMul(x, fed) * vector]
      case .selfProduct: return [product * product]
      }
    }
  }

  /// What no epilogue can say stays a kernel of its own, and what others read exists.
  @Test(arguments: Case.allCases)
  func keepsWhatDoesNotFit(example: Case) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [64, 64], name: "x")
    let fed = graph.placeholder(.float32, shape: [64, 64], name: "fed")
    let w = graph.constant(randomTensor([64, 64], seed: 2))
    let vector = graph.constant(randomTensor([64], seed: 3))
    let fetches = example.build(x, w, vector, fed)
    let steps = try checkedSteps(
      graph, fetches, [x: randomTensor([64, 64], seed: 1), fed: randomTensor([64, 64], seed: 4)])
    #expect(steps == (1, 1))
  }

  /// A value in the middle that is fed is not computed.
  @Test func feedsInTheMiddle() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [70, 64], name: "x")
    let product = matMul(x, graph.constant(randomTensor([64, 64], seed: 2)))
    let y = relu(product + graph.constant(randomTensor([64], seed: 3)))
    #expect(try checkedSteps(graph, [y], [product: randomTensor([70, 64], seed: 1)]) == (0, 1))
  }

  /// Large constants are transposed and added up when the graph is compiled.
  @Test func constantsAreComputedOnce() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3, 80], name: "x")
    let w = transpose(graph.constant(randomTensor([90, 80], seed: 2)), permutation: [1, 0])
    let y = x + sum(w * w, axes: [1])
    #expect(try checkedSteps(graph, [y, w], [x: randomTensor([3, 80], seed: 1)]).others == 2)
  }
}
