import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Pooling of images, or its gradient.
protocol PoolingOperation: WindowedOperation {
  /// The extents of the window, in the order of the data format.
  var ksize: [Int] { get set }
}

extension PoolingOperation {
  init(ksize: [Int], window: Window) {
    self.init()
    (self.ksize, self.window) = (ksize, window)
  }

  /// The attributes of average pooling, which has no explicit padding.
  static var commonAttributes: AttributeTable<Self> {
    [
      AttributeField("ksize", \Self.ksize), AttributeField("strides", \Self.window.strides),
      AttributeField("padding", \Self.window.padding), AttributeField("data_format", \Self.window.dataFormat),
    ]
  }
  static var maximumAttributes: AttributeTable<Self> {
    var table = commonAttributes
    table.fields.append(AttributeField("explicit_paddings", \Self.window.explicitPaddings))
    return table
  }

  /// The shape of the result of pooling images of a shape.
  func outputShape(_ image: Shape, _ operand: String) throws(Diagnostic) -> Shape {
    let format = try window.checkedFormat()
    try Window.check(ksize, "ksize", format)
    let (height, width) = format.imageAxes
    let rows = try pooled(height, image[height], operand)
    let columns = try pooled(width, image[width], operand)
    return Shape(format.arranged(image[0], rows, columns, image[format.channelAxis]))
  }

  private func pooled(_ axis: Int, _ input: Dimension, _ operand: String) throws(Diagnostic) -> Dimension {
    let geometry = try window.geometry(axis, input: input, kernel: Dimension(ksize[axis]), operand: operand)
    if window.padding == "EXPLICIT" {
      // A window that lies on nothing but padding has no maximum.
      for padding in [geometry.before, geometry.after].compactMap(\.known) where padding >= ksize[axis] {
        throw Diagnostic(
          "attribute 'explicit_paddings' is too large", required: "less than the window's \(ksize[axis])",
          found: "\(padding)")
      }
    }
    return geometry.output
  }

  func contract(
    _ role: Pooling.Role, _ kind: Pooling.Kind, _ type: ElementType, image: [Int], output: [Int]
  ) throws(Diagnostic) -> Pooling {
    let format = try window.checkedFormat()
    let (height, width) = format.imageAxes
    func padding(_ axis: Int) throws(Diagnostic) -> (Int, Int) {
      let geometry = try window.geometry(
        axis, input: Dimension(image[axis]), kernel: Dimension(ksize[axis]), operand: "input")
      return (geometry.before.known ?? 0, geometry.after.known ?? 0)
    }
    let vertical = try padding(height)
    let horizontal = try padding(width)
    return Pooling(
      role: role, kind: kind, elementType: type, isChannelsFirst: format == .nchw, batch: image[0],
      channels: image[format.channelAxis], input: (image[height], image[width]),
      output: (output[height], output[width]), kernel: (ksize[height], ksize[width]),
      strides: (window.strides[height], window.strides[width]),
      padding: (vertical.0, vertical.1, horizontal.0, horizontal.1))
  }
}

/// The parts that the stages of pooling share.
struct PoolingStages {
  let contract: Pooling
  let rows: WindowAxis
  let columns: WindowAxis
  private let format: DataFormat

  init(_ contract: Pooling) {
    self.contract = contract
    format = contract.isChannelsFirst ? .nchw : .nhwc
    rows = WindowAxis(
      input: contract.inputHeight, output: contract.outputHeight, kernel: contract.kernelHeight,
      stride: contract.strideHeight, dilation: 1, before: contract.paddingTop)
    columns = WindowAxis(
      input: contract.inputWidth, output: contract.outputWidth, kernel: contract.kernelWidth,
      stride: contract.strideWidth, dilation: 1, before: contract.paddingLeft)
  }

  var kernel: [Int] { [contract.kernelHeight, contract.kernelWidth] }
  var imageExtents: [Int] {
    format.arranged(contract.batch, contract.inputHeight, contract.inputWidth, contract.channels)
  }
  var outputExtents: [Int] {
    format.arranged(contract.batch, contract.outputHeight, contract.outputWidth, contract.channels)
  }

