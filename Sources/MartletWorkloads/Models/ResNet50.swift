import Martlet

/// The residual network of 50 layers, version 1.5 (strides in the 3×3 convolutions), for images of 224×224.
///
/// He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015.
struct ResNet50 {
  /// How large images and model are; those of the paper by default.
  struct Sizes {
    var blocks = [3, 4, 6, 3]
    /// The channels of the first stage.
    var width = 64
    var extent = 224
    var classes = 1000

    /// The channels behind the last stage.
    fileprivate var features: Int { 4 * width << (blocks.count - 1) }

    /// Every convolution in the order in which its weights are drawn.
    fileprivate var convolutions: [Convolution] {
      var result = [Convolution(name: "conv1", kernel: 7, inputs: 3, outputs: width, stride: 2)]
      var inputs = width
      for (stage, count) in blocks.enumerated() {
        let middle = width << stage
        for block in 0..<count {
          let stride = stage > 0 && block == 0 ? 2 : 1
          let name = "s\(stage)b\(block)"
          func add(_ suffix: String, _ kernel: Int, _ inputs: Int, _ outputs: Int, _ stride: Int) {
            result.append(
              Convolution(name: name + suffix, kernel: kernel, inputs: inputs, outputs: outputs, stride: stride))
          }
          if block == 0 { add("_proj", 1, inputs, middle * 4, stride) }
          add("_1", 1, inputs, middle, 1)
          add("_2", 3, middle, middle, stride)
          add("_3", 1, middle, middle * 4, 1)
          inputs = middle * 4
        }
      }
      return result
    }
  }
  private static let epsilon: Float = 1e-5

  fileprivate struct Convolution {
    let name: String
    let kernel: Int
    let inputs: Int
    let outputs: Int
    let stride: Int
  }

  static func weights(_ sizes: Sizes) -> NamedArrays {
    var g = RandomArrays(seed: 9)
    var weights = NamedArrays()
    for layer in sizes.convolutions {
      let fan = Double(layer.kernel * layer.kernel * layer.inputs)
      let shape = [layer.kernel, layer.kernel, layer.inputs, layer.outputs]
      weights.add(layer.name + "_w", g.normal(shape, deviation: (2 / fan).squareRoot()))
      let scale = layer.name.hasSuffix("_3") ? 0.3 : 1
      weights.add(layer.name + "_g", g.normal([layer.outputs], deviation: 0.05, mean: scale))
      weights.add(layer.name + "_b", g.normal([layer.outputs], deviation: 0.05))
      weights.add(layer.name + "_m", g.normal([layer.outputs], deviation: 0.05))
      let variance = g.uniform([layer.outputs]).scalars(as: Float.self).map { 1 + 0.1 * $0 }
      weights.add(layer.name + "_v", Tensor(variance))
    }
    weights.add("fc_w", g.normal([sizes.features, sizes.classes], deviation: 0.01))
    weights.addZeros("fc_b", sizes.classes)
    return weights
  }

  static func batch(_ size: Int, _ sizes: Sizes) -> [(examples: Tensor, labels: Tensor)] {
    var g = RandomArrays(seed: 10)
    return g.batches([size, sizes.extent, sizes.extent, 3], classes: Int32(sizes.classes), count: 1)
  }

  let weights: [String: Output]
  /// Whether batch normalisation uses the batch's own mean and variance.
  let isTraining: Bool
  private let sizes: Sizes
  /// The batch's mean and variance of each layer, where `isTraining`.
  private(set) var moments: [(layer: String, mean: Output, variance: Output)] = []

  init(_ weights: [String: Output], _ sizes: Sizes, isTraining: Bool) {
    self.weights = weights
    self.sizes = sizes
    self.isTraining = isTraining
  }

