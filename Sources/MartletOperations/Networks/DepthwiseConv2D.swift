import MartletGraph
import MartletTensors

/// A convolution of each channel with filters of its own, [height, width, channels, multiplier]: output channel
/// `c · multiplier + q` is channel c convolved with filter q.
public struct DepthwiseConv2dNative: ConvolutionOperation {
  public var window = Window()
  public init() {}
  public init(_ window: Window) { self.window = window }
  public static let schema = Schema(
    "DepthwiseConv2dNative", inputs: ["input": "T", "filter": "T"], outputs: ["output": "T"], types: ["T": .signed])
  static var role: Convolution.Role { .forward }
  static var isDepthwise: Bool { true }
}

/// The gradient of `DepthwiseConv2dNative` with respect to its images, whose shape `input_sizes` gives.
public struct DepthwiseConv2dNativeBackpropInput: ConvolutionOperation {
  public var window = Window()
  public init() {}
  public init(_ window: Window) { self.window = window }
  public static let schema = Schema(
    "DepthwiseConv2dNativeBackpropInput", inputs: ["input_sizes": "int32", "filter": "T", "out_backprop": "T"],
    outputs: ["output": "T"], types: ["T": .signed])
  static var role: Convolution.Role { .backwardData }
  static var isDepthwise: Bool { true }
}

/// The gradient of `DepthwiseConv2dNative` with respect to its filters, whose shape `filter_sizes` gives.
public struct DepthwiseConv2dNativeBackpropFilter: ConvolutionOperation {
  public var window = Window()
  public init() {}
  public init(_ window: Window) { self.window = window }
  public static let schema = Schema(
    "DepthwiseConv2dNativeBackpropFilter", inputs: ["input": "T", "filter_sizes": "int32", "out_backprop": "T"],
    outputs: ["output": "T"], types: ["T": .signed])
  static var role: Convolution.Role { .backwardFilter }
  static var isDepthwise: Bool { true }
}

/// The convolution of each channel of images with filters of its own.
///
/// - Parameters:
///   - images: four dimensions in the order of `dataFormat`.
///   - filter: [height, width, channels, multiplier].
public func depthwiseConv2D(
  _ images: Output, _ filter: Output, strides: PerDimension = 1, padding: Padding, dilations: PerDimension = 1,
  dataFormat: DataFormat = .nhwc, name: String? = nil
) -> Output {
  let window = Window(strides: strides, padding: padding, dilations: dilations, dataFormat: dataFormat)
  return images.graph.addOne(DepthwiseConv2dNative(window), [images, filter], name: name)
}
