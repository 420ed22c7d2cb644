import Foundation
import MartletTensors

/// Random matrices with orthonormal columns, by Gram and Schmidt on normal vectors, twice for accuracy.
enum OrthogonalMatrix {
  /// An array of the given shape: all extents but the last are the rows.
  static func tensor(shape: [Int], gain: Double, seed: Int, type: ElementType) -> Tensor {
    let columns = shape.last ?? 1
    let rows = shape.dropLast().reduce(1, *)
    let isWide = columns > rows
    let vectors = orthonormalVectors(count: min(rows, columns), length: max(rows, columns), seed: seed)
    var elements = [Double](repeating: 0, count: rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        elements[row * columns + column] = gain * (isWide ? vectors[row][column] : vectors[column][row])
      }
    }
    return Tensor(rounding: elements, shape: shape, as: type)
  }

  private static func orthonormalVectors(count: Int, length: Int, seed: Int) -> [[Double]] {
    var vectors: [[Double]] = []
    for number in 0..<count {
      var vector = normals(length, seed: seed, stream: number)
      for _ in 0..<2 {
        for other in vectors {
          let overlap = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }
          for i in vector.indices { vector[i] -= overlap * other[i] }
        }
      }
      let norm = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
      vectors.append(vector.map { $0 / norm })
    }
    return vectors
  }

  /// Normal numbers by Box and Muller, 1958, from Philox.
  private static func normals(_ count: Int, seed: Int, stream: Int) -> [Double] {
    let key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    return (0..<count).map { i in
      let block = Philox.block(
        counter: (UInt32(truncatingIfNeeded: i), UInt32(truncatingIfNeeded: stream), 0, 0), key: key)
      let radius = (-2 * log((Double(block.0) + 1) / 4_294_967_297)).squareRoot()
      return radius * cos(2 * .pi * Double(block.1) / 4_294_967_296)
    }
  }
}
