import MartletGraph
import MartletLoopIR
import MartletTensors

/// Builds the kernels of convolutions in Winograd's way: one that moves filters to the basis, and one that moves tiles
/// of the source there, multiplies, and moves the products back.
struct WinogradNests {
  private let shape: WinogradShape
  private var b = NestBuilder()
  private let size = WinogradBasis.products

  private init(_ shape: WinogradShape) { self.shape = shape }

  // MARK: Filters

  /// From a filter in HWIO (slot 0) to 36 matrices in panels of `panelWidth` columns (slot 1).
  static func filter(_ shape: WinogradShape) -> Nest {
    var nests = WinogradNests(shape)
    return nests.filter()
  }

  private mutating func filter() -> Nest {
    let (inputs, outputs, width) = (shape.source.channels, shape.result.channels, shape.panelWidth)
    let weights = shape.basis.weights
    let filter = b.slot(0, BufferType(.float32, [weights * weights * inputs * outputs]), isWritten: false)
    let packed = b.slot(1, BufferType(.float32, [shape.filterElements]), isWritten: true)
    let input = b.axis(inputs)
    let panel = b.axis(shape.panelCount)
    let lane = b.axis(width)
    let output = b.scalars.add(b.times(panel.value, width), lane.value)
    let first =
      shape.isTurned
      ? b.scalars.add(b.times(output, inputs), input.value) : b.scalars.add(b.times(input.value, outputs), output)
    let row = b.scalars.add(b.times(panel.value, inputs), input.value)
    let place = b.scalars.add(b.times(row, width), lane.value)
    let (shape, size) = (shape, size)
    let body = b.separable(
      weights, weights, lane.value, lanes: shape.lanes, WinogradBasis.values,
      load: { b, i, j in
        let last = b.scalars.integer(weights - 1)
        let line = b.times(shape.isTurned ? b.scalars.subtract(last, i) : i, weights)
        let weight = b.plus(line, shape.isTurned ? weights - 1 - j : j)
        return b.load(filter, at: b.scalars.add(first, b.times(weight, inputs * outputs)))
      },
      store: { b, i, j, value in
        let matrix = b.plus(j, i * size)
        return b.store(packed, b.scalars.add(place, b.times(matrix, shape.filterStride)), value)
      })
    let vectors = NestStatement.loop(
      NestLoop(axis: lane.number, extent: width, mark: .vector(shape.lanes), body: body))
    b.phase(
      input.number, inputs, grain: 8,
      [.loop(NestLoop(axis: panel.number, extent: shape.panelCount, mark: .serial, body: [vectors]))])
    return b.nest(name: "Winograd filter", argumentCount: 2)
  }

  // MARK: Images

  /// Slots: the source, the moved filter, the epilogue's operands, the result; where the team shares steps, then the
  /// moved source and the products.
  static func images(_ shape: WinogradShape) -> Nest {
    var nests = WinogradNests(shape)
    return nests.images()
  }

