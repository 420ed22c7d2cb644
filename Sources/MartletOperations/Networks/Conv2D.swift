import MartletGraph
import MartletTensors

/// A two-dimensional convolution of images with filters [height, width, in, out], as networks use the word: the filter is
/// not mirrored. Where the images have a multiple of the filters' input channels, it is grouped.
public struct Conv2D: ConvolutionOperation {
  public var window = Window()
  public init() {}
  public init(_ window: Window) { self.window = window }
  public static let schema = Schema(
    "Conv2D", inputs: ["input": "T", "filter": "T"], outputs: ["output": "T"], types: ["T": .signed])
  static var role: Convolution.Role { .forward }
  static var isDepthwise: Bool { false }
}

/// The gradient of `Conv2D` with respect to its images, whose shape `input_sizes` gives: a transposed convolution.
public struct Conv2DBackpropInput: ConvolutionOperation {
  public var window = Window()
  public init() {}
  public init(_ window: Window) { self.window = window }
  public static let schema = Schema(
    "Conv2DBackpropInput", inputs: ["input_sizes": "int32", "filter": "T", "out_backprop": "T"],
    outputs: ["output": "T"], types: ["T": .signed])
  static var role: Convolution.Role { .backwardData }
  static var isDepthwise: Bool { false }
}

/// The gradient of `Conv2D` with respect to its filters, whose shape `filter_sizes` gives.
public struct Conv2DBackpropFilter: ConvolutionOperation {
  public var window = Window()
  public init() {}
  public init(_ window: Window) { self.window = window }
  public static let schema = Schema(
    "Conv2DBackpropFilter", inputs: ["input": "T", "filter_sizes": "int32", "out_backprop": "T"],
    outputs: ["output": "T"], types: ["T": .signed])
  static var role: Convolution.Role { .backwardFilter }
  static var isDepthwise: Bool { false }
}

/// The convolution of images with filters.
///
/// ```swift
/// let y = conv2D(images, filter, strides: 2, padding: .same)  // [n, 28, 28, 1], [5, 5, 1, 32] → [n, 14, 14, 32]
/// ```
///
/// - Parameters:
///   - images: four dimensions in the order of `dataFormat`.
///   - filter: [height, width, in, out].
public func conv2D(
  _ images: Output, _ filter: Output, strides: PerDimension = 1, padding: Padding, dilations: PerDimension = 1,
  dataFormat: DataFormat = .nhwc, name: String? = nil
) -> Output {
  let window = Window(strides: strides, padding: padding, dilations: dilations, dataFormat: dataFormat)
  return images.graph.addOne(Conv2D(window), [images, filter], name: name)
}

/// The transposed convolution: what the gradient of `conv2D` with respect to its images computes.
///
/// - Parameters:
///   - filter: [height, width, out, in]: the filter of the convolution that is transposed.
///   - outputShape: the shape of the result, a vector of four `int32`.
public func conv2DTranspose(
  _ images: Output, _ filter: Output, outputShape: Output, strides: PerDimension = 1, padding: Padding,
  dilations: PerDimension = 1, dataFormat: DataFormat = .nhwc, name: String? = nil
) -> Output {
  let window = Window(strides: strides, padding: padding, dilations: dilations, dataFormat: dataFormat)
  return images.graph.addOne(Conv2DBackpropInput(window), [outputShape, filter, images], name: name)
}
