import CMartletRuntime
import MartletGraph
import MartletTensors
import Synchronization

/// Matrix products by cuBLASLt, with bias, residual and ReLU.
///
/// cuBLASLt's matrices are column-major, so that it is asked for the transposed product: cᵀ = op(b)ᵀ · op(a)ᵀ.
final class CUDAProductExecution: CUDALibraryExecution, @unchecked Sendable {
  private let product: MatrixProduct
  private let owner: CublasLtHandle
  private let options: CUDALibraryOptions
  private let a: CublasLtLayout
  private let b: CublasLtLayout
  private let c: CublasLtLayout
  private let operation: martlet_cublaslt_operation
  /// The ways to compute it, the likely best first.
  private let algorithms: [martlet_cublaslt_heuristic]
  /// The number of the way that was chosen. Its lock also guards the operation, which holds the bias's address.
  private let choice = Mutex<Int?>(nil)

  /// How many ways are timed.
  private static let candidates = 8
  /// Products of fewer multiplications take hardly longer than their launch, whatever the way.
  private static let smallWork = 1 << 22

  /// Nil where cuBLASLt does not do it.
  init?(_ product: MatrixProduct, _ owner: CublasLtHandle, _ options: CUDALibraryOptions) {
    let p = product
    guard p.elementType == .float32 || p.elementType == .float64, p.batch == 1 || p.epilogue.isEmpty,
      p.m > 0, p.n > 0, p.batch > 0, p.k > 0, max(p.m, p.n, p.k, p.batch) <= Int(Int32.max),
      (try? owner.context.makeCurrent()) != nil
    else { return nil }
    let isDouble = p.elementType == .float64
    let type = Int32(isDouble ? martlet_cublaslt_float64 : martlet_cublaslt_float32)
    let compute =
      isDouble
      ? martlet_cublaslt_compute_float64
      : options.allowsTF32 ? martlet_cublaslt_compute_tf32 : martlet_cublaslt_compute_float32
    var operation: martlet_cublaslt_operation?
    guard owner.library.pointee.MatmulDescCreate(&operation, Int32(compute), type) == 0, let operation else {
      return nil
    }
    func layout(_ rows: Int, _ columns: Int) -> CublasLtLayout? {
      try? CublasLtLayout(owner, type: type, rows: columns, columns: rows, batch: p.batch)
    }
    guard let a = p.transposeA ? layout(p.k, p.m) : layout(p.m, p.k),
      let b = p.transposeB ? layout(p.n, p.k) : layout(p.k, p.n), let c = layout(p.m, p.n),
      Self.describe(p, owner, operation),
      case let algorithms = Self.algorithms(p, owner, operation, a: a, b: b, c: c, limit: options.scratchLimit),
      !algorithms.isEmpty
    else {
      _ = owner.library.pointee.MatmulDescDestroy(operation)
      return nil
    }
    (self.product, self.owner, self.options) = (product, owner, options)
    (self.a, self.b, self.c, self.operation, self.algorithms) = (a, b, c, operation, algorithms)
  }

  deinit { _ = owner.library.pointee.MatmulDescDestroy(operation) }

  private static func describe(
    _ p: MatrixProduct, _ owner: CublasLtHandle, _ operation: martlet_cublaslt_operation
  ) -> Bool {
    func set(_ attribute: Int, _ value: Int) -> Bool {
      var value = Int32(value)
      return owner.library.pointee.MatmulDescSetAttribute(operation, Int32(attribute), &value, 4) == 0
    }
    // The library's first factor is b.
    var epilogue = p.epilogue.hasBias ? martlet_cublaslt_epilogue_bias : 0
    if p.epilogue.activation != nil { epilogue |= martlet_cublaslt_epilogue_relu }
    if epilogue == 0 { epilogue = martlet_cublaslt_epilogue_none }
    return set(
      martlet_cublaslt_operation_transpose_a, p.transposeB ? martlet_cublaslt_transposed : martlet_cublaslt_plain)
      && set(
        martlet_cublaslt_operation_transpose_b, p.transposeA ? martlet_cublaslt_transposed : martlet_cublaslt_plain)
      && set(martlet_cublaslt_operation_epilogue, epilogue)
  }

  private static func algorithms(
    _ p: MatrixProduct, _ owner: CublasLtHandle, _ operation: martlet_cublaslt_operation, a: CublasLtLayout,
    b: CublasLtLayout, c: CublasLtLayout, limit: Int
  ) -> [martlet_cublaslt_heuristic] {
    var preference: martlet_cublaslt_preference?
    guard owner.library.pointee.MatmulPreferenceCreate(&preference) == 0, let preference else { return [] }
    defer { _ = owner.library.pointee.MatmulPreferenceDestroy(preference) }
    var (bytes, alignment) = (UInt64(limit), UInt32(16))
    var isSet =
      owner.library.pointee.MatmulPreferenceSetAttribute(
        preference, Int32(martlet_cublaslt_preference_workspace), &bytes, 8) == 0
    for attribute in [
      martlet_cublaslt_preference_alignment_a, martlet_cublaslt_preference_alignment_b,
      martlet_cublaslt_preference_alignment_c, martlet_cublaslt_preference_alignment_d,
    ] {
      isSet =
        isSet && owner.library.pointee.MatmulPreferenceSetAttribute(preference, Int32(attribute), &alignment, 4) == 0
    }
    var results = [martlet_cublaslt_heuristic](repeating: martlet_cublaslt_heuristic(), count: candidates)
    var count: Int32 = 0
    guard isSet,
      owner.library.pointee.MatmulAlgoGetHeuristic(
        owner.handle, operation, b.layout, a.layout, c.layout, c.layout, preference, Int32(candidates), &results,
        &count) == 0
    else { return [] }
    return results.prefix(Int(count)).filter { $0.status == 0 && $0.workspace_bytes <= limit }
  }

