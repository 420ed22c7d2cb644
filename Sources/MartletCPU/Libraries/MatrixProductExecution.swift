import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Matrix products by OpenBLAS and oneDNN.
///
/// One product is shared among the team by the library itself; of many, each worker computes some.
final class MatrixProductExecution: LibraryExecution {
  /// What computes a product.
  private enum Method {
    case openBLAS
    /// oneDNN's product of plain matrices.
    case generalProduct
    /// oneDNN's primitive, for all pairs at once.
    case primitive(DNNPrimitive)
  }

  let scratchBytes: Int
  let isWide: Bool
  /// An estimate: 12.5 operations a nanosecond for each number in a vector register, as products of 48×48 and 60×60 matrices were
  /// measured to take with AVX-512, 200 GFLOP/s; clocks of processors differ by less. A library with threads of its own, not
  /// the team's, keeps what it may share among them.
  var nanoseconds: Int? {
    guard !isWide, martlet_blas_library().pointee.parallel != 1 else { return nil }
    let lanes = vectorBytes / product.elementType.byteWidth
    return 200 + product.batch * product.m * product.n * product.k * 4 / (25 * max(1, lanes))
  }
  private let product: MatrixProduct
  private let vectorBytes: Int
  private let method: Method
  /// Whether the workers take pairs of matrices in turn, or pieces of them.
  private let isBatchDealt: Bool
  /// Into how many pieces a product is cut along the larger extent of its result.
  private let pieceCount: Int

  /// The rows or columns of a piece.
  private static let pieceExtent = 128

  /// The libraries run products of fewer multiplications than this on the calling thread.
  private static let narrowLimit = 1 << 18

  /// Nil where no library does it.
  ///
  /// - Parameters:
  ///   - vectorBytes: the bytes in a vector register.
  ///   - isDealt: whether the workers take pieces of each product, whose extents do not depend on their number,
  ///     so that no library shares one. A library with threads of its own would.
  init?(_ product: MatrixProduct, vectorBytes: Int, isDealt: Bool = false) {
    guard product.elementType == .float32 || product.elementType == .float64, product.epilogue.isEmpty,
      product.panelWidth == nil,
      max(product.m, product.n, product.k) <= Int(Int32.max), martlet_blas_library().pointee.available != 0,
      !isDealt || martlet_blas_library().pointee.parallel != 1
    else { return nil }
    (self.product, self.vectorBytes) = (product, vectorBytes)
    method = isDealt ? .openBLAS : Self.method(for: product)
    pieceCount = isDealt ? max((max(product.m, product.n) + Self.pieceExtent - 1) / Self.pieceExtent, 1) : 1
    let work = Double(product.m) * Double(product.n) * Double(product.k)
    if case .primitive(let primitive) = method {
      scratchBytes = primitive.bytes(martlet_dnn_scratch_role)
      isBatchDealt = false
      isWide = true
    } else {
      scratchBytes = 0
      isBatchDealt =
        (product.batch > 1 || isDealt) && work * Double(product.batch) > Double(Self.narrowLimit)
      isWide = isBatchDealt || work > Double(Self.narrowLimit)
    }
  }

  /// What is fastest, by measurement of both libraries over shapes from 16³ to 4096³ (two cores with AVX-512): oneDNN
  /// by 5 % for the largest products, by half for those of one batch and a wide layer; OpenBLAS for the smallest. Only
  /// the primitive does not slow down where b is read transposed, or where few pairs of matrices are to be shared.
  private static func method(for product: MatrixProduct) -> Method {
    let library = martlet_dnn_library().pointee
    guard product.elementType == .float32, library.available != 0, library.shares_team != 0, product.n > 1,
      Double(product.m) * Double(product.n) * Double(product.k) >= Double(narrowLimit)
    else { return .openBLAS }
    let isPrimitiveFaster =
      product.batch > 1 ? !product.transposeA && !product.transposeB : product.transposeB && product.m > 8
    guard isPrimitiveFaster, let primitive = primitive(for: product) else { return .generalProduct }
    return .primitive(primitive)
  }

