import MartletGraph
import MartletLoopIR
import MartletTensors

/// What a convolution contract means.
///
/// Filters are [height, width, in / groups, out], or [height, width, in, multiplier] where depthwise.
func convolutionStages(
  _ c: Convolution, _ name: String, _ builder: StageBuilder, _ result: [Int]
) -> StageProgram {
  var b = builder
  let type = c.elementType
  let format: DataFormat = c.isChannelsFirst ? .nchw : .nhwc
  let inPerGroup = c.inputChannels / Swift.max(c.groups, 1)
  let outPerGroup = c.outputChannels / Swift.max(c.groups, 1)
  let rows = WindowAxis(
    input: c.inputHeight, output: c.outputHeight, kernel: c.kernelHeight, stride: c.strideHeight,
    dilation: c.dilationHeight, before: c.paddingTop)
  let columns = WindowAxis(
    input: c.inputWidth, output: c.outputWidth, kernel: c.kernelWidth, stride: c.strideWidth,
    dilation: c.dilationWidth, before: c.paddingLeft)

  /// Channel `member` of the group that channel `other`, counted on the other side, belongs to.
  func channel(_ b: inout ScalarBuilder, _ other: Scalar, per otherSize: Int, _ member: Scalar, of size: Int) -> Scalar
  {
    if c.groups == 1 { return member }
    let group = b.floorDivide(other, b.integer(otherSize))
    return b.add(b.multiply(group, b.integer(size)), member)
  }
  /// The place in its group of a channel.
  func member(_ b: inout ScalarBuilder, _ channel: Scalar, of size: Int) -> Scalar {
    c.groups == 1 ? channel : b.floorModulo(channel, b.integer(size))
  }
  func filterIndices(
    _ b: inout ScalarBuilder, _ i: Scalar, _ j: Scalar, input: Scalar, output: Scalar
  ) -> [Scalar] {
    c.isDepthwise
      ? [i, j, input, member(&b, output, of: outPerGroup)] : [i, j, member(&b, input, of: inPerGroup), output]
  }
  /// Batch, row, column and channel of an index in the data format.
  func split(_ axes: [Scalar]) -> (Scalar, Scalar, Scalar, Scalar) {
    c.isChannelsFirst ? (axes[0], axes[2], axes[3], axes[1]) : (axes[0], axes[1], axes[2], axes[3])
  }

  let stage: Source
  switch c.role {
  case .forward:
    stage = b.reduce(name, type, result, over: [c.kernelHeight, c.kernelWidth, inPerGroup], .sum) { b, axes, inner in
      let (n, y, x, output) = split(axes)
      let input = channel(&b, output, per: outPerGroup, inner[2], of: inPerGroup)
      let row = rows.input(&b, at: y, offset: inner[0])
      let column = columns.input(&b, at: x, offset: inner[1])
      let pixel = b.load(
        .input(0), type, at: format.arranged(n, row.index, column.index, input), if: both(&b, row, column))
      let weight = filterIndices(&b, inner[0], inner[1], input: input, output: output)
      return b.multiply(pixel, b.load(.input(1), type, at: weight))
    }
  case .backwardData:
    stage = b.reduce(name, type, result, over: [c.kernelHeight, c.kernelWidth, outPerGroup], .sum) { b, axes, inner in
      let (n, y, x, input) = split(axes)
      let output = channel(&b, input, per: inPerGroup, inner[2], of: outPerGroup)
      let row = rows.output(&b, reaching: y, offset: inner[0])
      let column = columns.output(&b, reaching: x, offset: inner[1])
      let gradient = b.load(
        .input(2), type, at: format.arranged(n, row.index, column.index, output), if: both(&b, row, column))
      let weight = filterIndices(&b, inner[0], inner[1], input: input, output: output)
      return b.multiply(gradient, b.load(.input(1), type, at: weight))
    }
  case .backwardFilter:
    stage = b.reduce(name, type, result, over: [c.batch, c.outputHeight, c.outputWidth], .sum) { b, axes, inner in
      let output: Scalar
      let input: Scalar
      if c.isDepthwise {
        input = axes[2]
        output = b.add(b.multiply(axes[2], b.integer(outPerGroup)), axes[3])
      } else {
        output = axes[3]
        input = channel(&b, output, per: outPerGroup, axes[2], of: inPerGroup)
      }
      let row = rows.input(&b, at: inner[1], offset: axes[0])
      let column = columns.input(&b, at: inner[2], offset: axes[1])
      let pixel = b.load(
        .input(0), type, at: format.arranged(inner[0], row.index, column.index, input), if: both(&b, row, column))
      let gradient = b.load(.input(2), type, at: format.arranged(inner[0], inner[1], inner[2], output))
      return b.multiply(pixel, gradient)
    }
  }
  return b.finish([stage])
}

/// One dimension of a window that moves over images.
struct WindowAxis {
  var input: Int
  var output: Int
  var kernel: Int
  var stride: Int
  var dilation: Int
  var before: Int

  /// A position, and whether it exists; nil where it always does.
  typealias Place = (index: Scalar, isInside: Scalar?)

  /// The row of the image under row `offset` of the window in its place number `position`.
  func input(_ b: inout ScalarBuilder, at position: Scalar, offset: Scalar) -> Place {
    let start = b.subtract(b.multiply(position, b.integer(stride)), b.integer(before))
    let index = b.add(start, b.multiply(offset, b.integer(dilation)))
    let isAlwaysInside = before == 0 && (output - 1) * stride + (kernel - 1) * dilation < input
    return (index, isAlwaysInside ? nil : inside(&b, index, input))
  }

  /// The place of the window whose row `offset` lies on row `position` of the image.
  func output(_ b: inout ScalarBuilder, reaching position: Scalar, offset: Scalar) -> Place {
    let shifted = b.subtract(b.add(position, b.integer(before)), b.multiply(offset, b.integer(dilation)))
    if stride == 1 { return (shifted, inside(&b, shifted, output)) }
    let index = b.floorDivide(shifted, b.integer(stride))
    let isOnStride = b.equal(b.floorModulo(shifted, b.integer(stride)), b.integer(0))
    return (index, b.and(isOnStride, inside(&b, index, output)))
  }

  private func inside(_ b: inout ScalarBuilder, _ index: Scalar, _ extent: Int) -> Scalar {
    b.and(b.lessEqual(b.integer(0), index), b.less(index, b.integer(extent)))
  }
}

/// Whether both of two places exist; nil where they always do.
func both(_ b: inout ScalarBuilder, _ first: WindowAxis.Place, _ second: WindowAxis.Place) -> Scalar? {
  switch (first.isInside, second.isInside) {
  case (nil, let other), (let other, nil): other
  case (let x?, let y?): b.and(x, y)
  }
}