  private mutating func images() -> Nest {
    let epilogue = shape.epilogue
    func count(_ images: WinogradShape.Images) -> BufferType {
      BufferType(.float32, [shape.batch, images.height, images.width, images.channels])
    }
    let source = b.slot(0, count(shape.source), isWritten: false)
    let filter = b.slot(1, BufferType(.float32, [shape.filterElements]), isWritten: false)
    var slots = 2
    func next(_ type: BufferType, isWritten: Bool = false) -> Int {
      slots += 1
      return b.slot(slots - 1, type, isWritten: isWritten)
    }
    let bias = epilogue.hasBias ? next(BufferType(.float32, [shape.result.channels])) : nil
    let residual = epilogue.hasResidual ? next(count(shape.result)) : nil
    let result = next(count(shape.result), isWritten: true)
    let argumentCount = slots
    let moved: Int
    let products: Int
    if shape.isShared {
      moved = next(BufferType(.float32, [shape.sourceElements]), isWritten: true)
      products = next(BufferType(.float32, [shape.resultElements]), isWritten: true)
    } else {
      moved = b.scratch(.float32, shape.sourceElements)
      products = b.scratch(.float32, shape.resultElements)
    }

    func tiles(_ first: Scalar?, _ body: (Scalar, Scalar) -> [NestStatement]) -> (axis: Int, [NestStatement]) {
      let tile = b.axis(shape.blockTiles)
      return (tile.number, body(tile.value, first.map { b.scalars.add($0, tile.value) } ?? tile.value))
    }
    if shape.isShared {
      let (first, reading) = tiles(nil) { readTile($0, $1, source, moved) }
      b.phase(first, shape.blockTiles, grain: 1, reading)
      let matrices = b.axis(size * size * shape.panelCount)
      let panels = b.scalars.integer(shape.panelCount)
      let multiplying = multiply(
        b.scalars.floorDivide(matrices.value, panels), b.scalars.floorModulo(matrices.value, panels), moved, filter,
        products)
      b.phase(matrices.number, size * size * shape.panelCount, grain: 1, multiplying)
      let (second, writing) = tiles(nil) { writeTile($0, $1, products, bias, residual, result) }
      b.phase(second, shape.blockTiles, grain: 1, writing)
    } else {
      let block = b.axis(shape.blockCount)
      let start = b.times(block.value, shape.blockTiles)
      let (first, reading) = tiles(start) { readTile($0, $1, source, moved) }
      let (matrix, panel) = (b.axis(size * size), b.axis(shape.panelCount))
      let multiplying = multiply(matrix.value, panel.value, moved, filter, products)
      let (second, writing) = tiles(start) { writeTile($0, $1, products, bias, residual, result) }
      func loop(_ axis: Int, _ extent: Int, _ body: [NestStatement]) -> NestStatement {
        .loop(NestLoop(axis: axis, extent: extent, mark: .serial, body: body))
      }
      b.phase(
        block.number, shape.blockCount, grain: 1,
        [
          loop(first, shape.blockTiles, reading),
          loop(matrix.number, size * size, [loop(panel.number, shape.panelCount, multiplying)]),
          loop(second, shape.blockTiles, writing),
        ])
    }
    return b.nest(name: "Winograd convolution", argumentCount: argumentCount)
  }

  /// Moves the part of the source under tile number `number` to place `tile` of the block.
  private mutating func readTile(_ tile: Scalar, _ number: Scalar, _ source: Int, _ moved: Int) -> [NestStatement] {
    let shape = shape
    return b.readTile(
      number, of: shape, from: source, shape.source, size: size, padding: shape.padding,
      transform: WinogradBasis.input
    ) { b, i, j, channel in
      let place = b.scalars.add(b.times(tile, shape.source.channels), channel)
      return (moved, b.scalars.add(place, b.times(b.plus(j, i * WinogradBasis.products), shape.sourceStride)))
    }
  }

  /// products[matrix][tile, panel's channels] = moved[matrix][tile, …] · filter[matrix][panel], tiles by tiles in registers.
  private mutating func multiply(
    _ matrix: Scalar, _ panel: Scalar, _ moved: Int, _ filter: Int, _ products: Int
  ) -> [NestStatement] {
    let (inputs, outputs, width) = (shape.source.channels, shape.result.channels, shape.panelWidth)
    let lane = b.axis(width)
    let matrixPlace = b.times(matrix, shape.sourceStride)
    let panelPlace = b.scalars.add(b.times(matrix, shape.filterStride), b.times(panel, inputs * width))
    let resultPlace = b.scalars.add(
      b.times(matrix, shape.resultStride), b.scalars.add(b.times(panel, width), lane.value))
    var body: [NestStatement] = []
    for (count, size, first) in RegisterTiles.groups(of: shape.blockTiles, width: width, lanes: shape.lanes) {
      let group = b.axis(count)
      let input = b.axis(inputs)
      let tile = b.plus(b.times(group.value, size), first)
      let weight = b.load(
        filter, at: b.scalars.add(b.scalars.add(panelPlace, b.times(input.value, width)), lane.value))
      let registers = (0..<size).map { _ in b.register(.float32) }
      let zero = b.scalars.constant(0, .float32)
      let steps = (0..<size).map { i in
        let row = b.scalars.add(matrixPlace, b.times(b.plus(tile, i), inputs))
        let value = b.load(moved, at: b.scalars.add(row, input.value))
        return b.scalars.multiplyAdd(value, weight, b.scalars.state(i, .float32)).id
      }
      let merges = (0..<size).map { b.scalars.add(b.scalars.state($0, .float32), b.scalars.other($0, .float32)).id }
      let sums = NestReduction(
        loops: [NestReduction.Loop(axis: input.number, extent: inputs)], lanes: 1, interleave: 1,
        registers: registers, initial: registers.map { _ in zero.id }, step: steps, merge: merges)
      let stores = registers.enumerated().map { i, register in
        b.store(
          products, b.scalars.add(b.times(b.plus(tile, i), outputs), resultPlace), b.read(register))
      }
      body.append(
        .loop(NestLoop(axis: group.number, extent: count, mark: .serial, body: [.reduce(sums)] + stores)))
    }
    return [.loop(NestLoop(axis: lane.number, extent: width, mark: .vector(width), body: body))]
  }

