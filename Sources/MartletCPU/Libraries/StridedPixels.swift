import MartletGraph

/// The pixels that a convolution by 1×1 filters with strides reads, numbered as those of its result are.
struct StridedPixels: Sendable {
  /// The extents of the result and of the image in pixels.
  private let result: (height: Int, width: Int)
  private let image: (height: Int, width: Int)
  private let strides: (height: Int, width: Int)
  private let channels: Int

  init(_ c: Convolution) {
    result = (c.outputHeight, c.outputWidth)
    image = (c.inputHeight, c.inputWidth)
    strides = (c.strideHeight, c.strideWidth)
    channels = c.inputChannels
  }

  /// Writes a range of the channels of some pixels one pixel behind the other.
  func gather(
    _ pixels: Range<Int>, _ range: Range<Int>, of images: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>
  ) {
    var to = target
    for pixel in pixels {
      let (line, x) = pixel.quotientAndRemainder(dividingBy: result.width)
      let (number, y) = line.quotientAndRemainder(dividingBy: result.height)
      let place = (number * image.height + y * strides.height) * image.width + x * strides.width
      to.update(from: images + place * channels + range.lowerBound, count: range.count)
      to += range.count
    }
  }
}
