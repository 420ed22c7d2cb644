import CMartletRuntime
import MartletGraph
import MartletTensors

/// What a product does beside what kernels could do as well: masking its result, storing a mask of it, adding up a factor.
extension CUDAProductExecution {
  var hasExtras: Bool { product.epilogue.hasMask || product.storesMask || product.summedFactor != nil }

  /// The ways that do what the contract says where all numbers are the same: whose bits of the mask are in order, and whose sums are
  /// those of the factor, without the epilogue's scale, added in more than 16 bits.
  func waysWithExtras(
    _ ways: [martlet_cublaslt_heuristic], on stream: CUDAStream, _ addresses: CublasLtProduct.Addresses
  ) throws(CUDAFailure) -> [martlet_cublaslt_heuristic] {
    // With fewer columns the order of bits does not show.
    if product.epilogue.hasMask || product.storesMask, product.n < 8 { return [] }
    let pattern: UInt8 = 0b0011_0101
    var usable: [martlet_cublaslt_heuristic] = []
    for way in ways {
      do throws(CUDAFailure) {
        if product.epilogue.hasMask {
          try stream.fill(
            addresses.mask, byte: pattern, byteCount: product.m * Epilogue.maskBytes(columns: product.n))
        }
        if product.epilogue.hasResidual {
          try stream.fill(addresses.residual, byte: 0, byteCount: product.m * product.n * product.resultType.byteWidth)
        }
        try call.enqueue(way, on: stream, addresses)
        if try isDone(way, on: stream, addresses, pattern) { usable.append(way) }
      } catch {
        if error.isOutOfMemory { throw error }
      }
    }
    return usable
  }

  /// Whether a call that was given has done what it should.
  private func isDone(
    _ way: martlet_cublaslt_heuristic, on stream: CUDAStream, _ addresses: CublasLtProduct.Addresses, _ pattern: UInt8
  ) throws(CUDAFailure) -> Bool {
    if product.epilogue.hasMask { return try isMasked(addresses, by: pattern, on: stream) }
    if let factor = product.summedFactor { return try hasSums(addresses, of: factor, on: stream) }
    return try storesMask(way, addresses, of: pattern, on: stream)
  }

  private func isMasked(
    _ addresses: CublasLtProduct.Addresses, by pattern: UInt8, on stream: CUDAStream
  ) throws(CUDAFailure) -> Bool {
    let found = try numbers(addresses.c, min(product.n, 4096), on: stream)
    return found.enumerated().allSatisfy { j, number in (number != 0) == (pattern >> (j % 8) & 1 == 1) }
  }

