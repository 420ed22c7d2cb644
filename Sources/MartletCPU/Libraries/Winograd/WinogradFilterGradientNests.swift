import MartletLoopIR
import MartletTensors

/// Builds the kernels of `WinogradFilterGradient`.
struct WinogradFilterGradientNests {
  private let shape: WinogradShape
  private var size: Int { WinogradBasis.products }
  private var matrixCount: Int { size * size }

  init(_ shape: WinogradShape) { self.shape = shape }

  /// Sums over tiles: over a block by the whole team, where parameter 0 is the number of the first tile and blocks after
  /// the first add to the sums; or several sums over several blocks each.
  ///
  /// Slots: the image, the gradient of the result, the sums, and where the team shares the steps both operands in the
  /// basis, the gradients in panels.
  func sums() -> Nest {
    var b = NestBuilder()
    let (source, result, tiles) = (shape.source, shape.result, shape.blockTiles)
    func elements(_ images: WinogradShape.Images) -> BufferType {
      BufferType(.float32, [shape.batch, images.height, images.width, images.channels])
    }
    let image = b.slot(0, elements(source), isWritten: false)
    let gradient = b.slot(1, elements(result), isWritten: false)
    let sums = b.slot(2, BufferType(.float32, [shape.sumCount * shape.filterElements]), isWritten: true)
    func operand(_ slot: Int, _ count: Int) -> Int {
      shape.isShared ? b.slot(slot, BufferType(.float32, [count]), isWritten: true) : b.scratch(.float32, count)
    }
    let operands = Operands(
      inputs: operand(3, shape.sourceElements), gradients: operand(4, shape.resultElements), sums: sums)

    if shape.isShared {
      let first = b.scalars.parameter(0)
      let tile = b.axis(tiles)
      let number = b.scalars.add(first, tile.value)
      b.phase(tile.number, tiles, grain: 1, read(tile.value, number, image, gradient, operands, &b))
      let panelCount = b.scalars.integer(shape.panelCount)
      let panels = b.axis(matrixCount * shape.panelCount)
      let multiplying = multiply(
        b.scalars.floorDivide(panels.value, panelCount), b.scalars.floorModulo(panels.value, panelCount), operands,
        isLater: b.scalars.greater(first, b.scalars.integer(0)), sumPlace: b.scalars.integer(0), &b)
      b.phase(panels.number, matrixCount * shape.panelCount, grain: 1, [multiplying])
    } else {
      let blocks = (shape.blockCount + shape.sumCount - 1) / shape.sumCount
      let (sum, block, tile) = (b.axis(shape.sumCount), b.axis(blocks), b.axis(tiles))
      let first = b.times(b.scalars.add(b.times(sum.value, blocks), block.value), tiles)
      let reading = read(tile.value, b.scalars.add(first, tile.value), image, gradient, operands, &b)
      let (matrix, panel) = (b.axis(matrixCount), b.axis(shape.panelCount))
      let multiplying = multiply(
        matrix.value, panel.value, operands, isLater: b.scalars.greater(block.value, b.scalars.integer(0)),
        sumPlace: b.times(sum.value, shape.filterElements), &b)
      func loop(_ axis: Int, _ extent: Int, _ body: [NestStatement]) -> NestStatement {
        .loop(NestLoop(axis: axis, extent: extent, mark: .serial, body: body))
      }
      b.phase(
        sum.number, shape.sumCount, grain: 1,
        [
          loop(
            block.number, blocks,
            [
              loop(tile.number, tiles, reading),
              loop(matrix.number, matrixCount, [loop(panel.number, shape.panelCount, [multiplying])]),
            ])
        ])
    }
    return b.nest(name: "Winograd filter gradient", argumentCount: shape.isShared ? 5 : 3)
  }

  /// The numbers of the buffers of operands in the basis and of their sums.
  private struct Operands {
    var inputs: Int
    var gradients: Int
    var sums: Int
  }

  /// Moves tile number `number` of both operands to the basis, to place `tile` of the block.
  private func read(
    _ tile: Scalar, _ number: Scalar, _ image: Int, _ gradient: Int, _ operands: Operands, _ b: inout NestBuilder
  ) -> [NestStatement] {
    let (source, result, width) = (shape.source, shape.result, shape.panelWidth)
    let reading = b.readTile(
      number, of: shape, from: image, source, size: size, padding: shape.padding, transform: WinogradBasis.input
    ) { b, i, j, channel in
      let place = b.scalars.add(b.times(tile, source.channels), channel)
      return (operands.inputs, b.scalars.add(place, b.times(b.plus(j, i * size), shape.sourceStride)))
    }
    let isTile = b.scalars.less(number, b.scalars.integer(shape.tileCount))
    return reading
      + b.readTile(
        number, of: shape, from: gradient, result, size: shape.basis.results, padding: (0, 0), isCounted: isTile,
        transform: WinogradBasis.values
      ) { b, i, j, channel in
        let panel = b.scalars.floorDivide(channel, b.scalars.integer(width))
        let row = b.scalars.add(b.times(panel, shape.blockTiles), tile)
        let place = b.scalars.add(b.times(row, width), b.scalars.floorModulo(channel, b.scalars.integer(width)))
        return (operands.gradients, b.scalars.add(place, b.times(b.plus(j, i * size), shape.resultStride)))
      }
  }

