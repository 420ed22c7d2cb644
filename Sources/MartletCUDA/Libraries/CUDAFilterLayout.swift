import MartletGraph

/// The way between filters as contracts have them and cuDNN's: [height, width, inputs, outputs] and [outputs, height, width,
/// inputs], or [outputs, inputs, height, width] beside images with channels first. A depthwise filter has one input, and
/// channels · multiplier outputs.
final class CUDAFilterLayout: Sendable {
  let byteCount: Int
  /// What is in the way is a second transposition, which needs as much memory again.
  var needsSecondBuffer: Bool { inner != nil && outer != nil }
  /// Whether both are the same.
  var isSame: Bool { inner == nil && outer == nil }

  /// Between [height · width · inputs, outputs] and [outputs, height · width · inputs].
  private let outer: (to: CUDATransposition, from: CUDATransposition)?
  /// Between [height · width, inputs] and [inputs, height · width], for each output.
  private let inner: (to: CUDATransposition, from: CUDATransposition)?

  init(_ c: Convolution, _ owner: CublasLtHandle) throws(CUDAFailure) {
    let inputs = c.isDepthwise ? 1 : c.inputChannels
    let (pixels, outputs) = (c.kernelHeight * c.kernelWidth, c.outputChannels)
    let type = c.elementType
    byteCount = pixels * inputs * outputs * type.byteWidth
    let rows = pixels * inputs
    outer =
      rows > 1 && outputs > 1
      ? (
        to: try CUDATransposition(owner, type, rows: rows, columns: outputs),
        from: try CUDATransposition(owner, type, rows: outputs, columns: rows)
      ) : nil
    inner =
      c.isChannelsFirst && pixels > 1 && inputs > 1
      ? (
        to: try CUDATransposition(owner, type, rows: pixels, columns: inputs, batch: outputs),
        from: try CUDATransposition(owner, type, rows: inputs, columns: pixels, batch: outputs)
      ) : nil
  }

  /// From the contract's layout to cuDNN's. `buffer` is needed where `needsSecondBuffer`.
  func pack(on stream: CUDAStream, from address: UInt64, to packed: UInt64, buffer: UInt64) throws(CUDAFailure) {
    if let outer { try outer.to.enqueue(on: stream, from: address, to: needsSecondBuffer ? buffer : packed) }
    if let inner { try inner.to.enqueue(on: stream, from: needsSecondBuffer ? buffer : address, to: packed) }
  }

  /// From cuDNN's layout to the contract's.
  func unpack(on stream: CUDAStream, from packed: UInt64, to address: UInt64, buffer: UInt64) throws(CUDAFailure) {
    if let inner { try inner.from.enqueue(on: stream, from: packed, to: needsSecondBuffer ? buffer : address) }
    if let outer { try outer.from.enqueue(on: stream, from: needsSecondBuffer ? buffer : packed, to: address) }
  }
}