  mutating func logits(_ images: Output) -> Output {
    let layers = Dictionary(uniqueKeysWithValues: sizes.convolutions.map { ($0.name, $0) })
    func layer(_ name: String) -> Convolution {
      guard let layer = layers[name] else { preconditionFailure("ResNet-50 has no layer \(name)") }
      return layer
    }
    var x = relu(convolution(images, layer("conv1")))
    x = maxPool(padded(x, by: 1), size: 3, strides: 2, padding: .valid)
    for (stage, count) in sizes.blocks.enumerated() {
      for block in 0..<count {
        let name = "s\(stage)b\(block)"
        let shortcut = block == 0 ? convolution(x, layer(name + "_proj")) : x
        var y = relu(convolution(x, layer(name + "_1")))
        y = relu(convolution(y, layer(name + "_2")))
        x = relu(convolution(y, layer(name + "_3")) + shortcut)
      }
    }
    return dense(mean(x, axes: [1, 2]), weights, "fc_w", "fc_b")
  }

  /// A convolution with batch normalisation.
  private mutating func convolution(_ x: Output, _ layer: Convolution) -> Output {
    func weight(_ suffix: String) -> Output {
      guard let weight = weights[layer.name + suffix] else {
        preconditionFailure("ResNet-50 has no weights \(layer.name + suffix)")
      }
      return weight
    }
    // With strides TensorFlow's SAME is not symmetrical, so the padding is explicit.
    let isPadded = layer.kernel > 1 && layer.stride > 1
    let source = isPadded ? padded(x, by: layer.kernel / 2) : x
    let y = conv2D(source, weight("_w"), strides: PerDimension(layer.stride), padding: isPadded ? .valid : .same)
    guard isTraining else {
      return fusedBatchNorm(
        y, scale: weight("_g"), offset: weight("_b"), mean: weight("_m"), variance: weight("_v"),
        epsilon: Self.epsilon, isTraining: false
      ).y
    }
    let result = fusedBatchNorm(y, scale: weight("_g"), offset: weight("_b"), epsilon: Self.epsilon)
    moments.append((layer.name, result.mean, result.variance))
    return result.y
  }

  private func padded(_ x: Output, by width: Int) -> Output {
    pad(x, [(0, 0), (width, width), (width, width), (0, 0)])
  }
}

extension ResNet50 {
  /// The logits of a batch of images.
  static func inference(batch size: Int, _ sizes: Sizes = Sizes()) -> ForwardModel {
    ForwardModel(feeds: [batch(size, sizes)[0].examples], weights: weights(sizes)) { inputs in
      var network = ResNet50(inputs.weights, sizes, isTraining: false)
      return network.logits(inputs.feeds[0])
    }
  }

  /// Steps of gradient descent with momentum.
  static func training(batch size: Int, _ sizes: Sizes = Sizes()) -> TrainingModel {
    TrainingModel(
      weights: weights(sizes), batches: batch(size, sizes),
      optimizer: Momentum(learningRate: 0.01, momentum: 0.9), checkedStep: 3
    ) { inputs in
      var network = ResNet50(inputs.weights, sizes, isTraining: true)
      let logits = network.logits(inputs.examples)
      for moment in network.moments {
        for (suffix, value) in [("_m", moment.mean), ("_v", moment.variance)] {
          guard let average = inputs.weights[moment.layer + suffix] else { continue }
          inputs.updates.append((average, average * 0.9 + value * (1 - 0.9)))
        }
      }
      return logits
    }
  }
}

extension Workload {
  /// The logits of a batch of images.
  static func resNet50Inference(batch: Int) -> Workload {
    Workload(name: "resnet50_infer_b\(batch)") { ResNet50.inference(batch: batch).builder }
  }

  /// The logits of eight images in bfloat16.
  static let resNet50InferenceInBFloat16 = Workload(name: "resnet50_infer_b8_bf16") {
    ResNet50.inference(batch: 8).inBFloat16().builder
  }

  /// A step of gradient descent with momentum on a batch of 8 images.
  static let resNet50Training = Workload(name: "resnet50_train_b8") { ResNet50.training(batch: 8).execution }
}
