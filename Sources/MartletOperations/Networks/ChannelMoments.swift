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

  /// The mean and the variance of each channel, in one pass over the elements.
  ///
  /// Sums of the differences from a value that is near the channel's mean, and of their squares: unlike those of the
  /// elements themselves, they lose next to nothing where the mean is large beside the deviation (Chan, Golub and LeVeque,
  /// "Algorithms for computing the sample variance", 1983). The value is the median of three elements inside the images, so
  /// that one that is far off, or a border, does not count.
  func moments(_ b: inout StageBuilder, _ name: String) -> (mean: Source, variance: Source) {
    let (type, others, extents, axis, count) = (type, others, extents, axis, count)
    let zero = b.scalars.constant(0, type)
    func shift(_ b: inout ScalarBuilder, _ channel: Scalar) -> Scalar {
      if count == 0 { return b.constant(0, type) }
      let three = (1...3).map { quarter in
        b.load(
          .input(0), type, at: (0..<4).map { $0 == axis ? channel : b.integer(extents[$0] * quarter / 4) })
      }
      let (low, high) = (b.minimum(three[0], three[1]), b.maximum(three[0], three[1]))
      return b.maximum(low, b.minimum(high, three[2]))
    }
    func stage(
      _ name: String, _ finish: (inout ScalarBuilder, _ shift: Scalar, _ mean: Scalar, _ square: Scalar) -> Scalar
    )
      -> Source
    {
      b.reduce(
        name, type, channels, over: others.map { extents[$0] }, initial: [zero, zero],
        step: { b, state, channel, inner in
          let x = b.load(.input(0), type, at: interleaved(channel, inner, others, rank: 4, keepDims: false))
          let difference = b.subtract(x, shift(&b, channel[0]))
          return [b.add(state[0], difference), b.add(state[1], b.multiply(difference, difference))]
        }, merge: { b, state, other in [b.add(state[0], other[0]), b.add(state[1], other[1])] },
        finish: { b, state in
          let count = b.constant(Double(count), type)
          return finish(&b, shift(&b, b.axis(0)), b.divide(state[0], count), b.divide(state[1], count))
        })
    }
    return (
      stage(name + "/mean") { b, shift, mean, _ in b.add(shift, mean) },
      stage(name + "/variance") { b, _, mean, square in
        // Rounding may leave less than nothing.
        b.maximum(b.subtract(square, b.multiply(mean, mean)), b.constant(0, type))
      }
    )
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
