import MartletGraph
import MartletOperations
import MartletTensors

/// Samples of operations of neural networks.
func networkSamples() -> [(String, [ContractSample])] {
  convolutionSamples() + poolingSamples() + normalizationSamples() + recurrentSamples() + [
    (
      "BiasAdd",
      [
        ContractSample([sample(2, 3), sample(3, seed: 2)], one: { biasAdd($0[0], $0[1]) }),
        ContractSample([sample(2, 3, 2), sample(3, seed: 2)], one: { biasAdd($0[0], $0[1], dataFormat: .nchw) }),
      ]
    ),
    (
      "BiasAddGrad",
      [
        ContractSample([sample(2, 3)], { try apply("BiasAddGrad", [:], $0) }),
        ContractSample([sample(2, 3, 2)], { try apply("BiasAddGrad", ["data_format": .text("NCHW")], $0) }),
      ]
    ),
    ("Softmax", [ContractSample([distinct(2, 3)], one: { softmax($0[0]) })]),
    ("LogSoftmax", [ContractSample([distinct(2, 3)], one: { logSoftmax($0[0]) })]),
    (
      "SoftmaxCrossEntropyWithLogits",
      [
        // The gradient holds for labels that add up to 1, as those of a softmax do.
        ContractSample([distinct(2, 3), sample(2, 3)]) { x in
          x[0].graph.add(SoftmaxCrossEntropyWithLogits(), [x[0], softmax(x[1])])
        }
      ]
    ),
    (
      "SparseSoftmaxCrossEntropyWithLogits",
      [
        ContractSample([distinct(2, 3)]) { x in
          x[0].graph.add(SparseSoftmaxCrossEntropyWithLogits(), [x[0], x[0].graph.constant([2, 0])])
        }
      ]
    ),
  ]
}

private func convolutionSamples() -> [(String, [ContractSample])] {
  let image = distinct(1, 4, 3, 2)
  let planes = distinct(1, 2, 4, 3)
  let filter = sample(2, 2, 2, 2)
  let strided: KeyValuePairs<String, AttributeValue> = [
    "strides": .list([.int(1), .int(2), .int(1), .int(1)]), "padding": .text("SAME"),
  ]
  func gradients(_ prefix: String) -> [(String, [ContractSample])] {
    let output = prefix == "Conv2D" ? sample(1, 2, 3, 2, seed: 3) : sample(1, 2, 3, 4, seed: 3)
    return [
      (
        "\(prefix)BackpropInput",
        [
          ContractSample([filter, output]) { x in
            try apply("\(prefix)BackpropInput", strided, [x[0].graph.constant([1, 4, 3, 2]), x[0], x[1]])
          }
        ]
      ),
      (
        "\(prefix)BackpropFilter",
        [
          ContractSample([image, output]) { x in
            try apply("\(prefix)BackpropFilter", strided, [x[0], x[0].graph.constant([2, 2, 2, 2]), x[1]])
          }
        ]
      ),
    ]
  }
  return [
    (
      "Conv2D",
      [
        ContractSample([image, filter], one: { conv2D($0[0], $0[1], strides: [2, 1], padding: .same) }),
        ContractSample([planes, filter], one: { conv2D($0[0], $0[1], padding: .valid, dataFormat: .nchw) }),
        ContractSample(
          [image, filter],
          one: {
            conv2D(
              $0[0], $0[1], padding: .explicit(top: 1, bottom: 0, left: 0, right: 1), dilations: [2, 1])
          }),
        ContractSample([image, sample(2, 2, 1, 4)], one: { conv2D($0[0], $0[1], padding: .same) }),
      ]
    ),
    (
      "DepthwiseConv2dNative",
      [
        ContractSample([image, filter], one: { depthwiseConv2D($0[0], $0[1], strides: 2, padding: .same) }),
        ContractSample(
          [planes, filter], one: { depthwiseConv2D($0[0], $0[1], padding: .valid, dataFormat: .nchw) }),
      ]
    ),
  ] + gradients("Conv2D") + gradients("DepthwiseConv2dNative")
}