  /// The row and column of an index.
  func position(_ axes: [Scalar]) -> (row: Scalar, column: Scalar) {
    let (height, width) = format.imageAxes
    return (axes[height], axes[width])
  }
  /// An index with another row and column.
  func moved(_ axes: [Scalar], _ row: Scalar, _ column: Scalar) -> [Scalar] {
    format.arranged(axes[0], row, column, axes[format.channelAxis])
  }

  /// The maxima over the windows.
  func maximum(_ b: inout StageBuilder, _ image: Source, _ name: String) -> Source {
    let type = contract.elementType
    return b.reduce(name, type, outputExtents, over: kernel, .maximum) { b, axes, inner in
      let (y, x) = position(axes)
      let row = rows.input(&b, at: y, offset: inner[0])
      let column = columns.input(&b, at: x, offset: inner[1])
      let isInside = both(&b, row, column)
      let pixel = b.load(image, type, at: moved(axes, row.index, column.index), if: isInside)
      guard let isInside else { return pixel }
      return b.select(isInside, pixel, b.lowest(type))
    }
  }

  /// For each window the place of its first maximum, row · width + column; the highest number if all is NaN.
  func firstMaximum(_ b: inout StageBuilder, _ image: Source, _ name: String) -> Source {
    let type = contract.elementType
    func better(_ b: inout ScalarBuilder, _ state: [Scalar], _ other: [Scalar]) -> [Scalar] {
      let isEarlier = b.and(b.equal(other[0], state[0]), b.less(other[1], state[1]))
      let isTaken = b.or(b.greater(other[0], state[0]), isEarlier)
      return [b.select(isTaken, other[0], state[0]), b.select(isTaken, other[1], state[1])]
    }
    let start = [b.scalars.lowest(type), b.scalars.highest(.int64)]
    return b.reduce(name, .int64, outputExtents, over: kernel, initial: start) { b, state, axes, inner in
      let (y, x) = position(axes)
      let row = rows.input(&b, at: y, offset: inner[0])
      let column = columns.input(&b, at: x, offset: inner[1])
      let isInside = both(&b, row, column)
      let pixel = b.load(image, type, at: moved(axes, row.index, column.index), if: isInside)
      let place = b.add(b.multiply(row.index, b.integer(contract.inputWidth)), column.index)
      guard let isInside else { return better(&b, state, [pixel, place]) }
      return better(
        &b, state,
        [b.select(isInside, pixel, b.lowest(type)), b.select(isInside, place, b.highest(.int64))])
    } merge: { b, state, other in
      better(&b, state, other)
    } finish: { _, state in
      state[1]
    }
  }

  /// The sum over all windows that a pixel lies in of what `part` gives for the window's index.
  func gathered(
    _ b: inout StageBuilder, _ name: String,
    _ part: (inout ScalarBuilder, _ pixel: [Scalar], _ window: [Scalar], _ isInside: Scalar?) -> Scalar
  ) -> Source {
    b.reduce(name, contract.elementType, imageExtents, over: kernel, .sum) { b, axes, inner in
      let (y, x) = position(axes)
      let row = rows.output(&b, reaching: y, offset: inner[0])
      let column = columns.output(&b, reaching: x, offset: inner[1])
      return part(&b, axes, moved(axes, row.index, column.index), both(&b, row, column))
    }
  }

  /// The number of pixels under a window, padding left out.
  func count(_ b: inout ScalarBuilder, _ window: [Scalar]) -> Scalar {
    func covered(_ b: inout ScalarBuilder, _ axis: WindowAxis, _ position: Scalar) -> Scalar {
      let start = b.subtract(b.multiply(position, b.integer(axis.stride)), b.integer(axis.before))
      let end = b.minimum(b.add(start, b.integer(axis.kernel)), b.integer(axis.input))
      return b.subtract(end, b.maximum(start, b.integer(0)))
    }
    let (y, x) = position(window)
    let all = b.multiply(covered(&b, rows, y), covered(&b, columns, x))
    return b.cast(all, to: contract.elementType)
  }
}
