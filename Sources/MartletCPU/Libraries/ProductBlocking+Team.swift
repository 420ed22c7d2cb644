import CMartletRuntime
import MartletGraph
import MartletTensors

extension ProductBlocking {
  /// Writes all panels of a product's right matrix; the team shares them.
  func pack(_ b: UnsafePointer<Float>, _ product: MatrixProduct, to packed: UnsafeMutablePointer<Float>) {
    var packing = Packing(
      blocking: self, b: b, steps: product.transposeB ? 1 : n, columns: product.transposeB ? k : 1, packed: packed)
    martlet_team_parallel(
      { context, worker, workers in
        context?.assumingMemoryBound(to: Packing.self).pointee.run(Int(worker), Int(workers))
      }, &packing)
  }

  /// All panels of a product's right matrix in memory of their own.
  func packed(_ b: UnsafeMutableRawPointer, _ product: MatrixProduct) -> TensorStorage {
    let packed = TensorStorage(byteCount: packedBytes)
    pack(b.assumingMemoryBound(to: Float.self), product, to: packed.bytes.assumingMemoryBound(to: Float.self))
    return packed
  }

  private struct Packing {
    var blocking: ProductBlocking
    var b: UnsafePointer<Float>
    var steps: Int
    var columns: Int
    var packed: UnsafeMutablePointer<Float>

    func run(_ worker: Int, _ workers: Int) {
      blocking.pack(
        b, steps: steps, columns: columns, PackedProduct.share(of: blocking.panels, worker, workers), to: packed)
    }
  }
}
