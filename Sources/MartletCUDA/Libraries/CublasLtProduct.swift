import CMartletRuntime
import MartletGraph
import MartletTensors

/// A matrix product as cuBLASLt is told of it, with the ways to compute it.
///
/// Floats of 16 bits are multiplied and added in float32. cuBLASLt's matrices are column-major, so that it is asked for the
/// transposed product: cᵀ = op(b)ᵀ · op(a)ᵀ.
final class CublasLtProduct: @unchecked Sendable {
  /// Where operands and result are; 0 for those that the product does not have.
  struct Addresses {
    var a: UInt64
    var b: UInt64
    var bias: UInt64
    var residual: UInt64
    /// The mask, or what GELU is given.
    var auxiliary: UInt64
    var c: UInt64
    var sums: UInt64
    var scratch: UInt64
  }

  let product: MatrixProduct
  /// The likely best first. That cuBLASLt has them does not mean that it carries them out.
  let ways: [martlet_cublaslt_heuristic]
  private let owner: CublasLtHandle
  private let a: CublasLtLayout
  private let b: CublasLtLayout
  private let c: CublasLtLayout
  private let operation: martlet_cublaslt_operation

  /// How many ways are asked for.
  private static let candidates = 8

  /// Nil where cuBLASLt does not do it.
  init?(_ product: MatrixProduct, _ owner: CublasLtHandle, _ options: CUDALibraryOptions) {
    let p = product
    guard let type = p.elementType.cublasLtType, let resultType = p.resultType.cublasLtType,
      p.resultType == p.elementType || p.elementType.isHalf && p.resultType == .float32,
      p.batch == 1 || p.epilogue.isEmpty && p.summedFactor == nil,
      // Both have one address.
      !p.storesMask || p.epilogue.hasBias && p.epilogue.activation == .relu(slope: 0) && p.summedFactor == nil,
      !p.storesGELUInput || p.epilogue.hasBias && p.epilogue.activation == .geluByTanh && p.summedFactor == nil,
      p.summedFactor == nil || !p.epilogue.hasBias && p.epilogue.activation == nil && !p.epilogue.isGradient,
      !p.isWithGELU || p.elementType == .float32,
      // The dimension from column to column.
      p.n % 8 == 0 || !p.epilogue.hasGELUInput && !p.storesGELUInput,
      p.m > 0, p.n > 0, p.batch > 0, p.k > 0, max(p.m, p.n, p.k, p.batch) <= Int(Int32.max),
      (try? owner.context.makeCurrent()) != nil
    else { return nil }
    let isDouble = p.elementType == .float64
    let scaleType = Int32(isDouble ? martlet_cublaslt_float64 : martlet_cublaslt_float32)
    var operation: martlet_cublaslt_operation?
    let compute =
      switch p.elementType {
      case .float64: martlet_cublaslt_compute_float64
      case .float32: options.computeType
      default: martlet_cublaslt_compute_float32
      }
    guard owner.library.pointee.MatmulDescCreate(&operation, Int32(compute), scaleType) == 0, let operation else {
      return nil
    }
    func layout(_ rows: Int, _ columns: Int, _ type: Int32) -> CublasLtLayout? {
      try? CublasLtLayout(owner, type: type, rows: columns, columns: rows, batch: p.batch)
    }
    guard let a = p.transposeA ? layout(p.k, p.m, type) : layout(p.m, p.k, type),
      let b = p.transposeB ? layout(p.n, p.k, type) : layout(p.k, p.n, type), let c = layout(p.m, p.n, resultType),
      Self.describe(p, owner, operation),
      case let ways = Self.ways(p, owner, operation, a: a, b: b, c: c, limit: options.scratchLimit), !ways.isEmpty
    else {
      _ = owner.library.pointee.MatmulDescDestroy(operation)
      return nil
    }
    (self.product, self.owner, self.operation) = (product, owner, operation)
    (self.a, self.b, self.c, self.ways) = (a, b, c, ways)
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
    switch p.epilogue.activation {
    case nil: break
    case .geluByTanh: epilogue |= martlet_cublaslt_epilogue_gelu
    default: epilogue |= martlet_cublaslt_epilogue_relu
    }
    switch p.summedFactor {
    case .left: epilogue |= martlet_cublaslt_epilogue_sums_b
    case .right: epilogue |= martlet_cublaslt_epilogue_sums_a
    case nil: break
    }
    if p.epilogue.hasMask { epilogue |= martlet_cublaslt_epilogue_masked }
    if p.epilogue.hasGELUInput { epilogue |= martlet_cublaslt_epilogue_gelu_gradient }
    if p.storesForGradient { epilogue |= martlet_cublaslt_epilogue_storing }
    if epilogue == 0 { epilogue = martlet_cublaslt_epilogue_none }
    return set(
      martlet_cublaslt_operation_transpose_a, p.transposeB ? martlet_cublaslt_transposed : martlet_cublaslt_plain)
      && set(
        martlet_cublaslt_operation_transpose_b, p.transposeA ? martlet_cublaslt_transposed : martlet_cublaslt_plain)
      && set(martlet_cublaslt_operation_epilogue, epilogue)
      && (!p.epilogue.hasBias && p.summedFactor == nil || promise(martlet_cublaslt_operation_bias, owner, operation))
      && (!p.hasAuxiliary || promiseAuxiliary(p, owner, operation))
  }

