import MartletGraph

/// A convolution by small square filters with stride 1, or one of its gradients: what is read, what is written, and how the work is
/// cut up.
///
/// The gradient of the image is a convolution with the filter turned around. The gradient of the filter is laid out as the
/// forward convolution is.
struct WinogradShape {
  /// Images in NHWC.
  struct Images {
    var height: Int
    var width: Int
    var channels: Int
  }
  let basis: WinogradBasis
  let batch: Int
  let source: Images
  let result: Images
  /// The rows and columns of zeros before the source.
  let padding: (top: Int, left: Int)
  let isTurned: Bool
  let epilogue: Epilogue

  /// How many tiles of results each image has along its axes.
  let tiles: (rows: Int, columns: Int)
  /// A tile's products are made in blocks of so many tiles.
  let blockTiles: Int
  let blockCount: Int
  /// Whether the team shares each step of a block, instead of dealing blocks.
  let isShared: Bool
  /// How many parts the sum over the tiles has, of the gradient of a filter.
  let sumCount: Int
  /// So many channels of the result are made at once.
  let panelWidth: Int
  /// Channels in a vector.
  let lanes: Int

  var tileCount: Int { batch * tiles.rows * tiles.columns }
  var panelCount: Int { result.channels / panelWidth }

  /// Nil for what is no such convolution.
  init?(_ c: Convolution, vectorBytes: Int, workers: Int) {
    guard c.elementType == .float32, !c.isChannelsFirst, c.groups == 1, !c.isDepthwise,
      c.kernelHeight == c.kernelWidth, let basis = WinogradBasis(weights: c.kernelHeight),
      (c.strideHeight, c.strideWidth) == (1, 1), (c.dilationHeight, c.dilationWidth) == (1, 1), vectorBytes >= 32
    else { return nil }
    self.basis = basis
    batch = c.batch
    isTurned = c.role == .backwardData
    epilogue = c.role == .forward ? c.epilogue : Epilogue()
    let input = Images(height: c.inputHeight, width: c.inputWidth, channels: c.inputChannels)
    let output = Images(height: c.outputHeight, width: c.outputWidth, channels: c.outputChannels)
    (source, result) = isTurned ? (output, input) : (input, output)
    let last = basis.weights - 1
    padding = isTurned ? (last - c.paddingTop, last - c.paddingLeft) : (c.paddingTop, c.paddingLeft)
    let lanes = vectorBytes / 4
    self.lanes = lanes
    guard source.channels % lanes == 0, result.channels % lanes == 0, min(source.channels, result.channels) > 0,
      epilogue.activation?.isPiecewiseLinear ?? true
    else { return nil }
    panelWidth = RegisterTiles.width(columns: result.channels, lanes: lanes)
    let size = basis.results
    tiles = ((result.height + size - 1) / size, (result.width + size - 1) / size)
    let count = batch * tiles.rows * tiles.columns
    guard count > 0, source.height > 0, source.width > 0 else { return nil }
    sumCount = Self.sumCount(c, tiles: count, weights: source.channels * result.channels)
    if c.role == .backwardFilter {
      // The order of the sum must not depend on the number of threads.
      isShared = sumCount == 1
      let most = sumCount * (isShared ? Self.mostSharedTiles : Self.mostSummedTiles)
      let rounds = (count + most - 1) / most
      blockTiles = (count + sumCount * rounds - 1) / (sumCount * rounds)
      blockCount = (count + blockTiles - 1) / blockTiles
    } else if count < workers * Self.fewestTiles {
      isShared = true
      blockTiles = count
      blockCount = 1
    } else {
      isShared = false
      let rounds = (count + workers * Self.mostTiles - 1) / (workers * Self.mostTiles)
      blockTiles = (count + workers * rounds - 1) / (workers * rounds)
      blockCount = (count + blockTiles - 1) / blockTiles
    }
  }

  /// A block has so many tiles, as far as there are so many: few enough for their products to stay in cache, many enough
  /// for each weight that is read.
  private static let (fewestTiles, mostTiles) = (32, 64)
  /// The same for the gradient of a filter, where the team shares each step and where it does not.
  private static let (mostSharedTiles, mostSummedTiles) = (128, 32)

  /// Small filters are summed up several times, over some of the tiles each, so that nothing but the sums goes from
  /// one worker to others.
  private static func sumCount(_ c: Convolution, tiles: Int, weights: Int) -> Int {
    c.role == .backwardFilter && weights <= 1 << 12 && tiles >= 8 * mostSummedTiles ? 8 : 1
  }

  /// Whether this is faster than the direct sum: where each weight is used often enough for its being read and
  /// moved.
  var isWorthwhile: Bool { min(source.channels, result.channels) >= 32 && tileCount >= 8 }

  /// Elements from one product's matrix to the next's. They start in different sets of a cache.
  var filterStride: Int { source.channels * result.channels + 16 }
  var sourceStride: Int { blockTiles * source.channels + 16 }
  var resultStride: Int { blockTiles * result.channels + 16 }
  private static let productCount = WinogradBasis.products * WinogradBasis.products
  /// Bytes of a worker's memory for what is half moved, to the basis and from it, or of two operands.
  var halfBytes: Int { 2 * 4 * Self.productCount * lanes }
  var filterElements: Int { Self.productCount * filterStride }
  var sourceElements: Int { Self.productCount * sourceStride }
  var resultElements: Int { Self.productCount * resultStride }
}
