import Martlet

/// A small convolutional network: two convolutions with pooling, then two dense layers.
struct Classifier {
  let graph = Graph()
  /// Grey images as they are in the files, `uint8[n, height, width]`.
  let images: Output
  /// The class of each image, to be given in training: `int32[n]`.
  let labels: Output
  /// The length of the steps, to be given in training too.
  let rate: Output
  /// The likeliest class of each image: `int64[n]`.
  let predictions: Output
  /// The mean cross entropy, to be made small.
  let loss: Output
  /// The share of images whose likeliest class is their label.
  let accuracy: Output
  /// Run it for one step of training.
  let train: GraphNode

  init(height: Int, width: Int, classes: Int) {
    // nil: any number of images can be fed.
    images = graph.placeholder(.uint8, shape: [nil, height, width], name: "images")
    labels = graph.placeholder(.int32, shape: [nil], name: "labels")
    rate = graph.placeholder(.float32, shape: [], name: "rate")

    var x = expandDims(cast(images, to: .float32) / 255, axis: -1)
    x = Self.convolution(x, channels: 16, name: "conv1")
    x = Self.convolution(x, channels: 32, name: "conv2")
    // Two poolings have halved the images twice, and rounded up.
    let features = (height + 3) / 4 * ((width + 3) / 4) * 32
    x = relu(Self.dense(reshape(x, [-1, features]), units: 128, name: "dense1"))
    let logits = Self.dense(x, units: classes, name: "dense2")

    predictions = argMax(logits, axis: 1, name: "predictions")
    loss = mean(sparseSoftmaxCrossEntropy(logits: logits, labels: labels), name: "loss")
    accuracy = mean(cast(predictions .== cast(labels, to: .int64), to: .float32), name: "accuracy")
    train = Adam(learningRate: .output(rate)).minimize(loss)
  }

  /// A convolution of 3×3 and a pooling of 2×2.
  private static func convolution(_ x: Output, channels: Int, name: String) -> Output {
    x.graph.withNameScope(name) {
      let filter = x.graph.variable("filter", [3, 3, x.shape[-1].known!, channels], .heNormal)
      let bias = x.graph.variable("bias", [channels], .zeros)
      let y = relu(biasAdd(conv2D(x, filter, padding: .same), bias))
      return maxPool(y, size: 2, strides: 2, padding: .same)
    }
  }

  private static func dense(_ x: Output, units: Int, name: String) -> Output {
    x.graph.withNameScope(name) {
      let weights = x.graph.variable("weights", [x.shape[-1].known!, units], .heNormal)
      let bias = x.graph.variable("bias", [units], .zeros)
      return biasAdd(matMul(x, weights), bias)
    }
  }
}
