import CMartletRuntime
import MartletGraph
import MartletTensors
import Synchronization

/// Matrix products by cuBLASLt, with scale, bias, residual, ReLU, and GELU in its form with a tangent; or with the gradient of one of
/// the two, what that needs, or the sums of a factor, where these take less time so.
final class CUDAProductExecution: CUDALibraryExecution, @unchecked Sendable {
  let call: CublasLtProduct
  let context: CUDAContext
  let options: CUDALibraryOptions
  let choices: CUDAChoices?
  /// Its lock also makes calls take turns.
  private let choice: Mutex<Choice>

  private struct Choice {
    /// The ways that may work, of which the first is taken.
    var ways: [martlet_cublaslt_heuristic]
    /// What all ways have for their work.
    var workspaceBytes: Int
    var isFinal = false
  }

  var product: MatrixProduct { call.product }

  /// Products of fewer multiplications take hardly longer than their launch, whatever the way.
  private static let smallWork = 1 << 22

  /// Nil where cuBLASLt does not do it.
  init?(
    _ product: MatrixProduct, _ owner: CublasLtHandle, _ options: CUDALibraryOptions, _ choices: CUDAChoices? = nil
  ) {
    guard let call = CublasLtProduct(product, owner, options) else { return nil }
    (self.call, self.options, self.choices) = (call, options, choices)
    context = owner.context
    choice = Mutex(Choice(ways: call.ways, workspaceBytes: call.ways.map { Int($0.workspace_bytes) }.max() ?? 0))
    if !isCarriedOut() || hasExtras && !isWorthwhile(owner) { return nil }
  }

  // MARK: Trial

  /// The bytes of operands and results.
  var slotBytes: [Int] {
    let (p, width, resultWidth) = (product, product.elementType.byteWidth, product.resultType.byteWidth)
    let (a, b, c) = (p.m * p.k * p.batch * width, p.k * p.n * p.batch * width, p.m * p.n * p.batch * resultWidth)
    let sums = p.summedFactor.map { [($0 == .left ? p.m : p.n) * resultWidth] } ?? []
    let isMask = p.epilogue.hasMask || p.storesMask
    let auxiliary = p.hasAuxiliary ? [isMask ? p.m * Epilogue.maskBytes(columns: p.n) : c] : []
    let vectors = (p.epilogue.hasBias ? [p.n * resultWidth] : []) + (p.epilogue.hasResidual ? [c] : [])
    return [a, b] + vectors + (p.storesForGradient ? [c] + auxiliary : auxiliary + [c]) + sums
  }

  /// Whether cuBLASLt does the call with one of the ways, and as exactly as it should; the others are dropped. What cannot be
  /// tried for want of memory is believed, but for what is known to be approximated in several ways.
  private func isCarriedOut() -> Bool {
    choice.withLock { choice in
      var scratch = CUDAScratchLayout()
      _ = scratch.add(choice.workspaceBytes)
      let (isApproximate, hasExtras) = (product.isWithGELU, hasExtras)
      do throws(CUDAFailure) {
        try CUDATrial.run(context, slotBytes + [scratch.byteCount]) { (stream, slots) throws(CUDAFailure) in
          let addresses = addresses(slots)
          if isApproximate {
            choice.ways = try waysWithExactGELU(choice.ways, on: stream, addresses)
            return
          }
          if hasExtras {
            choice.ways = try waysWithExtras(choice.ways, on: stream, addresses)
            return
          }
          while let way = choice.ways.first {
            do throws(CUDAFailure) {
              try call.enqueue(way, on: stream, addresses)
              return
            } catch {
              if error.isOutOfMemory { throw error }
              choice.ways.removeFirst()
            }
          }
        }
      } catch {
        if !error.isOutOfMemory || isApproximate || hasExtras { return false }
      }
      return !choice.ways.isEmpty
    }
  }

  // MARK: Choosing

