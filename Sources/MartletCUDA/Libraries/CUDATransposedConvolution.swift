import MartletGraph

/// A convolution of images with channels last by one of images with channels first, to and from which they are transposed.
final class CUDATransposedConvolution: CUDALibraryExecution {
  /// An image among the slots.
  private struct Image {
    var slot: Int
    var byteCount: Int
    var isResult: Bool
    /// Nil where both layouts are the same.
    var transposition: CUDATransposition?
  }

  private let inner: CUDAConvolutionExecution
  private let images: [Image]
  private let resultSlot: Int

  /// Nil where cuDNN does not do it.
  init?(
    _ c: Convolution, _ owner: CuDNNHandle, _ cublasLt: CublasLtHandle, _ options: CUDALibraryOptions,
    _ choices: CUDAChoices?
  ) {
    var other = c
    other.isChannelsFirst = true
    guard let inner = CUDAConvolutionExecution(other, owner, cublasLt, options, choices) else { return nil }
    let type = c.elementType
    func image(_ slot: Int, isResult: Bool = false, isOutput: Bool) throws(CUDAFailure) -> Image {
      let pixels = isOutput ? c.outputHeight * c.outputWidth : c.inputHeight * c.inputWidth
      let channels = isOutput ? c.outputChannels : c.inputChannels
      let isSame = pixels == 1 || channels == 1
      // Operands lose their channels at the end, the result gets them back.
      let (rows, columns) = isResult ? (channels, pixels) : (pixels, channels)
      return Image(
        slot: slot, byteCount: c.batch * pixels * channels * type.byteWidth, isResult: isResult,
        transposition: isSame
          ? nil : try CUDATransposition(cublasLt, type, rows: rows, columns: columns, batch: c.batch))
    }
    resultSlot = c.role == .forward ? 2 + c.epilogue.operandCount : 3
    do throws(CUDAFailure) {
      switch c.role {
      case .forward:
        images =
          [try image(0, isOutput: false)]
          + (c.epilogue.hasResidual ? [try image(resultSlot - 1, isOutput: true)] : [])
          + [try image(resultSlot, isResult: true, isOutput: true)]
      case .backwardData:
        images = [try image(2, isOutput: true), try image(3, isResult: true, isOutput: false)]
      case .backwardFilter: images = [try image(0, isOutput: false), try image(2, isOutput: true)]
      }
    } catch {
      return nil
    }
    self.inner = inner
  }

  private init(_ other: CUDATransposedConvolution, inner: CUDAConvolutionExecution) {
    (self.inner, images, resultSlot) = (inner, other.images, other.resultSlot)
  }

  /// Where in scratch memory the images are, and behind them the inner call's.
  ///
  /// - Parameter isMeasured: Whether the inner call's ways may be timed.
  private func layout(isMeasured: Bool) -> (offsets: [Int], inner: Int, byteCount: Int) {
    var scratch = CUDAScratchLayout()
    let offsets = images.map { scratch.add($0.transposition == nil ? 0 : $0.byteCount) }
    let inner = scratch.add(self.inner.scratchBytes(isMeasured: isMeasured))
    return (offsets, inner, scratch.byteCount)
  }

  var scratchBytes: Int { layout(isMeasured: true).byteCount }
  var unreadOperands: Set<Int> { inner.unreadOperands }

  func binding(_ constants: [Int: UInt64], on stream: CUDAStream) throws(CUDAFailure) -> any CUDALibraryExecution {
    CUDATransposedConvolution(self, inner: try inner.bound(constants, on: stream))
  }

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    let layout = layout(isMeasured: !stream.isCapturing)
    let scratch = layout.byteCount > 0 ? CUDAScratchLayout.begin(slots[resultSlot + 1]) : 0
    var innerSlots = Array(slots[...resultSlot])
    for (image, offset) in zip(images, layout.offsets) {
      guard let transposition = image.transposition else { continue }
      innerSlots[image.slot] = scratch + UInt64(offset)
      if !image.isResult {
        try transposition.enqueue(on: stream, from: slots[image.slot], to: innerSlots[image.slot])
      }
    }
    innerSlots.append(scratch + UInt64(layout.inner))
    try inner.enqueue(on: stream, innerSlots)
    for image in images where image.isResult {
      guard let transposition = image.transposition else { continue }
      try transposition.enqueue(on: stream, from: innerSlots[image.slot], to: slots[image.slot])
    }
  }
}
