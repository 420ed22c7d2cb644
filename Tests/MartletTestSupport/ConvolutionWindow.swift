import Martlet
import Testing

/// A convolution's extents and attributes.
public struct ConvolutionWindow: CustomTestStringConvertible, Sendable {
  public var height: Int
  public var width: Int
  public var inputs: Int
  public var outputs: Int
  public var kernel: Int
  public var stride: Int
  public var dilation: Int
  public var padding: Padding
  public var format: DataFormat

  public init(
    height: Int, width: Int, inputs: Int, outputs: Int, kernel: Int, stride: Int = 1, dilation: Int = 1,
    padding: Padding = .same, format: DataFormat = .nhwc
  ) {
    (self.height, self.width, self.inputs, self.outputs) = (height, width, inputs, outputs)
    (self.kernel, self.stride, self.dilation) = (kernel, stride, dilation)
    (self.padding, self.format) = (padding, format)
  }

  public var testDescription: String {
    "\(height)×\(width), \(inputs)→\(outputs), \(kernel)×\(kernel), stride \(stride), dilation \(dilation), "
      + "\(padding), \(format)"
  }

  /// The shape of an array of images.
  public func shape(_ batch: Int, _ channels: Int) -> [Int] {
    format == .nhwc ? [batch, height, width, channels] : [batch, channels, height, width]
  }
}