  /// The heuristic takes the alignment of a bias, sums, a mask and the like from the address: what every slot of a plan is a multiple of.
  private static func promise(
    _ attribute: Int, _ owner: CublasLtHandle, _ operation: martlet_cublaslt_operation
  ) -> Bool {
    var address = UInt64(16)
    return owner.library.pointee.MatmulDescSetAttribute(operation, Int32(attribute), &address, 8) == 0
  }

  private static func promiseAuxiliary(
    _ p: MatrixProduct, _ owner: CublasLtHandle, _ operation: martlet_cublaslt_operation
  ) -> Bool {
    let isMask = p.epilogue.hasMask || p.storesMask
    var leading = Int64(isMask ? Epilogue.maskBytes(columns: p.n) * 8 : p.n)
    let attribute = Int32(martlet_cublaslt_operation_auxiliary_leading)
    return owner.library.pointee.MatmulDescSetAttribute(operation, attribute, &leading, 8) == 0
      && promise(martlet_cublaslt_operation_auxiliary, owner, operation)
  }

  private static func ways(
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
    if p.elementType.isHalf {
      var reductions = UInt32(martlet_cublaslt_reductions_in_full)
      isSet =
        isSet
        && owner.library.pointee.MatmulPreferenceSetAttribute(
          preference, Int32(martlet_cublaslt_preference_reductions), &reductions, 4) == 0
    }
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

  /// Gives a stream the product. The operation holds the address of bias or sums, and that of the mask or the like, until it is
  /// given: calls must take turns.
  func enqueue(
    _ way: martlet_cublaslt_heuristic, on stream: CUDAStream, _ addresses: Addresses
  ) throws(CUDAFailure) {
    try owner.context.makeCurrent()
    if product.epilogue.hasBias || product.summedFactor != nil {
      var bias = product.epilogue.hasBias ? addresses.bias : addresses.sums
      try owner.check(
        owner.library.pointee.MatmulDescSetAttribute(operation, Int32(martlet_cublaslt_operation_bias), &bias, 8),
        "cublasLtMatmulDescSetAttribute")
    }
    if product.hasAuxiliary {
      var address = addresses.auxiliary
      try owner.check(
        owner.library.pointee.MatmulDescSetAttribute(
          operation, Int32(martlet_cublaslt_operation_auxiliary), &address, 8),
        "cublasLtMatmulDescSetAttribute")
    }
    var (alpha, beta) = (Double(product.epilogue.scale), product.epilogue.hasResidual ? 1.0 : 0.0)
    var (alphaFloat, betaFloat) = (Float(alpha), Float(beta))
    let isDouble = product.elementType == .float64
    var algorithm = way.algorithm
    func pointer(_ address: UInt64) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: UInt(address)) }
    let code = withUnsafeMutableBytes(of: &alpha) { alpha in
      withUnsafeMutableBytes(of: &beta) { beta in
        withUnsafeMutableBytes(of: &alphaFloat) { alphaFloat in
          withUnsafeMutableBytes(of: &betaFloat) { betaFloat in
            owner.library.pointee.Matmul(
              owner.handle, operation, isDouble ? alpha.baseAddress : alphaFloat.baseAddress, pointer(addresses.b),
              b.layout, pointer(addresses.a), a.layout, isDouble ? beta.baseAddress : betaFloat.baseAddress,
              pointer(product.epilogue.hasResidual ? addresses.residual : addresses.c), c.layout,
              pointer(addresses.c), c.layout, &algorithm, pointer(addresses.scratch), Int(way.workspace_bytes),
              stream.handle)
          }
        }
      }
    }
    try owner.check(code, "cublasLtMatmul")
  }
}

extension MatrixProduct {
  /// Whether there is a mask, or an array of what GELU is given, as an operand or as a result.
  var hasAuxiliary: Bool { epilogue.isGradient || storesForGradient }
  /// Whether GELU or its gradient belongs to it.
  var isWithGELU: Bool { epilogue.activation == .geluByTanh || epilogue.hasGELUInput }
}

extension ElementType {
  /// The number of the type for cuBLASLt; nil for types of which it has no products.
  var cublasLtType: Int32? {
    switch self {
    case .float16: Int32(martlet_cublaslt_float16)
    case .bfloat16: Int32(martlet_cublaslt_bfloat16)
    case .float32: Int32(martlet_cublaslt_float32)
    case .float64: Int32(martlet_cublaslt_float64)
    default: nil
    }
  }
}

extension CUDALibraryOptions {
  /// How f32 is multiplied.
  fileprivate var computeType: Int {
    if allowsBFloat16 { return martlet_cublaslt_compute_bfloat16 }
    return allowsTF32 ? martlet_cublaslt_compute_tf32 : martlet_cublaslt_compute_float32
  }
}