private func poolingSamples() -> [(String, [ContractSample])] {
  let image = distinct(1, 3, 4, 2)
  let window: KeyValuePairs<String, AttributeValue> = [
    "ksize": .list([.int(1), .int(2), .int(3), .int(1)]), "strides": .list([.int(1), .int(2), .int(2), .int(1)]),
    "padding": .text("SAME"),
  ]
  return [
    (
      "MaxPool",
      [
        ContractSample([image], one: { maxPool($0[0], size: [2, 3], strides: [2, 1], padding: .same) }),
        ContractSample([distinct(1, 2, 3, 4)], one: { maxPool($0[0], size: 2, strides: 1, dataFormat: .nchw) }),
        ContractSample(
          [image],
          one: { maxPool($0[0], size: 2, strides: 2, padding: .explicit(top: 1, bottom: 0, left: 0, right: 1)) }),
      ]
    ),
    // The images only choose places, so they stand still.
    (
      "MaxPoolGrad",
      [
        ContractSample([sample(1, 2, 2, 2)]) { x in
          let images = x[0].graph.constant(image)
          return try apply("MaxPoolGrad", window, [images, try apply("MaxPool", window, [images])[0], x[0]])
        }
      ]
    ),
    (
      "MaxPoolGradGrad",
      [
        ContractSample([sample(1, 3, 4, 2)]) { x in
          let images = x[0].graph.constant(image)
          return try apply("MaxPoolGradGrad", window, [images, try apply("MaxPool", window, [images])[0], x[0]])
        }
      ]
    ),
    (
      "AvgPool",
      [
        ContractSample([image], one: { avgPool($0[0], size: [2, 3], strides: [2, 1], padding: .same) }),
        ContractSample([distinct(1, 2, 3, 4)], one: { avgPool($0[0], size: 2, dataFormat: .nchw) }),
      ]
    ),
    (
      "AvgPoolGrad",
      [
        ContractSample([sample(1, 2, 2, 2)]) { x in
          try apply("AvgPoolGrad", window, [x[0].graph.constant([1, 3, 4, 2]), x[0]])
        }
      ]
    ),
  ]
}

private func normalizationSamples() -> [(String, [ContractSample])] {
  let image = distinct(2, 2, 1, 2)
  let planes = distinct(2, 2, 2, 1)
  let vectors = (2...5).map { sample(2, seed: $0) }
  func normalized(_ attributes: KeyValuePairs<String, AttributeValue>) -> @Sendable ([Output]) throws -> [Output] {
    { x in Array(try apply("FusedBatchNormV3", attributes, x)) }
  }
  func gradient(_ isTraining: Bool, _ format: String) -> @Sendable ([Output]) throws -> [Output] {
    { x in
      let nothing = x[0].graph.constant([Double]())
      let operands = x + [cast(nothing, to: .float64)]
      let attributes: KeyValuePairs<String, AttributeValue> = [
        "is_training": .bool(isTraining), "data_format": .text(format),
      ]
      return Array(try apply("FusedBatchNormGradV3", attributes, operands).prefix(3))
    }
  }
  return [
    (
      "FusedBatchNormV3",
      [
        ContractSample(
          [image] + vectors, normalized(["epsilon": .float(0.1), "exponential_avg_factor": .float(0.25)])),
        ContractSample([planes] + vectors, normalized(["is_training": .bool(false), "data_format": .text("NCHW")])),
      ]
    ),
    (
      "FusedBatchNormGradV3",
      [
        ContractSample([sample(2, 2, 1, 2), image, vectors[0], vectors[1], vectors[2]], gradient(true, "NHWC")),
        ContractSample([sample(2, 2, 2, 1), planes, vectors[0], vectors[1], vectors[2]], gradient(false, "NCHW")),
      ]
    ),
  ]
}
