import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// The gradient of a 1×1 filter by code of our own: imagesᵀ · gradients, summed over all pixels, of which both are read where
/// they lie.
///
/// A block of pixels, of which images and gradients fit into the second-level cache, is added to all tiles of the filter, while
/// the next is fetched. Small filters are summed up in parts, over some of the pixels each, so that nothing but the sums goes
/// from one worker to others. Parts and blocks are the shape's, not the team's.
final class PointwiseFilterGradient: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let pixelCount: Int
  private let inputs: Int
  private let outputs: Int
  private let blocking: ProductBlocking
  private let tiles: TileSet
  private let strided: StridedPixels?
  /// How many parts the sum has, and how many pixels each but the last.
  private let partCount: Int
  private let partPixels: Int
  /// How many pixels are done before the next.
  private let blockPixels: Int
  private let workers: Int
  /// Where the parts lie in scratch memory, and the pixels that the workers bring together.
  private let offsets: (parts: Int, gathered: Int)

  private static let mostParts = 8
  /// With fewer pixels the tiles are added to too often, or the sum is too short, to be faster than the library.
  private static let fewestBlockPixels = 96
  private static let fewestPixels = 1024

  /// Nil for what is not done so, or not faster.
  init?(_ c: Convolution, _ compiler: TileCompiler, _ machine: TargetMachine, workers: Int) {
    guard c.role == .backwardFilter, c.isPointwise, c.elementType == .float32, compiler.lanes == 16 else { return nil }
    pixelCount = c.batch * c.outputHeight * c.outputWidth
    (inputs, outputs) = (c.inputChannels, c.outputChannels)
    guard pixelCount >= Self.fewestPixels, min(inputs, outputs) >= compiler.lanes else { return nil }
    let elements = Double(inputs) * Double(outputs)
    let isInParts = 4 * Double(Self.mostParts) * elements <= Double(pixelCount) * Double(inputs + outputs)
    partCount = isInParts ? Self.mostParts : 1
    partPixels = (pixelCount + partCount - 1) / partCount
    // A part is one worker's; else two or more share the columns.
    let columns = isInParts ? outputs : outputs / 2
    let most = machine.l2Bytes / 2 / MemoryLayout<Float>.stride / (inputs + columns)
    guard most >= Self.fewestBlockPixels else { return nil }
    blockPixels = ProductBlocking.evenly(partPixels, atMost: most, multipleOf: 1)
    blocking = ProductBlocking(
      m: inputs, n: outputs, k: pixelCount, lanes: compiler.lanes, machine, depth: blockPixels)
    guard
      let tiles = TileSet(blocking, heights: [inputs], isByColumns: true, isRightStrided: true, compiler)
    else { return nil }
    self.tiles = tiles
    self.workers = workers
    strided = c.strideHeight == 1 && c.strideWidth == 1 ? nil : StridedPixels(c)
    var layout = ScratchLayout()
    offsets.parts = layout.add(isInParts ? 4 * partCount * inputs * outputs : 0)
    offsets.gathered = layout.add(strided == nil ? 0 : workers * 4 * blockPixels * inputs)
    scratchBytes = layout.byteCount
  }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    BoundCall(
      { _, slots, data in
        BoundCall.object(PointwiseFilterGradient.self, at: data).run(slots) ? 0 : 1
      }, object: self)
  }

  /// What the workers are told.
  private struct Operands {
    var execution: Unmanaged<PointwiseFilterGradient>
    var images: UnsafePointer<Float>
    var gradients: UnsafePointer<Float>
    var result: UnsafeMutablePointer<Float>
    /// Where the sums of the parts go, one behind the other.
    var sums: UnsafeMutablePointer<Float>
    var gathered: UnsafeMutablePointer<Float>?
  }

  /// Slots: the image, its filter's sizes, the gradient of the result, the filter's gradient, scratch memory.
  private func run(_ addresses: UnsafePointer<UnsafeMutablePointer<UInt8>?>) -> Bool {
    func floats(_ slot: Int, _ offset: Int = 0) -> UnsafeMutablePointer<Float>? {
      addresses[slot].map { UnsafeMutableRawPointer($0 + offset).assumingMemoryBound(to: Float.self) }
    }
    guard let images = floats(0), let gradients = floats(2), let result = floats(3),
      let sums = partCount == 1 ? result : floats(4, offsets.parts)
    else { return false }
    var operands = Operands(
      execution: .passUnretained(self), images: images, gradients: gradients, result: result, sums: sums,
      gathered: strided == nil ? nil : floats(4, offsets.gathered))
    martlet_team_parallel(
      { context, worker, team in
        guard let operands = context?.assumingMemoryBound(to: Operands.self).pointee else { return }
        operands.execution.takeUnretainedValue().sum(operands, Int(worker), Int(team))
      }, &operands)
    guard partCount > 1 else { return true }
    martlet_team_parallel(
      { context, worker, team in
        guard let operands = context?.assumingMemoryBound(to: Operands.self).pointee else { return }
        operands.execution.takeUnretainedValue().addParts(operands, Int(worker), Int(team))
      }, &operands)
    return true
  }

  // MARK: Sums

  /// One worker's part: some panels of some of the parts.
  private func sum(_ operands: Operands, _ worker: Int, _ team: Int) {
    // No more take part, whatever the team's size: the others have no scratch memory.
    let workers = min(team, self.workers)
    guard worker < workers else { return }
    let gathered = operands.gathered.map { $0 + worker * blockPixels * inputs }
    let units = PackedProduct.share(of: partCount * blocking.panels, worker, workers)
    for part in 0..<partCount {
      let panels = units.clamped(to: part * blocking.panels..<(part + 1) * blocking.panels)
      guard !panels.isEmpty else { continue }
      let range = panels.lowerBound - part * blocking.panels..<panels.upperBound - part * blocking.panels
      let end = min((part + 1) * partPixels, pixelCount)
      for first in stride(from: part * partPixels, to: end, by: blockPixels) {
        add(
          first..<min(first + blockPixels, end), until: end, operands, to: operands.sums + part * inputs * outputs,
          panels: range, isFirst: first == part * partPixels, gathered)
      }
    }
  }

  /// Adds a block of pixels to some panels of a part's sums.
  private func add(
    _ pixels: Range<Int>, until end: Int, _ operands: Operands, to sums: UnsafeMutablePointer<Float>,
    panels: Range<Int>, isFirst: Bool, _ gathered: UnsafeMutablePointer<Float>?
  ) {
    let blocking = blocking
    var images = operands.images + pixels.lowerBound * inputs
    if let strided, let gathered {
      strided.gather(pixels, 0..<inputs, of: operands.images, to: gathered)
      images = UnsafePointer(gathered)
    }
    let gradients = operands.gradients + pixels.lowerBound * outputs
    let rowTiles = (inputs + blocking.rows - 1) / blocking.rows
    let following = pixels.upperBound..<min(pixels.upperBound + blockPixels, end)
    var ahead = FetchAhead(pieces: panels.count * rowTiles)
    if strided == nil { ahead.add(operands.images + following.lowerBound * inputs, count: following.count * inputs) }
    if panels.count == blocking.panels {
      ahead.add(operands.gradients + following.lowerBound * outputs, count: following.count * outputs)
    }
    var tile = martlet_tile()
    tile.a_stride = Int64(inputs)
    tile.b_stride = Int64(outputs)
    tile.c_stride = Int64(outputs)
    tile.addend_stride = Int64(outputs)
    tile.depth = Int64(pixels.count)
    for panel in panels {
      let column = panel * blocking.width
      tile.b = gradients + column
      tile.columns = Int64(min(blocking.width, outputs - column))
      var row = 0
      while row < inputs {
        let height = min(inputs - row, blocking.rows)
        let count = ahead.next(&tile, atMost: (inputs - row) / height)
        let end = row + count * height
        tile.count = Int64(count)
        tile.a = images + row
        tile.c = sums + row * outputs + column
        if !isFirst {
          tile.addend = UnsafePointer(tile.c)
          let isLast = end == inputs
          let next = isLast ? column + blocking.width : end * outputs + column
          tile.next_addend = isLast && panel + 1 == panels.upperBound ? nil : UnsafePointer(sums) + next
        }
        tiles.run(&tile, rows: height)
        row = end
      }
    }
  }

  /// One worker's elements of the sum of all parts.
  private func addParts(_ operands: Operands, _ worker: Int, _ workers: Int) {
    let count = inputs * outputs
    let lanes = SIMD16<Float>.scalarCount
    let vectors = PackedProduct.share(of: count / lanes, worker, workers)
    let (from, to) = (UnsafeRawPointer(operands.sums), UnsafeMutableRawPointer(operands.result))
    for vector in vectors {
      let offset = vector * MemoryLayout<SIMD16<Float>>.stride
      var sum = (from + offset).loadUnaligned(as: SIMD16<Float>.self)
      for part in 1..<partCount {
        sum += (from + 4 * part * count + offset).loadUnaligned(as: SIMD16<Float>.self)
      }
      (to + offset).storeBytes(of: sum, as: SIMD16<Float>.self)
    }
    guard worker == 0 else { return }
    for element in count / lanes * lanes..<count {
      operands.result[element] = (1..<partCount).reduce(operands.sums[element]) {
        $0 + operands.sums[$1 * count + element]
      }
    }
  }
}
