import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Matrix products by OpenBLAS.
///
/// One product is shared among the team by OpenBLAS itself; of many, each worker computes some.
final class MatrixProductExecution: LibraryExecution {
  let scratchBytes = 0
  let isWide: Bool
  private let product: MatrixProduct
  /// Whether the workers take pairs of matrices in turn.
  private let isBatchDealt: Bool

  /// OpenBLAS runs products of fewer multiplications than this on the calling thread.
  private static let narrowLimit = 1 << 18

  /// Nil where OpenBLAS does not do it.
  init?(_ product: MatrixProduct) {
    guard product.elementType == .float32 || product.elementType == .float64,
      max(product.m, product.n, product.k) <= Int(Int32.max), martlet_blas_library().pointee.available != 0
    else { return nil }
    self.product = product
    let work = Double(product.m) * Double(product.n) * Double(product.k)
    isBatchDealt = product.batch > 1 && work * Double(product.batch) > Double(Self.narrowLimit)
    isWide = isBatchDealt || work > Double(Self.narrowLimit)
  }

  var call: BoundCall {
    BoundCall(
      { _, slots, data in
        guard let a = slots[0], let b = slots[1], let c = slots[2], let data else { return 1 }
        var operands = Operands(execution: data, a: a, b: b, c: c)
        let execution = BoundCall.object(MatrixProductExecution.self, at: data)
        if execution.isBatchDealt {
          martlet_team_parallel(
            { context, worker, workers in
              guard let operands = context?.assumingMemoryBound(to: Operands.self).pointee else { return }
              let execution = BoundCall.object(MatrixProductExecution.self, at: operands.execution)
              let count = execution.product.batch
              let (first, last) = (count * Int(worker) / Int(workers), count * Int(worker + 1) / Int(workers))
              execution.run(first..<last, operands)
            }, &operands)
        } else {
          execution.run(0..<execution.product.batch, operands)
        }
        return 0
      }, object: self)
  }

  /// What a worker is told.
  private struct Operands {
    var execution: UnsafeMutableRawPointer
    var a: UnsafeMutableRawPointer
    var b: UnsafeMutableRawPointer
    var c: UnsafeMutableRawPointer
  }

  private func run(_ pairs: Range<Int>, _ operands: Operands) {
    let p = product
    let (a, b, c) = (operands.a, operands.b, operands.c)
    let width = p.elementType.byteWidth
    let strides = (p.m * p.k * width, p.k * p.n * width, p.m * p.n * width)
    for i in pairs {
      let (x, y, z) = (a + i * strides.0, b + i * strides.1, c + i * strides.2)
      if p.k == 0 {
        z.initializeMemory(as: UInt8.self, repeating: 0, count: strides.2)
      } else if p.n == 1 {
        multiply(p.transposeA, p.transposeA ? (p.k, p.m) : (p.m, p.k), x, y, z)
      } else if p.m == 1 {
        multiply(!p.transposeB, p.transposeB ? (p.n, p.k) : (p.k, p.n), y, x, z)
      } else {
        multiply(x, y, z)
      }
    }
  }

  private func multiply(_ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer) {
    let (m, n, k) = (Int64(product.m), Int64(product.n), Int64(product.k))
    let (ta, tb): (Int32, Int32) = (product.transposeA ? 1 : 0, product.transposeB ? 1 : 0)
    let (lda, ldb) = (product.transposeA ? m : k, product.transposeB ? k : n)
    if product.elementType == .float32 {
      martlet_blas_sgemm(
        ta, tb, m, n, k, 1, a.assumingMemoryBound(to: Float.self), lda, b.assumingMemoryBound(to: Float.self), ldb, 0,
        c.assumingMemoryBound(to: Float.self), n)
    } else {
      martlet_blas_dgemm(
        ta, tb, m, n, k, 1, a.assumingMemoryBound(to: Double.self), lda, b.assumingMemoryBound(to: Double.self), ldb,
        0, c.assumingMemoryBound(to: Double.self), n)
    }
  }

  /// y = op(matrix) · x.
  private func multiply(
    _ transpose: Bool, _ extents: (rows: Int, columns: Int), _ matrix: UnsafeMutableRawPointer,
    _ x: UnsafeMutableRawPointer, _ y: UnsafeMutableRawPointer
  ) {
    let (rows, columns) = (Int64(extents.rows), Int64(extents.columns))
    if product.elementType == .float32 {
      martlet_blas_sgemv(
        transpose ? 1 : 0, rows, columns, 1, matrix.assumingMemoryBound(to: Float.self), columns,
        x.assumingMemoryBound(to: Float.self), 0, y.assumingMemoryBound(to: Float.self))
    } else {
      martlet_blas_dgemv(
        transpose ? 1 : 0, rows, columns, 1, matrix.assumingMemoryBound(to: Double.self), columns,
        x.assumingMemoryBound(to: Double.self), 0, y.assumingMemoryBound(to: Double.self))
    }
  }
}