  private static func primitive(for p: MatrixProduct) -> DNNPrimitive? {
    func tensor(_ rows: Int, _ columns: Int, isTransposed: Bool) -> martlet_dnn_tensor {
      let strides = isTransposed ? [1, rows] : [columns, 1]
      return p.batch > 1
        ? martlet_dnn_tensor([p.batch, rows, columns], strides: [rows * columns] + strides)
        : martlet_dnn_tensor([rows, columns], strides: strides)
    }
    var description = martlet_dnn_description()
    description.kind = martlet_dnn_product
    description.source = tensor(p.m, p.k, isTransposed: p.transposeA)
    description.weights = tensor(p.k, p.n, isTransposed: p.transposeB)
    description.destination = tensor(p.m, p.n, isTransposed: false)
    guard let primitive = DNNPrimitive(description), !primitive.implementation.hasPrefix("ref") else { return nil }
    return primitive
  }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    BoundCall(
      { _, slots, data in
        guard let a = slots[0], let b = slots[1], let c = slots[2], let data else { return 1 }
        let execution = BoundCall.object(MatrixProductExecution.self, at: data)
        if case .primitive(let primitive) = execution.method {
          return execution.run(primitive, a, b, c, scratch: execution.scratchBytes > 0 ? slots[3] : nil) ? 0 : 1
        }
        var operands = Operands(execution: data, a: a, b: b, c: c)
        if execution.isBatchDealt {
          martlet_team_parallel(
            { context, worker, workers in
              guard let operands = context?.assumingMemoryBound(to: Operands.self).pointee else { return }
              let execution = BoundCall.object(MatrixProductExecution.self, at: operands.execution)
              let count = execution.product.batch * execution.pieceCount
              let (first, last) = (count * Int(worker) / Int(workers), count * Int(worker + 1) / Int(workers))
              execution.run(first..<last, operands)
            }, &operands)
        } else {
          execution.run(0..<execution.product.batch * execution.pieceCount, operands)
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

  private func run(
    _ primitive: DNNPrimitive, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer,
    _ c: UnsafeMutableRawPointer, scratch: UnsafeMutableRawPointer?
  ) -> Bool {
    withUnsafeTemporaryAllocation(
      of: UnsafeMutableRawPointer?.self, capacity: Int(martlet_dnn_role_count.rawValue)
    ) { memory in
      memory.initialize(repeating: nil)
      memory[Int(martlet_dnn_source_role.rawValue)] = a
      memory[Int(martlet_dnn_weights_role.rawValue)] = b
      memory[Int(martlet_dnn_destination_role.rawValue)] = c
      memory[Int(martlet_dnn_scratch_role.rawValue)] = scratch
      return memory.baseAddress.map { primitive.run($0) } ?? false
    }
  }

  /// Computes pieces of the products; all of a product is one piece where they are not cut.
  private func run(_ pieces: Range<Int>, _ operands: Operands) {
    let p = product
    let (a, b, c) = (operands.a, operands.b, operands.c)
    let width = p.elementType.byteWidth
    let strides = (p.m * p.k * width, p.k * p.n * width, p.m * p.n * width)
    let isByOpenBLAS = if case .openBLAS = method { true } else { false }
    for item in pieces {
      let (i, piece) = item.quotientAndRemainder(dividingBy: pieceCount)
      let (x, y, z) = (a + i * strides.0, b + i * strides.1, c + i * strides.2)
      if p.k == 0 {
        z.initializeMemory(as: UInt8.self, repeating: 0, count: strides.2)
      } else if pieceCount > 1 {
        multiply(piece: piece, x, y, z)
      } else if p.n == 1 {
        multiply(p.transposeA, p.transposeA ? (p.k, p.m) : (p.m, p.k), x, y, z)
      } else if p.m == 1, isByOpenBLAS {
        multiply(!p.transposeB, p.transposeB ? (p.n, p.k) : (p.k, p.n), y, x, z)
      } else if isByOpenBLAS || !multiplyByDNN(x, y, z) {
        multiply(x, y, z, rows: p.m, columns: p.n)
      }
    }
  }

  /// Some rows of the result, or some columns.
  private func multiply(
    piece: Int, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer
  ) {
    let p = product
    let width = p.elementType.byteWidth
    let first = piece * Self.pieceExtent
    let count = min(Self.pieceExtent, max(p.m, p.n) - first)
    if p.m >= p.n {
      multiply(a + first * (p.transposeA ? 1 : p.k) * width, b, c + first * p.n * width, rows: count, columns: p.n)
    } else {
      multiply(a, b + first * (p.transposeB ? p.k : 1) * width, c + first * width, rows: p.m, columns: count)
    }
  }

  /// False where oneDNN has no memory to rearrange the matrices.
  private func multiplyByDNN(
    _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer
  ) -> Bool {
    let (m, n, k) = (Int64(product.m), Int64(product.n), Int64(product.k))
    return martlet_dnn_sgemm(
      product.transposeA ? 1 : 0, product.transposeB ? 1 : 0, m, n, k, 1, a.assumingMemoryBound(to: Float.self),
      product.transposeA ? m : k, b.assumingMemoryBound(to: Float.self), product.transposeB ? k : n, 0,
      c.assumingMemoryBound(to: Float.self), n) != 0
  }

  /// Rows and columns of the result, which begin where the pointers are.
  private func multiply(
    _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer, rows: Int, columns: Int
  ) {
    let (m, n, k) = (Int64(rows), Int64(columns), Int64(product.k))
    let (ta, tb): (Int32, Int32) = (product.transposeA ? 1 : 0, product.transposeB ? 1 : 0)
    let (lda, ldb, ldc) = (
      product.transposeA ? Int64(product.m) : k, product.transposeB ? k : Int64(product.n), Int64(product.n)
    )
    if product.elementType == .float32 {
      martlet_blas_sgemm(
        ta, tb, m, n, k, 1, a.assumingMemoryBound(to: Float.self), lda, b.assumingMemoryBound(to: Float.self), ldb, 0,
        c.assumingMemoryBound(to: Float.self), ldc)
    } else {
      martlet_blas_dgemm(
        ta, tb, m, n, k, 1, a.assumingMemoryBound(to: Double.self), lda, b.assumingMemoryBound(to: Double.self), ldb,
        0, c.assumingMemoryBound(to: Double.self), ldc)
    }
  }

  /// y = op(matrix) · x.
  private func multiply(
    _ transpose: Bool, _ extents: (rows: Int, columns: Int), _ matrix: UnsafeMutableRawPointer,
    _ x: UnsafeMutableRawPointer, _ y: UnsafeMutableRawPointer
  ) {
    let (rows, columns) = (Int64(extents.rows), Int64(extents.columns))
    // BLAS wants distances between rows that are no zeros.
    guard rows > 0, columns > 0 else { return }
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
