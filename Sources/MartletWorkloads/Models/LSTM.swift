import Martlet

/// A long short-term memory, unrolled, with a dense layer to classes behind the last step.
enum LSTM {
  struct Sizes {
    var cells = 512
    var inputs = 256
    var classes = 128
    var steps = 64
    var batch = 32
  }

  /// Steps of stochastic gradient descent.
  static func training(_ sizes: Sizes = Sizes()) -> TrainingModel {
    let (cells, inputs, classes, steps, batch) = (sizes.cells, sizes.inputs, sizes.classes, sizes.steps, sizes.batch)
    let deviation = 1 / Double(cells).squareRoot()
    var g = RandomArrays(seed: 8)
    var weights = NamedArrays()
    weights.add("wx", g.normal([inputs, 4 * cells], deviation: deviation))
    weights.add("wh", g.normal([cells, 4 * cells], deviation: deviation))
    weights.addZeros("b", 4 * cells)
    weights.add("wo", g.normal([cells, classes], deviation: deviation))
    weights.addZeros("bo", classes)
    let batches = g.batches([steps, batch, inputs], size: batch, classes: Int32(classes))
    return TrainingModel(weights: weights, batches: batches, optimizer: GradientDescent(learningRate: 0.1)) {
      model in
      guard let recurrent = model.weights["wh"] else { preconditionFailure("the model has no weights wh") }
      // The products of all steps' inputs are one product.
      let flat = reshape(model.examples, [steps * batch, inputs])
      let projected = reshape(dense(flat, model.weights, "wx", "b"), [steps, batch, 4 * cells])
      var hidden = fill([batch, cells], with: model.examples.scalar(0))
      var cell = hidden
      for x in unstack(projected, count: steps) {
        let gates = split(x + matMul(hidden, recurrent), into: 4, axis: 1)
        cell = sigmoid(gates[1]) * cell + sigmoid(gates[0]) * tanh(gates[2])
        hidden = sigmoid(gates[3]) * tanh(cell)
      }
      return dense(hidden, model.weights, "wo", "bo")
    }
  }
}

extension Workload {
  /// A step of stochastic gradient descent on a long short-term memory, unrolled: 64 steps of 256 inputs, 512 cells,
  /// batches of 32, and a dense layer to 128 classes behind the last step.
  static let lstmTraining = Workload(name: "lstm_train") { LSTM.training().execution }
}
