import MartletGraph
import MartletLoopIR
import MartletTensors

/// Sums over all but the channels of images, as stages; operand 0 has the images' shape.
struct ChannelStages {
  let type: ElementType
  let extents: [Int]
  let axis: Int
  let epsilon: Double

  init(_ l: LoweringContext, _ dataFormat: String, _ epsilon: Float) {
    type = l.results[0].elementType
    extents = l.operandShape(0)
    axis = dataFormat == DataFormat.nchw.rawValue ? 1 : 3
    self.epsilon = Double(epsilon)
  }

  var channels: [Int] { [extents[axis]] }
  private var others: [Int] { (0..<4).filter { $0 != axis } }
  /// The number of elements in a channel.
  var count: Int { others.map { extents[$0] }.reduce(1, *) }

  func sum(
    _ b: inout StageBuilder, _ name: String, _ element: (inout ScalarBuilder, [Scalar]) -> Scalar,
    finish: (inout ScalarBuilder, Scalar) -> Scalar = { $1 }
  ) -> Source {
    let others = others
    return b.reduce(
      name, type, channels, over: others.map { extents[$0] }, .sum,
      { b, channel, inner in element(&b, interleaved(channel, inner, others, rank: 4, keepDims: false)) },
      finish: finish)
  }

  func mean(
    _ b: inout StageBuilder, _ name: String, _ element: (inout ScalarBuilder, [Scalar]) -> Scalar
  ) -> Source {
    sum(&b, name, element) { b, total in b.divide(total, b.constant(Double(count), type)) }
  }

  /// `1 / √(variance + ε)` of a channel.
  func inverseDeviation(_ b: inout ScalarBuilder, _ variance: Source, _ channel: [Scalar]) -> Scalar {
    b.rsqrt(b.add(b.load(variance, type, at: channel), b.constant(epsilon, type)))
  }
}

/// The same written in operations, for gradients.
struct ChannelMoments {
  let x: Output
  private let isChannelsFirst: Bool

  init(_ x: Output, _ dataFormat: String) {
    self.x = x
    isChannelsFirst = dataFormat == DataFormat.nchw.rawValue
  }

  /// The sum over all but the channels.
  func sum(_ value: Output) -> Output { MartletOperations.sum(value, axes: isChannelsFirst ? [0, 2, 3] : [0, 1, 2]) }

  /// A vector of channels in a shape that broadcasts against images.
  func spread(_ vector: Output) -> Output { isChannelsFirst ? reshape(vector, [-1, 1, 1]) : vector }

  func centred(_ mean: Output) -> Output { x - spread(mean) }

  /// The number of elements in a channel, in the images' element type.
  func count() -> Output {
    let axis = isChannelsFirst ? 1 : 3
    if let all = x.shape.elementCount?.known, let channels = x.shape[axis].known, channels > 0 {
      return x.scalar(Double(all / channels))
    }
    let vector = shapeVector(of: x)
    let channels = maximum(vector[axis], vector.integer(1))
    return cast(floorDivide(size(of: x), channels), to: x.elementType)
  }

  /// n / (n - 1), which makes the mean square an unbiased estimate of the variance.
  func besselFactor() -> Output {
    let n = count()
    return n / maximum(n - 1, x.scalar(1))
  }

  /// The gradient of the mean, given its upstream.
  func meanGradient(_ upstream: Output) -> Output {
    broadcast(spread(upstream / count()), to: shapeVector(of: x))
  }

  /// The gradient of the variance around `mean`, given its upstream.
  func varianceGradient(_ upstream: Output, _ mean: Output) -> Output {
    centred(mean) * spread(upstream * 2 / count())
  }
}
