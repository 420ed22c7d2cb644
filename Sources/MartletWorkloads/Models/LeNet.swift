import Martlet

/// A network of LeNet's kind for images of 28×28: two convolutions of 5×5 with pooling, and two dense layers.
enum LeNet {
  struct Sizes {
    var batch = 128
    var extent = 28
    /// Of the two convolutions and the dense layer between them and the classes.
    var channels = (32, 64)
    var units = 1024

    /// What the convolutions and poolings leave of an image.
    var features: Int {
      let rest = (extent + 3) / 4
      return rest * rest * channels.1
    }
  }

  private static func data(
    _ sizes: Sizes
  ) -> (weights: NamedArrays, batches: [(examples: Tensor, labels: Tensor)]) {
    let (first, second) = sizes.channels
    var g = RandomArrays(seed: 7)
    var weights = NamedArrays()
    weights.add("c1w", g.normal([5, 5, 1, first], deviation: (2.0 / 25).squareRoot()))
    weights.addZeros("c1b", first)
    weights.add("c2w", g.normal([5, 5, first, second], deviation: (2.0 / Double(25 * first)).squareRoot()))
    weights.addZeros("c2b", second)
    weights.add("f1w", g.normal([sizes.features, sizes.units], deviation: (2.0 / Double(sizes.features)).squareRoot()))
    weights.addZeros("f1b", sizes.units)
    weights.add("f2w", g.normal([sizes.units, 10], deviation: (1.0 / Double(sizes.units)).squareRoot()))
    weights.addZeros("f2b", 10)
    return (weights, g.batches([sizes.batch, sizes.extent, sizes.extent, 1], classes: 10))
  }

  private static func logits(_ images: Output, _ weights: [String: Output], _ sizes: Sizes) -> Output {
    var x = images
    for layer in ["c1", "c2"] {
      guard let filter = weights[layer + "w"], let bias = weights[layer + "b"] else {
        preconditionFailure("the model has no weights for \(layer)")
      }
      x = relu(biasAdd(conv2D(x, filter, strides: 1, padding: .same), bias))
      x = maxPool(x, size: 2, strides: 2, padding: .same)
    }
    x = relu(dense(reshape(x, [-1, sizes.features]), weights, "f1w", "f1b"))
    return dense(x, weights, "f2w", "f2b")
  }

  /// Steps of Adam.
  static func training(_ sizes: Sizes = Sizes()) -> TrainingModel {
    let (weights, batches) = data(sizes)
    return TrainingModel(
      weights: weights, batches: batches, optimizer: Adam(learningRate: 1e-3), checkedStep: 3
    ) { logits($0.examples, $0.weights, sizes) }
  }

  /// The logits of a batch.
  static func inference(_ sizes: Sizes = Sizes()) -> ForwardModel {
    let (weights, batches) = data(sizes)
    return ForwardModel(feeds: [batches[0].examples], weights: weights) { logits($0.feeds[0], $0.weights, sizes) }
  }
}

extension Workload {
  /// A step of Adam in batches of 128.
  static let leNetTraining = Workload(name: "lenet_train") { LeNet.training().execution }

  /// The logits of a batch of 128.
  static let leNetInference = Workload(name: "lenet_infer_b128") { LeNet.inference().builder }
}
