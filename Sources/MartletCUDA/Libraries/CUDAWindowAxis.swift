/// One direction of a convolution: how its windows are said to a library that knows only padding that is the same on both
/// sides, and derives the number of windows from it.
struct CUDAWindowAxis: Hashable, Sendable {
  /// The extent that the library is given.
  var extent: Int
  /// The padding that the library is given.
  var padding: Int
  /// Where the image begins in an image with zeros around it; 0 where the image stays as it is.
  var offset: Int

  /// Nil where the padding is negative, or the windows are not those of such an image.
  init?(
    input: Int, output: Int, kernel: Int, stride: Int, dilation: Int, before: Int, after: Int
  ) {
    guard before >= 0, after >= 0, stride > 0 else { return nil }
    let reach = (kernel - 1) * dilation + 1
    func windows(_ extent: Int) -> Int { extent < reach ? 0 : (extent - reach) / stride + 1 }
    // Windows begin where they should, and there are as many: what is behind the image does not matter then.
    if windows(input + 2 * before) == output {
      (extent, padding, offset) = (input, before, 0)
    } else if windows(input + before + after) == output {
      (extent, padding, offset) = (input + before + after, 0, before)
    } else {
      return nil
    }
  }
}
