import Martlet

/// A network of dense layers.
enum MultilayerPerceptron {
  /// Steps of stochastic gradient descent.
  ///
  /// - Parameter layers: the widths from the inputs to the classes.
  static func training(layers: [Int] = [784, 512, 256, 10], batch: Int = 128) -> TrainingModel {
    var g = RandomArrays(seed: 6)
    var weights = NamedArrays()
    for (i, (rows, columns)) in zip(layers, layers.dropFirst()).enumerated() {
      weights.add("w\(i)", g.normal([rows, columns], deviation: (2 / Double(rows)).squareRoot()))
      weights.addZeros("b\(i)", columns)
    }
    let (inputs, classes) = (layers[0], layers[layers.count - 1])
    let batches = g.batches([batch, inputs], classes: Int32(classes))
    return TrainingModel(weights: weights, batches: batches, optimizer: GradientDescent(learningRate: 0.05)) { model in
      (0..<layers.count - 1).reduce(model.examples) { x, i in
        let y = dense(x, model.weights, "w\(i)", "b\(i)")
        return i < layers.count - 2 ? relu(y) : y
      }
    }
  }
}

extension Workload {
  /// A step of stochastic gradient descent on a network of dense layers, 784 to 512 to 256 to 10, in batches of 128.
  static let multilayerPerceptron = Workload(name: "mlp_train") { MultilayerPerceptron.training().execution }

  /// The same with products in bfloat16.
  static let multilayerPerceptronInBFloat16 = Workload(name: "mlp_train_bf16") {
    MultilayerPerceptron.training().inBFloat16().execution
  }
}

extension RandomArrays {
  /// Eight batches of normal examples and labels.
  mutating func batches(
    _ shape: [Int], size: Int? = nil, classes: Int32, count: Int = 8
  ) -> [(examples: Tensor, labels: Tensor)] {
    (0..<count).map { _ in
      let examples = normal(shape)
      return (examples, integers(below: classes, [size ?? shape[0]]))
    }
  }
}

/// x · w + b.
func dense(_ x: Output, _ weights: [String: Output], _ matrix: String, _ bias: String) -> Output {
  guard let w = weights[matrix], let b = weights[bias] else {
    preconditionFailure("the model has no weights \(matrix) and \(bias)")
  }
  return biasAdd(matMul(x, w), b)
}