  /// Whether a mask has the signs of a bias where all else is 0.
  private func storesMask(
    _ way: martlet_cublaslt_heuristic, _ addresses: CublasLtProduct.Addresses, of pattern: UInt8, on stream: CUDAStream
  ) throws(CUDAFailure) -> Bool {
    let signs = Tensor(
      rounding: (0..<product.n).map { pattern >> ($0 % 8) & 1 == 1 ? 1 : -1 }, shape: [product.n],
      as: product.resultType)
    let bias = try PinnedMemory(context, byteCount: signs.byteCount)
    let found = try PinnedMemory(context, byteCount: product.n / 8)
    defer { withExtendedLifetime((bias, found)) { try? stream.synchronize() } }
    signs.withUnsafeBytes { bias.bytes.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    try stream.copy(to: addresses.bias, fromHost: bias.bytes, byteCount: bias.byteCount)
    for (address, byteCount) in [(addresses.a, slotBytes[0]), (addresses.b, slotBytes[1])] {
      try stream.fill(address, byte: 0, byteCount: byteCount)
    }
    try call.enqueue(way, on: stream, addresses)
    try stream.copy(toHost: found.bytes, from: addresses.mask, byteCount: found.byteCount)
    try stream.synchronize()
    return UnsafeRawBufferPointer(start: found.bytes, count: found.byteCount).allSatisfy { $0 == pattern }
  }

  private func hasSums(
    _ addresses: CublasLtProduct.Addresses, of factor: MatrixProduct.Factor, on stream: CUDAStream
  ) throws(CUDAFailure) -> Bool {
    let type = product.resultType
    let found = try numbers(addresses.sums, min(factor == .left ? product.m : product.n, 4096), on: stream)
    var element = Array(repeating: CUDATrial.byte, count: product.elementType.byteWidth)
    let expected = Self.numbers(&element, 1, product.elementType)[0] * Double(product.k)
    let tolerance = expected * (type.isHalf ? 2 / Double(1 << type.significandWidth) : 1e-3)
    return found.allSatisfy { abs($0 - expected) <= tolerance }
  }

  /// Numbers of the result's type in device memory.
  private func numbers(_ address: UInt64, _ count: Int, on stream: CUDAStream) throws(CUDAFailure) -> [Double] {
    let memory = try PinnedMemory(context, byteCount: count * product.resultType.byteWidth)
    defer { withExtendedLifetime(memory) { try? stream.synchronize() } }
    try stream.copy(toHost: memory.bytes, from: address, byteCount: memory.byteCount)
    try stream.synchronize()
    return Self.numbers(memory.bytes, count, product.resultType)
  }

  private static func numbers(_ bytes: UnsafeMutableRawPointer, _ count: Int, _ type: ElementType) -> [Double] {
    let storage = TensorStorage(
      adopting: bytes.assumingMemoryBound(to: UInt8.self), byteCount: count * type.byteWidth
    ) { _ in }
    return Tensor(elementType: type, shape: [count], storage: storage).doubles()
  }

  /// Whether the product takes less time than without what it does beside, and with kernels that do it, in this process or in one
  /// before. Without measurements kernels do it.
  func isWorthwhile(_ owner: CublasLtHandle) -> Bool {
    guard options.measures, !options.isDeterministic else { return false }
    let contract = LibraryContract.matrixProduct(product)
    if let kept = choices?.kept("extras", contract), kept == [0] || kept == [1] { return kept == [1] }
    var plain = product
    (plain.summedFactor, plain.epilogue.hasMask, plain.storesMask) = (nil, false, false)
    // A kernel that sums or packs reads an array, half of what a copy does; one that masks reads two and writes one, where packing
    // the bits reads one.
    let resultBytes = product.m * product.n * product.resultType.byteWidth
    let savedBytes =
      switch product.summedFactor {
      case .left: slotBytes[0] / 2
      case .right: slotBytes[1] / 2
      case nil: product.storesMask ? resultBytes / 2 : resultBytes
      }
    guard let other = CUDAProductExecution(plain, owner, options, choices), let time = milliseconds(),
      let otherTime = other.milliseconds(), let copyTime = copyMilliseconds(savedBytes)
    else { return false }
    let isWorth = time <= otherTime + copyTime
    choices?.keep([isWorth ? 1 : 0], "extras", contract)
    return isWorth
  }

  /// The time of a call; nil where memory to find it out is short.
  private func milliseconds() -> Double? {
    let slots = slotBytes + [scratchBytes]
    var found: Double?
    try? CUDATrial.run(context, slots) { (stream, slots) throws(CUDAFailure) in
      found = try stream.milliseconds { () throws(CUDAFailure) in try enqueue(on: stream, slots) }
    }
    return found
  }

  /// The time in which so many bytes are copied.
  private func copyMilliseconds(_ byteCount: Int) -> Double? {
    var found: Double?
    try? CUDATrial.run(context, [byteCount, byteCount]) { (stream, slots) throws(CUDAFailure) in
      found = try stream.milliseconds { () throws(CUDAFailure) in
        try stream.copy(to: slots[1], from: slots[0], byteCount: byteCount)
      }
    }
    return found
  }
}
