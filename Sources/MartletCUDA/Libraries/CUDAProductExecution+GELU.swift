import CMartletRuntime
import Foundation
import MartletGraph
import MartletTensors

/// GELU in its form with a tangent, and its gradient. How the tangent is computed is not documented, so that each way is tried where
/// what GELU is given is known.
extension CUDAProductExecution {
  /// The ways that compute GELU or its gradient by the formula, and not with an approximate tangent, and store what GELU is given
  /// where they should.
  func waysWithExactGELU(
    _ ways: [martlet_cublaslt_heuristic], on stream: CUDAStream, _ addresses: CublasLtProduct.Addresses
  ) throws(CUDAFailure) -> [martlet_cublaslt_heuristic] {
    let isGradient = product.epilogue.hasGELUInput
    let inputs = try isGradient ? givesInputs(on: stream, addresses) : givesBias(on: stream, addresses)
    let factor = isGradient ? Double(product.epilogue.scale) * trialNumber : 1
    let tolerance = abs(factor) * (options.allowsTF32 || options.allowsBFloat16 ? 1e-3 : isGradient ? 5e-6 : 2e-6)
    var exact: [martlet_cublaslt_heuristic] = []
    for way in ways {
      let results: [[Double]]
      let stored: [[Double]]
      do throws(CUDAFailure) {
        if product.epilogue.hasResidual {
          try stream.fill(addresses.residual, byte: 0, byteCount: product.m * product.n * 4)
        }
        if product.storesGELUInput {
          try stream.fill(addresses.auxiliary, byte: 0, byteCount: product.m * product.n * 4)
        }
        try call.enqueue(way, on: stream, addresses)
        results = try outerRows(addresses.c, on: stream)
        stored = product.storesGELUInput ? try outerRows(addresses.auxiliary, on: stream) : inputs
      } catch {
        if error.isOutOfMemory { throw error }
        continue
      }
      let isExact = zip(inputs.joined(), results.joined()).allSatisfy { x, found in
        abs(found - factor * (isGradient ? Self.slope(x) : Self.gelu(x))) <= tolerance * max(1, abs(x))
      }
      if isExact, stored == inputs { exact.append(way) }
    }
    return exact
  }

  private static func tangent(_ x: Double) -> Double {
    Foundation.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x))
  }

  private static func gelu(_ x: Double) -> Double { 0.5 * x * (1 + tangent(x)) }

  /// The derivative of GELU.
  private static func slope(_ x: Double) -> Double {
    let tangent = tangent(x)
    let inner = (2 / Double.pi).squareRoot() * (1 + 3 * 0.044715 * x * x)
    return 0.5 * (1 + tangent) + 0.5 * x * (1 - tangent * tangent) * inner
  }

  /// Numbers between -6 and 6, spread evenly whatever their number.
  private func points(from first: Int) -> [Float] {
    (first..<first + product.n).map { i in
      Float(12 * (Double(i) * 0.618_033_988_749_895).truncatingRemainder(dividingBy: 1) - 6)
    }
  }

  /// Operands for which GELU is given the bias, and that in the first row and the last.
  private func givesBias(
    on stream: CUDAStream, _ addresses: CublasLtProduct.Addresses
  ) throws(CUDAFailure) -> [[Double]] {
    for (address, byteCount) in [(addresses.a, slotBytes[0]), (addresses.b, slotBytes[1])] {
      try stream.fill(address, byte: 0, byteCount: byteCount)
    }
    let points = points(from: 0)
    try write(points, to: addresses.bias, on: stream)
    return Array(repeating: points.prefix(Self.checkedColumns).map { Double($0) }, count: 2)
  }

  /// Operands for which the product's first row and its last have one number of a trial everywhere, and other numbers in these rows
  /// of what GELU was given; they are the result.
  private func givesInputs(
    on stream: CUDAStream, _ addresses: CublasLtProduct.Addresses
  ) throws(CUDAFailure) -> [[Double]] {
    let last = product.m - 1
    let rows = [points(from: 0), points(from: last == 0 ? 0 : product.n)]
    try stream.fill(addresses.a, byte: 0, byteCount: slotBytes[0])
    for (row, points) in [(0, rows[0]), (last, rows[1])] {
      let first = row * (product.transposeA ? 1 : product.k)
      try write([1], to: addresses.a + UInt64(first * 4), on: stream)
      try write(points, to: addresses.auxiliary + UInt64(row * product.n * 4), on: stream)
    }
    return rows.map { $0.prefix(Self.checkedColumns).map { Double($0) } }
  }

  private func write(_ numbers: [Float], to address: UInt64, on stream: CUDAStream) throws(CUDAFailure) {
    let memory = try PinnedMemory(context, byteCount: numbers.count * 4)
    defer { withExtendedLifetime(memory) {} }
    numbers.withUnsafeBytes { memory.bytes.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    try stream.copy(to: address, fromHost: memory.bytes, byteCount: memory.byteCount)
    try stream.synchronize()
  }
}
