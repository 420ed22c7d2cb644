import CMartletRuntime
import MartletGraph
import MartletTensors

/// Sums of a factor beside a product.
extension CUDAProductExecution {
  /// The ways whose sums are those of the factor, without the epilogue's scale, added in more than 16 bits: all elements are the
  /// same number here.
  func summingWays(
    _ ways: [martlet_cublaslt_heuristic], on stream: CUDAStream, _ addresses: CublasLtProduct.Addresses
  ) throws(CUDAFailure) -> [martlet_cublaslt_heuristic] {
    let type = product.resultType
    let count = min(product.summedFactor == .left ? product.m : product.n, 4096)
    let found = try PinnedMemory(context, byteCount: count * type.byteWidth)
    defer { withExtendedLifetime(found) { try? stream.synchronize() } }
    found.bytes.initializeMemory(as: UInt8.self, repeating: CUDATrial.byte, count: found.byteCount)
    let element = Self.numbers(found, 1, product.elementType)[0]
    let expected = element * Double(product.k)
    let tolerance = expected * (type.isHalf ? 2 / Double(1 << type.significandWidth) : 1e-3)
    var exact: [martlet_cublaslt_heuristic] = []
    for way in ways {
      do throws(CUDAFailure) {
        try stream.fill(addresses.sums, byte: 0, byteCount: found.byteCount)
        try call.enqueue(way, on: stream, addresses)
        try stream.copy(toHost: found.bytes, from: addresses.sums, byteCount: found.byteCount)
        try stream.synchronize()
      } catch {
        if error.isOutOfMemory { throw error }
        continue
      }
      if Self.numbers(found, count, type).allSatisfy({ abs($0 - expected) <= tolerance }) { exact.append(way) }
    }
    return exact
  }

  private static func numbers(_ memory: PinnedMemory, _ count: Int, _ type: ElementType) -> [Double] {
    let bytes = memory.bytes.assumingMemoryBound(to: UInt8.self)
    let storage = TensorStorage(adopting: bytes, byteCount: count * type.byteWidth) { _ in }
    return Tensor(elementType: type, shape: [count], storage: storage).doubles()
  }

  /// Whether the product with the sums takes less time than the product and a kernel that reads the factor, in this process or
  /// in one before. Without measurements a kernel adds up.
  func isWorthSumming(_ owner: CublasLtHandle) -> Bool {
    guard options.measures, !options.isDeterministic else { return false }
    let contract = LibraryContract.matrixProduct(product)
    if let kept = choices?.kept("sums", contract), kept == [0] || kept == [1] { return kept == [1] }
    var plain = product
    plain.summedFactor = nil
    guard let other = CUDAProductExecution(plain, owner, options, choices), let time = milliseconds(),
      let otherTime = other.milliseconds(),
      let copyTime = copyMilliseconds(slotBytes[product.summedFactor == .left ? 0 : 1])
    else { return false }
    // A copy reads and writes.
    let isWorth = time <= otherTime + copyTime / 2
    choices?.keep([isWorth ? 1 : 0], "sums", contract)
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
