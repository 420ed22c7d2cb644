import CMartletRuntime
import MartletGraph
import MartletTensors

/// What a product does beside what kernels could do as well: the gradient of an activation, what that needs, adding up a factor.
extension CUDAProductExecution {
  var hasExtras: Bool { product.hasAuxiliary || product.summedFactor != nil }
  /// So many numbers of a row are looked at.
  static var checkedColumns: Int { 4096 }
  /// The number that trials fill operands with.
  var trialNumber: Double {
    var element = Array(repeating: CUDATrial.byte, count: product.elementType.byteWidth)
    return Self.numbers(&element, 1, product.elementType)[0]
  }

  /// The ways that do what the contract says where all numbers are the same: whose bits of the mask are in order, and whose sums are
  /// those of the factor, without the epilogue's scale, added in more than 16 bits.
  func waysWithExtras(
    _ ways: [martlet_cublaslt_heuristic], on stream: CUDAStream, _ addresses: CublasLtProduct.Addresses
  ) throws(CUDAFailure) -> [martlet_cublaslt_heuristic] {
    // With fewer columns the order of bits does not show.
    if product.epilogue.hasMask || product.storesMask, product.n < 8 { return [] }
    var usable: [martlet_cublaslt_heuristic] = []
    for way in ways {
      do throws(CUDAFailure) {
        if product.epilogue.hasMask { try fillMask(addresses.auxiliary, on: stream) }
        if product.epilogue.hasResidual {
          try stream.fill(addresses.residual, byte: 0, byteCount: product.m * product.n * product.resultType.byteWidth)
        }
        try call.enqueue(way, on: stream, addresses)
        if try isDone(way, on: stream, addresses) { usable.append(way) }
      } catch {
        if error.isOutOfMemory { throw error }
      }
    }
    return usable
  }

  /// Whether a call that was given has done what it should.
  private func isDone(
    _ way: martlet_cublaslt_heuristic, on stream: CUDAStream, _ addresses: CublasLtProduct.Addresses
  ) throws(CUDAFailure) -> Bool {
    if product.epilogue.hasMask { return try isMasked(addresses, on: stream) }
    if let factor = product.summedFactor { return try hasSums(addresses, of: factor, on: stream) }
    return try storesMask(way, addresses, on: stream)
  }

  /// The bits of a mask's rows but for the last, and that row's.
  private static var patterns: (UInt8, last: UInt8) { (0b0011_0101, 0b1001_1010) }

  /// Gives the last row other bits, by which the rows' distance shows.
  private func fillMask(_ address: UInt64, on stream: CUDAStream) throws(CUDAFailure) {
    let rowBytes = Epilogue.maskBytes(columns: product.n)
    try stream.fill(address, byte: Self.patterns.0, byteCount: (product.m - 1) * rowBytes)
    try stream.fill(
      address + UInt64((product.m - 1) * rowBytes), byte: Self.patterns.last, byteCount: rowBytes)
  }

  private func isMasked(_ addresses: CublasLtProduct.Addresses, on stream: CUDAStream) throws(CUDAFailure) -> Bool {
    let rows = try outerRows(addresses.c, on: stream)
    let patterns = [product.m == 1 ? Self.patterns.last : Self.patterns.0, Self.patterns.last]
    return zip(rows, patterns).allSatisfy { row, pattern in
      row.enumerated().allSatisfy { j, number in (number != 0) == (pattern >> (j % 8) & 1 == 1) }
    }
  }

  /// Whether a mask has the signs of a bias where all else is 0, in its first row and its last.
  private func storesMask(
    _ way: martlet_cublaslt_heuristic, _ addresses: CublasLtProduct.Addresses, on stream: CUDAStream
  ) throws(CUDAFailure) -> Bool {
    let pattern = Self.patterns.0
    let signs = Tensor(
      rounding: (0..<product.n).map { pattern >> ($0 % 8) & 1 == 1 ? 1 : -1 }, shape: [product.n],
      as: product.resultType)
    let (rowBytes, usedBytes) = (Epilogue.maskBytes(columns: product.n), product.n / 8)
    let bias = try PinnedMemory(context, byteCount: signs.byteCount)
    let found = try PinnedMemory(context, byteCount: 2 * usedBytes)
    defer { withExtendedLifetime((bias, found)) { try? stream.synchronize() } }
    signs.withUnsafeBytes { bias.bytes.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    try stream.copy(to: addresses.bias, fromHost: bias.bytes, byteCount: bias.byteCount)
    for (address, byteCount) in [(addresses.a, slotBytes[0]), (addresses.b, slotBytes[1])] {
      try stream.fill(address, byte: 0, byteCount: byteCount)
    }
    try stream.fill(addresses.auxiliary, byte: 0, byteCount: product.m * rowBytes)
    try call.enqueue(way, on: stream, addresses)
    for (i, row) in [0, product.m - 1].enumerated() {
      try stream.copy(
        toHost: found.bytes + i * usedBytes, from: addresses.auxiliary + UInt64(row * rowBytes), byteCount: usedBytes)
    }
    try stream.synchronize()
    return UnsafeRawBufferPointer(start: found.bytes, count: found.byteCount).allSatisfy { $0 == pattern }
  }

  private func hasSums(
    _ addresses: CublasLtProduct.Addresses, of factor: MatrixProduct.Factor, on stream: CUDAStream
  ) throws(CUDAFailure) -> Bool {
    let type = product.resultType
    let count = min(factor == .left ? product.m : product.n, Self.checkedColumns)
    let found = try numbers(addresses.sums, count, on: stream)
    let expected = trialNumber * Double(product.k)
    let tolerance = expected * (type.isHalf ? 2 / Double(1 << type.significandWidth) : 1e-3)
    return found.allSatisfy { abs($0 - expected) <= tolerance }
  }

  /// The first row and the last of an array like the result, or the beginnings of these.
  func outerRows(_ address: UInt64, on stream: CUDAStream) throws(CUDAFailure) -> [[Double]] {
    let (n, count) = (product.n, min(product.n, Self.checkedColumns))
    return try [0, product.m - 1].map { (row: Int) throws(CUDAFailure) in
      try numbers(address + UInt64(row * n * product.resultType.byteWidth), count, on: stream)
    }
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
    (plain.epilogue.hasGELUInput, plain.storesGELUInput) = (false, false)
    if product.storesGELUInput { plain.epilogue.activation = nil }
    guard let other = CUDAProductExecution(plain, owner, options, choices), let time = milliseconds(),
      let otherTime = other.milliseconds(), let copyTime = copyMilliseconds(copiedBytes)
    else { return false }
    let isWorth = time <= otherTime + copyTime
    choices?.keep([isWorth ? 1 : 0], "extras", contract)
    return isWorth
  }

  /// What a copy reads and writes in the time of the kernels that are saved.
  private var copiedBytes: Int {
    // A kernel that sums or packs reads an array, half of what a copy does; GELU's reads and writes; one that masks, or multiplies
    // with slopes, reads two and writes one, where packing the bits of a mask reads one.
    let resultBytes = product.m * product.n * product.resultType.byteWidth
    switch product.summedFactor {
    case .left: return slotBytes[0] / 2
    case .right: return slotBytes[1] / 2
    case nil: break
    }
    if product.storesMask { return resultBytes / 2 }
    return product.epilogue.hasGELUInput ? resultBytes / 2 * 3 : resultBytes
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
