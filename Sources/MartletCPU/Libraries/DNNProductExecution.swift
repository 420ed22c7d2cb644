import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Products by oneDNN, which lays the right matrix out as it likes: of `float32` those with a constant matrix, with an epilogue
/// on the way, and of `bfloat16` all where the processor multiplies pairs of them (AVX512_BF16, AMX). These sum in `float32`
/// and take subnormal numbers for zero.
final class DNNProductExecution: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let product: MatrixProduct
  private let primitive: DNNPrimitive
  /// The extents and strides of the right matrix.
  private let matrix: [Int64]
  /// From the matrix's layout to the primitive's, where they differ.
  private let reorder: DNNPrimitive?
  private let packed: LaidOutConstant?
  private let matrixOffset: Int
  private let scratchOffset: Int

  /// With fewer multiplications the team is not worth waking.
  private static let narrowLimit = 1 << 18

  /// Nil where another library, or generated code behind it, does better.
  init?(_ product: MatrixProduct, isExact: Bool) {
    let type: martlet_dnn_type
    switch product.elementType {
    case .float32 where product.isRightConstant && !product.transposeA: type = martlet_dnn_f32
    case .bfloat16 where product.epilogue.isEmpty && !isExact: type = martlet_dnn_bf16
    default: return nil
    }
    guard product.batch == 1, Double(product.m) * Double(product.n) * Double(product.k) >= Double(Self.narrowLimit)
    else { return nil }
    let (m, n, k) = (product.m, product.n, product.k)
    let matrix = martlet_dnn_tensor([k, n], strides: product.transposeB ? [1, k] : [n, 1], type)
    var description = martlet_dnn_description()
    description.kind = martlet_dnn_product
    description.source = martlet_dnn_tensor([m, k], strides: product.transposeA ? [1, m] : [k, 1], type)
    description.weights = matrix.inAnyLayout
    description.destination = martlet_dnn_tensor([m, n], strides: [n, 1], type)
    description.setEpilogue(product.epilogue, channels: n, biasRank: 2)
    guard let primitive = DNNPrimitive(description) else { return nil }
    let implementation = primitive.implementation
    // Elsewhere oneDNN emulates the type, which is slower than float32.
    let isNative = type == martlet_dnn_f32 || implementation.contains("bf16") || implementation.contains("amx")
    guard isNative, !implementation.hasPrefix("ref") else { return nil }
    var layout = ScratchLayout()
    if primitive.isLaidOut(martlet_dnn_weights_role, as: matrix) {
      reorder = nil
      matrixOffset = 0
    } else {
      guard let reorder = primitive.reorder(martlet_dnn_weights_role, matrix, isBack: false) else { return nil }
      self.reorder = reorder
      matrixOffset = layout.add(primitive.bytes(martlet_dnn_weights_role))
    }
    scratchOffset = layout.add(primitive.bytes(martlet_dnn_scratch_role))
    scratchBytes = layout.byteCount
    self.product = product
    self.primitive = primitive
    self.matrix = matrix.extentsAndStrides
    packed = nil
  }

  private init(_ other: DNNProductExecution, packed: LaidOutConstant) {
    scratchBytes = other.scratchBytes
    product = other.product
    primitive = other.primitive
    matrix = other.matrix
    reorder = other.reorder
    self.packed = packed
    matrixOffset = other.matrixOffset
    scratchOffset = other.scratchOffset
  }

  private func specialized(for constants: [Int: Constant], _ layouts: ConstantLayouts) -> DNNProductExecution? {
    guard let reorder, let matrix = constants[1],
      let source = PrimitiveLayout(martlet_dnn_weights_role, of: primitive, from: self.matrix, by: reorder)
    else { return nil }
    return layouts.constant(matrix, by: source).map { DNNProductExecution(self, packed: $0) }
  }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    (specialized(for: constants, layouts) ?? self).call
  }

  private var call: BoundCall {
    BoundCall(
      { _, slots, data in BoundCall.object(DNNProductExecution.self, at: data).run(slots) ? 0 : 1 }, object: self,
      unread: packed == nil ? [] : [1])
  }

  private func run(_ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>) -> Bool {
    let epilogue = product.epilogue
    let result = 2 + epilogue.operandCount
    func address(_ slot: Int) -> UnsafeMutableRawPointer? { slots[slot].map { UnsafeMutableRawPointer($0) } }
    let scratch = scratchBytes > 0 ? address(result + 1) : nil
    var matrix = address(1)
    let packed = self.packed?.storage()
    defer { withExtendedLifetime(packed) {} }
    if self.packed != nil {
      guard let packed else { return false }
      matrix = packed.bytes
    } else if let reorder {
      let inner = scratch.map { $0 + matrixOffset }
      guard reorder.move(matrix, inner) else { return false }
      matrix = inner
    }
    if epilogue.hasResidual, let residual = address(result - 1), let target = address(result), residual != target {
      target.copyMemory(from: residual, byteCount: product.m * product.n * 4)
    }
    return withUnsafeTemporaryAllocation(
      of: UnsafeMutableRawPointer?.self, capacity: Int(martlet_dnn_role_count.rawValue)
    ) { memory in
      memory.initialize(repeating: nil)
      memory[Int(martlet_dnn_source_role.rawValue)] = address(0)
      memory[Int(martlet_dnn_weights_role.rawValue)] = matrix
      if epilogue.hasBias { memory[Int(martlet_dnn_bias_role.rawValue)] = address(2) }
      memory[Int(martlet_dnn_destination_role.rawValue)] = address(result)
      memory[Int(martlet_dnn_scratch_role.rawValue)] = scratch.map { $0 + scratchOffset }
      return memory.baseAddress.map { primitive.run($0) } ?? false
    }
  }
}