  /// Moves the products of the block's tile `tile` back to results, tile number `number` of all.
  private mutating func writeTile(
    _ tile: Scalar, _ number: Scalar, _ products: Int, _ bias: Int?, _ residual: Int?, _ result: Int
  ) -> [NestStatement] {
    let images = shape.result
    let (image, row, column) = b.place(of: number, shape)
    let channel = b.axis(images.channels)
    let first = b.scalars.add(b.times(tile, images.channels), channel.value)
    let added = bias.map { b.load($0, at: channel.value) }
    let isTile =
      shape.blockCount * shape.blockTiles > shape.tileCount
      ? b.scalars.less(number, b.scalars.integer(shape.tileCount)) : b.scalars.boolean(true)
    let (shape, size) = (shape, size)
    let body = b.separable(
      size, size, channel.value, lanes: shape.lanes, { WinogradBasis.sums(&$0, $1, count: shape.basis.results) },
      load: { b, i, j in
        b.load(products, at: b.scalars.add(first, b.times(b.plus(b.times(i, size), j), shape.resultStride)))
      },
      store: { b, i, j, value in
        let (y, x) = (b.plus(row, i), b.scalars.add(column, j))
        var condition = isTile
        if images.height % shape.basis.results != 0 {
          condition = b.scalars.and(condition, b.scalars.less(y, b.scalars.integer(images.height)))
        }
        if images.width % shape.basis.results != 0 {
          condition = b.scalars.and(condition, b.scalars.less(x, b.scalars.integer(images.width)))
        }
        let line = b.scalars.add(b.times(image, images.height), y)
        let pixel = b.scalars.add(b.times(line, images.width), x)
        let index = b.scalars.add(b.times(pixel, images.channels), channel.value)
        let isAlways = condition == b.scalars.boolean(true)
        var value = value
        if let added { value = b.scalars.add(value, added) }
        if let residual { value = b.scalars.add(value, b.load(residual, at: index, if: isAlways ? nil : condition)) }
        if let activation = shape.epilogue.activation { value = Self.apply(activation, value, &b.scalars) }
        return .store(
          buffer: result, index: index.id, value: value.id, condition: isAlways ? .none : condition.id)
      })
    return [
      .loop(NestLoop(axis: channel.number, extent: images.channels, mark: .vector(shape.lanes), body: body))
    ]
  }

  private static func apply(
    _ activation: Epilogue.Activation, _ x: Scalar, _ b: inout ScalarBuilder
  ) -> Scalar {
    func constant(_ value: Float) -> Scalar { b.constant(Double(value), .float32) }
    switch activation {
    case .relu(slope: 0): return b.select(b.less(x, constant(0)), constant(0), x)
    case .relu(let slope): return b.select(b.less(x, constant(0)), b.multiply(constant(slope), x), x)
    case .clip(let low, let high):
      let raised = b.select(b.less(x, constant(low)), constant(low), x)
      return b.select(b.less(constant(high), raised), constant(high), raised)
    default: preconditionFailure("\(activation) has no place in a Winograd convolution")
    }
  }
}
