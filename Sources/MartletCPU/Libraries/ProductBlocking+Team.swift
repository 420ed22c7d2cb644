import CMartletRuntime
import MartletGraph
import MartletTensors

extension ProductBlocking {
  /// Writes all panels of a product's right matrix; the team shares them.
  func pack(_ b: UnsafePointer<Float>, _ product: MatrixProduct, to packed: UnsafeMutablePointer<Float>) {
    var packing = Packing(self, product, b: UnsafeMutablePointer(mutating: b), packed: packed)
    martlet_team_parallel(
      { context, worker, workers in
        context?.assumingMemoryBound(to: Packing.self).pointee.pack(Int(worker), Int(workers))
      }, &packing)
  }

  /// All panels of a product's right matrix in memory of their own.
  func packed(_ b: UnsafeMutableRawPointer, _ product: MatrixProduct) -> TensorStorage {
    let packed = TensorStorage(byteCount: packedBytes)
    pack(b.assumingMemoryBound(to: Float.self), product, to: packed.bytes.assumingMemoryBound(to: Float.self))
    return packed
  }

  /// A product's right matrix again, from its panels, in memory of its own.
  func unpacked(_ packed: UnsafeMutableRawPointer, _ product: MatrixProduct) -> TensorStorage {
    let matrix = TensorStorage(byteCount: k * n * MemoryLayout<Float>.stride)
    var packing = Packing(
      self, product, b: matrix.bytes.assumingMemoryBound(to: Float.self),
      packed: packed.assumingMemoryBound(to: Float.self))
    martlet_team_parallel(
      { context, worker, workers in
        context?.assumingMemoryBound(to: Packing.self).pointee.unpack(Int(worker), Int(workers))
      }, &packing)
    return matrix
  }

  private struct Packing {
    private var blocking: ProductBlocking
    private var b: UnsafeMutablePointer<Float>
    private var steps: Int
    private var columns: Int
    private var packed: UnsafeMutablePointer<Float>

    init(
      _ blocking: ProductBlocking, _ product: MatrixProduct, b: UnsafeMutablePointer<Float>,
      packed: UnsafeMutablePointer<Float>
    ) {
      (self.blocking, self.b, self.packed) = (blocking, b, packed)
      steps = product.transposeB ? 1 : blocking.n
      columns = product.transposeB ? blocking.k : 1
    }

    func pack(_ worker: Int, _ workers: Int) {
      blocking.pack(
        b, steps: steps, columns: columns, PackedProduct.share(of: blocking.panels, worker, workers), to: packed)
    }

    func unpack(_ worker: Int, _ workers: Int) {
      blocking.unpack(
        packed, steps: steps, columns: columns, PackedProduct.share(of: blocking.panels, worker, workers), to: b)
    }
  }
}

/// The right matrix of a product in panels, which have all of its elements.
struct PanelLayout: LayoutSource {
  let product: MatrixProduct
  let blocking: ProductBlocking

  var layout: ConstantLayouts.Layout {
    .panels(width: blocking.width, columns: blocking.n, steps: blocking.k, isTransposed: product.transposeB)
  }
  var byteCount: Int { blocking.packedBytes }

  func laidOut(_ array: Tensor, to storage: TensorStorage) -> TensorStorage? {
    array.withUnsafeBytes { bytes in
      guard let matrix = bytes.baseAddress else { return }
      blocking.pack(
        matrix.assumingMemoryBound(to: Float.self), product, to: storage.bytes.assumingMemoryBound(to: Float.self))
    }
    return storage
  }

  var givesUpArray: Bool { true }
  func array(_ type: TensorType, from storage: TensorStorage) -> Tensor {
    Tensor(
      elementType: type.elementType, shape: type.shape.known ?? [], storage: blocking.unpacked(storage.bytes, product))
  }
}