  /// sums[matrix][channels, panel] (+)= inputsᵀ · gradients over the tiles of a block, some channels in registers at a time.
  private func multiply(
    _ matrix: Scalar, _ panel: Scalar, _ operands: Operands, isLater: Scalar, sumPlace: Scalar, _ b: inout NestBuilder
  ) -> NestStatement {
    let (inputs, outputs, width) = (shape.source.channels, shape.result.channels, shape.panelWidth)
    let tiles = shape.blockTiles
    let lane = b.axis(width)
    let inputPlace = b.times(matrix, shape.sourceStride)
    let gradientPlace = b.scalars.add(
      b.times(matrix, shape.resultStride), b.scalars.add(b.times(panel, tiles * width), lane.value))
    let sumPlace = b.scalars.add(
      b.scalars.add(sumPlace, b.times(matrix, shape.filterStride)),
      b.scalars.add(b.times(panel, width), lane.value))
    var body: [NestStatement] = []
    for (count, size, start) in RegisterTiles.groups(of: inputs, width: width, lanes: shape.lanes) {
      let group = b.axis(count)
      let summed = b.axis(tiles)
      let input = b.plus(b.times(group.value, size), start)
      let factor = b.load(operands.gradients, at: b.scalars.add(gradientPlace, b.times(summed.value, width)))
      let row = b.scalars.add(inputPlace, b.scalars.add(b.times(summed.value, inputs), input))
      let places = (0..<size).map { b.scalars.add(sumPlace, b.times(b.plus(input, $0), outputs)) }
      let registers = places.map { _ in b.register(.float32) }
      let reduction = NestReduction(
        loops: [NestReduction.Loop(axis: summed.number, extent: tiles)], lanes: 1, interleave: 1,
        registers: registers, initial: places.map { b.load(operands.sums, at: $0, if: isLater).id },
        step: (0..<size).map { i in
          let value = b.load(operands.inputs, at: b.plus(row, i))
          return b.scalars.multiplyAdd(value, factor, b.scalars.state(i, .float32)).id
        },
        merge: (0..<size).map { b.scalars.add(b.scalars.state($0, .float32), b.scalars.other($0, .float32)).id })
      let stores = zip(places, registers).map { b.store(operands.sums, $0, b.read($1)) }
      body.append(
        .loop(NestLoop(axis: group.number, extent: count, mark: .serial, body: [.reduce(reduction)] + stores)))
    }
    return .loop(NestLoop(axis: lane.number, extent: width, mark: .vector(width), body: body))
  }

  /// From the sums (slot 0) to the filter's gradient in HWIO (slot 1).
  func filter() -> Nest {
    var b = NestBuilder()
    let (inputs, outputs) = (shape.source.channels, shape.result.channels)
    let weights = shape.basis.weights
    let sums = b.slot(0, BufferType(.float32, [shape.sumCount * shape.filterElements]), isWritten: false)
    let filter = b.slot(1, BufferType(.float32, [weights * weights * inputs * outputs]), isWritten: true)
    let input = b.axis(inputs)
    let output = b.axis(outputs)
    let place = b.scalars.add(b.times(input.value, outputs), output.value)
    let shape = shape
    let body = b.separable(
      size, size, output.value, lanes: shape.lanes, { WinogradBasis.sums(&$0, $1, count: weights) },
      load: { b, i, j in
        let first = b.scalars.add(place, b.times(b.plus(b.times(i, size), j), shape.filterStride))
        let parts = (0..<shape.sumCount).map { b.load(sums, at: b.plus(first, $0 * shape.filterElements)) }
        return parts.dropFirst().reduce(parts[0]) { b.scalars.add($0, $1) }
      },
      store: { b, i, j, value in
        b.store(filter, b.scalars.add(place, b.times(b.plus(j, i * weights), inputs * outputs)), value)
      })
    let vectors = NestStatement.loop(
      NestLoop(axis: output.number, extent: outputs, mark: .vector(shape.lanes), body: body))
    b.phase(input.number, inputs, grain: 8, [vectors])
    return b.nest(name: "Winograd filter gradient, from the basis", argumentCount: 2)
  }
}
