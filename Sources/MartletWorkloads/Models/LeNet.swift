import Martlet

/// A network of LeNet's kind for images of 28×28: two convolutions of 5×5 with pooling, and two dense layers.
enum LeNet {
  static func data() -> (weights: NamedArrays, batches: [(examples: Tensor, labels: Tensor)]) {
    var g = RandomArrays(seed: 7)
    var weights = NamedArrays()
    weights.add("c1w", g.normal([5, 5, 1, 32], deviation: (2.0 / 25).squareRoot()))
    weights.addZeros("c1b", 32)
    weights.add("c2w", g.normal([5, 5, 32, 64], deviation: (2.0 / 800).squareRoot()))
    weights.addZeros("c2b", 64)
    weights.add("f1w", g.normal([3136, 1024], deviation: (2.0 / 3136).squareRoot()))
    weights.addZeros("f1b", 1024)
    weights.add("f2w", g.normal([1024, 10], deviation: (1.0 / 1024).squareRoot()))
    weights.addZeros("f2b", 10)
    return (weights, g.batches([128, 28, 28, 1], classes: 10))
  }

  static func logits(_ images: Output, _ weights: [String: Output]) -> Output {
    var x = images
    for layer in ["c1", "c2"] {
      guard let filter = weights[layer + "w"], let bias = weights[layer + "b"] else {
        preconditionFailure("the model has no weights for \(layer)")
      }
      x = relu(biasAdd(conv2D(x, filter, strides: 1, padding: .same), bias))
      x = maxPool(x, size: 2, strides: 2, padding: .same)
    }
    x = relu(dense(reshape(x, [-1, 3136]), weights, "f1w", "f1b"))
    return dense(x, weights, "f2w", "f2b")
  }
}

extension Workload {
  /// A step of Adam in batches of 128.
  static let leNetTraining = Workload(name: "lenet_train") {
    let (weights, batches) = LeNet.data()
    let model = TrainingModel(
      weights: weights, batches: batches, optimizer: Adam(learningRate: 1e-3), checkedStep: 3
    ) { LeNet.logits($0.examples, $0.weights) }
    return model.execution
  }

  /// The logits of a batch of 128.
  static let leNetInference = Workload(name: "lenet_infer_b128") {
    let (weights, batches) = LeNet.data()
    let model = ForwardModel(feeds: [batches[0].examples], weights: weights) { LeNet.logits($0.feeds[0], $0.weights) }
    return model.execution
  }
}