  var scratchBytes: Int {
    var layout = CUDAScratchLayout()
    _ = layout.add(decided(isMeasured: true).workspaceBytes)
    return layout.byteCount
  }

  /// The choice that a plan can rely on.
  ///
  /// - Parameter isMeasured: Whether ways may be timed.
  private func decided(isMeasured: Bool) -> Choice {
    // Captures take the locks in this order.
    context.exclusively {
      choice.withLock { choice in
        if choice.isFinal { return choice }
        choice.isFinal = true
        if isMeasured, let best = best(of: choice.ways) { choice.ways.swapAt(0, best) }
        let bytes = choice.ways[0].workspace_bytes
        choice.workspaceBytes = Int(bytes)
        choice.ways.removeAll { $0.workspace_bytes > bytes }
        return choice
      }
    }
  }

  /// The number of the way that takes the least time, in this process or in one before; nil where nothing is to be timed or
  /// memory for it is short.
  private func best(of ways: [martlet_cublaslt_heuristic]) -> Int? {
    let work = product.m * product.n * product.k * product.batch
    guard options.measures, !options.isDeterministic, ways.count > 1, work >= Self.smallWork else { return nil }
    func key(_ way: martlet_cublaslt_heuristic) -> [UInt8] { withUnsafeBytes(of: way.algorithm) { Array($0) } }
    if let kept = choices?.kept("product", .matrixProduct(product)) {
      if let known = ways.firstIndex(where: { key($0) == kept }) { return known }
      choices?.forget("product", .matrixProduct(product))
    }
    guard let best = fastest(of: ways) else { return nil }
    choices?.keep(key(ways[best]), "product", .matrixProduct(product))
    return best
  }

  private func fastest(of ways: [martlet_cublaslt_heuristic]) -> Int? {
    var scratch = CUDAScratchLayout()
    _ = scratch.add(ways.map { Int($0.workspace_bytes) }.max() ?? 0)
    var best = (number: nil as Int?, milliseconds: Double.infinity)
    // Small numbers: nothing overflows, and a power limit is reached as it is with real ones.
    try? CUDATrial.run(context, slotBytes + [scratch.byteCount]) { (stream, slots) throws(CUDAFailure) in
      for number in ways.indices {
        let milliseconds = try? stream.milliseconds { () throws(CUDAFailure) in
          try call.enqueue(ways[number], on: stream, addresses(slots))
        }
        if let milliseconds, milliseconds < best.milliseconds { best = (number, milliseconds) }
      }
    }
    return best.number
  }

  // MARK: Running

  private func addresses(_ slots: [UInt64]) -> CublasLtProduct.Addresses {
    let epilogue = product.epilogue
    let result = 2 + epilogue.operandCount
    let scratch = result + (product.summedFactor == nil && !product.storesForGradient ? 1 : 2)
    let auxiliary = epilogue.isGradient ? slots[result - 1] : product.storesForGradient ? slots[result + 1] : 0
    return CublasLtProduct.Addresses(
      a: slots[0], b: slots[1], bias: epilogue.hasBias ? slots[2] : 0,
      residual: epilogue.hasResidual ? slots[epilogue.hasBias ? 3 : 2] : 0,
      auxiliary: auxiliary, c: slots[result],
      sums: product.summedFactor == nil ? 0 : slots[result + 1],
      scratch: slots.count > scratch ? CUDAScratchLayout.begin(slots[scratch]) : 0)
  }

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    // What is recorded cannot be timed.
    _ = decided(isMeasured: !stream.isCapturing)
    let addresses = addresses(slots)
    try choice.withLock { choice throws(CUDAFailure) in
      while true {
        do throws(CUDAFailure) {
          return try call.enqueue(choice.ways[0], on: stream, addresses)
        } catch {
          // What cuBLASLt does not support after all, the next way may do.
          guard error.code == Int(martlet_cublaslt_not_supported), choice.ways.count > 1 else { throw error }
          choice.ways.removeFirst()
        }
      }
    }
  }
}