  // MARK: Choosing

  var scratchBytes: Int { scratchBytes(isMeasured: true) }

  /// - Parameter isMeasured: Whether ways may be timed.
  private func scratchBytes(isMeasured: Bool) -> Int {
    // Captures take the locks in this order.
    owner.context.exclusively {
      choice.withLock { choice in
        if choice == nil { choice = isMeasured ? fastest() : 0 }
        var layout = CUDAScratchLayout()
        _ = layout.add(Int(algorithms[choice ?? 0].workspace_bytes))
        return layout.byteCount
      }
    }
  }

  /// The way that takes the least time; the first, where nothing is to be timed or memory for it is short.
  private func fastest() -> Int {
    let work = product.m * product.n * product.k * product.batch
    guard options.measures, !options.isDeterministic, algorithms.count > 1, work >= Self.smallWork else { return 0 }
    do throws(CUDAFailure) {
      let width = product.elementType.byteWidth
      let sizes = [product.m * product.k, product.k * product.n, product.n, product.m * product.n].map {
        $0 * product.batch * width
      }
      let context = owner.context
      let stream = try CUDAStream(context)
      let scratch = try DeviceMemory(context, byteCount: algorithms.map { Int($0.workspace_bytes) }.max() ?? 0)
      var memory: [DeviceMemory] = []
      defer { withExtendedLifetime((memory, scratch)) { try? stream.synchronize() } }
      for size in sizes {
        let piece = try DeviceMemory(context, byteCount: size)
        memory.append(piece)
        // Small numbers: nothing overflows, and a power limit is reached as it is with real ones.
        try stream.fill(piece.address, byte: 0x3C, byteCount: size)
      }
      let addresses = Addresses(
        a: memory[0].address, b: memory[1].address, bias: memory[2].address, residual: memory[3].address,
        c: memory[3].address, scratch: scratch.address)
      var best = (number: 0, milliseconds: Double.infinity)
      for number in algorithms.indices {
        let milliseconds = try? stream.milliseconds { () throws(CUDAFailure) in
          try enqueue(number, on: stream, addresses)
        }
        if let milliseconds, milliseconds < best.milliseconds { best = (number, milliseconds) }
      }
      return best.number
    } catch {
      return 0
    }
  }

  // MARK: Running

  private struct Addresses {
    var a: UInt64
    var b: UInt64
    var bias: UInt64
    var residual: UInt64
    var c: UInt64
    var scratch: UInt64
  }

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    let epilogue = product.epilogue
    let result = 2 + epilogue.operandCount
    // What is recorded cannot be timed.
    let scratchBytes = scratchBytes(isMeasured: !stream.isCapturing)
    let addresses = Addresses(
      a: slots[0], b: slots[1], bias: epilogue.hasBias ? slots[2] : 0,
      residual: epilogue.hasResidual ? slots[result - 1] : 0, c: slots[result],
      scratch: scratchBytes > 0 ? CUDAScratchLayout.begin(slots[result + 1]) : 0)
    try choice.withLock { choice throws(CUDAFailure) in
      let chosen = choice ?? 0
      let others = algorithms.indices.filter {
        $0 != chosen && algorithms[$0].workspace_bytes <= algorithms[chosen].workspace_bytes
      }
      for number in [chosen] + others {
        do throws(CUDAFailure) {
          choice = number
          return try enqueue(number, on: stream, addresses)
        } catch {
          // What cuBLASLt does not support after all, the next way may do.
          guard error.code == Int(martlet_cublaslt_not_supported), number != others.last ?? chosen else { throw error }
        }
      }
    }
  }

  private func enqueue(_ number: Int, on stream: CUDAStream, _ addresses: Addresses) throws(CUDAFailure) {
    try owner.context.makeCurrent()
    if product.epilogue.hasBias {
      var bias = addresses.bias
      try owner.check(
        owner.library.pointee.MatmulDescSetAttribute(operation, Int32(martlet_cublaslt_operation_bias), &bias, 8),
        "cublasLtMatmulDescSetAttribute")
    }
    var (alpha, beta) = (1.0, product.epilogue.hasResidual ? 1.0 : 0.0)
    var (alphaFloat, betaFloat) = (Float(alpha), Float(beta))
    let isDouble = product.elementType == .float64
    var algorithm = algorithms[number]
    func pointer(_ address: UInt64) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: UInt(address)) }
    let code = withUnsafePointer(to: &algorithm.algorithm) { algorithm in
      withUnsafeMutableBytes(of: &alpha) { alpha in
        withUnsafeMutableBytes(of: &beta) { beta in
          withUnsafeMutableBytes(of: &alphaFloat) { alphaFloat in
            withUnsafeMutableBytes(of: &betaFloat) { betaFloat in
              owner.library.pointee.Matmul(
                owner.handle, operation, isDouble ? alpha.baseAddress : alphaFloat.baseAddress, pointer(addresses.b),
                b.layout, pointer(addresses.a), a.layout, isDouble ? beta.baseAddress : betaFloat.baseAddress,
                pointer(product.epilogue.hasResidual ? addresses.residual : addresses.c), c.layout,
                pointer(addresses.c), c.layout, algorithm, pointer(addresses.scratch),
                Int(algorithms[number].workspace_bytes), stream.handle)
            }
          }
        }
      }
    }
    try owner.check(code, "cublasLtMatmul")
  }
}
