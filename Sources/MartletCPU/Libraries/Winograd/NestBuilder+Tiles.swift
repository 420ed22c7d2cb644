import MartletLoopIR
import MartletTensors

/// What the kernels of Winograd's way have in common.
extension NestBuilder {
  mutating func times(_ x: Scalar, _ factor: Int) -> Scalar { scalars.multiply(x, scalars.integer(factor)) }
  mutating func plus(_ x: Scalar, _ number: Int) -> Scalar { scalars.add(x, scalars.integer(number)) }

  func store(_ buffer: Int, _ index: Scalar, _ value: Scalar) -> NestStatement {
    .store(buffer: buffer, index: index.id, value: value.id, condition: .none)
  }

  private mutating func isInside(_ index: Scalar, _ extent: Int) -> Scalar {
    scalars.and(scalars.greaterEqual(index, scalars.integer(0)), scalars.less(index, scalars.integer(extent)))
  }

  /// The image, row and column of a tile's first result.
  mutating func place(of tile: Scalar, _ shape: WinogradShape) -> (image: Scalar, row: Scalar, column: Scalar) {
    let columns = scalars.integer(shape.tiles.columns)
    let rows = scalars.integer(shape.tiles.rows)
    let line = scalars.floorDivide(tile, columns)
    return (
      scalars.floorDivide(line, rows), times(scalars.floorModulo(line, rows), shape.basis.results),
      times(scalars.floorModulo(tile, columns), shape.basis.results)
    )
  }

  /// Moves the `size` × `size` pixels that begin `padding` before tile number `number` to the basis, for each channel; what
  /// lies outside of the images is zero, and what belongs to no tile is the last one's.
  ///
  /// - Parameters:
  ///   - isCounted: What must hold, else all is zero.
  ///   - target: The buffer and the index for a matrix, by row and column, and a channel.
  mutating func readTile(
    _ number: Scalar, of shape: WinogradShape, from source: Int, _ images: WinogradShape.Images, size: Int,
    padding: (top: Int, left: Int), isCounted: Scalar? = nil,
    transform: (inout ScalarBuilder, [Scalar]) -> [Scalar],
    to target: (inout NestBuilder, Int, Scalar, Scalar) -> (buffer: Int, index: Scalar)
  ) -> [NestStatement] {
    let last = scalars.integer(shape.tileCount - 1)
    let (image, row, column) = place(of: scalars.minimum(number, last), shape)
    let channel = axis(images.channels)
    let columns = (0..<size).map { plus(column, $0 - padding.left) }
    let areInside = columns.map { isInside($0, images.width) }
    let firstRow = plus(row, -padding.top)
    let body = separable(
      size, size, channel.value, lanes: shape.lanes, transform,
      load: { b, i, j in
        let y = b.scalars.add(firstRow, i)
        let isRowInside = b.isInside(y, images.height)
        let line = b.times(b.scalars.add(b.times(image, images.height), y), images.width)
        let pixel = b.scalars.add(line, columns[j])
        let place = b.scalars.add(b.times(pixel, images.channels), channel.value)
        let isRowWanted = isCounted.map { b.scalars.and($0, isRowInside) } ?? isRowInside
        return b.load(source, at: place, if: b.scalars.and(isRowWanted, areInside[j]))
      },
      store: { b, i, j, value in
        let (buffer, index) = target(&b, i, j, channel.value)
        return b.store(buffer, index, value)
      })
    return [
      .loop(NestLoop(axis: channel.number, extent: images.channels, mark: .vector(shape.lanes), body: body))
    ]
  }

  /// A transform along the second axis, then along the first, in the lanes of a vector loop. The axes that are not
  /// transformed are loops: straight code would take long to compile, and no fewer trips to memory.
  ///
  /// - Parameters:
  ///   - load: The element at a row and a column.
  ///   - store: What is done with the element at a row and a column afterwards.
  mutating func separable(
    _ rows: Int, _ columns: Int, _ lane: Scalar, lanes: Int, _ transform: (inout ScalarBuilder, [Scalar]) -> [Scalar],
    load: (inout NestBuilder, Scalar, Int) -> Scalar, store: (inout NestBuilder, Int, Scalar, Scalar) -> NestStatement
  ) -> [NestStatement] {
    let row = axis(rows)
    let transformed = transform(&scalars, (0..<columns).map { load(&self, row.value, $0) })
    let half = scratch(.float32, rows * transformed.count * lanes)
    let place = scalars.floorModulo(lane, scalars.integer(lanes))
    let first = scalars.add(times(row.value, transformed.count * lanes), place)
    let storing = transformed.enumerated().map { self.store(half, plus(first, $0 * lanes), $1) }

    let column = axis(transformed.count)
    let start = scalars.add(times(column.value, lanes), place)
    let results = transform(
      &scalars, (0..<rows).map { self.load(half, at: plus(start, $0 * transformed.count * lanes)) })
    let ending = results.enumerated().map { store(&self, $0, column.value, $1) }
    return [
      .loop(NestLoop(axis: row.number, extent: rows, mark: .serial, body: storing)),
      .loop(NestLoop(axis: column.number, extent: transformed.count, mark: .serial, body: ending)),
    ]
  }
}
