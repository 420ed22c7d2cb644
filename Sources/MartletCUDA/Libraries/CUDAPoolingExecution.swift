import CMartletRuntime
import MartletGraph

/// Pooling by cuDNN, and its gradient; that of maxima only where any of equal ones may get it, of which cuDNN promises none.
/// Nor does it say how gradients of 16 bits are added where windows overlap: these are not asked of it.
///
/// cuDNN clips windows at the image, and takes as many as the result has: padding behind the image need not be said.
final class CUDAPoolingExecution: CUDALibraryExecution, @unchecked Sendable {
  let scratchBytes = 0
  private let pooling: Pooling
  private let owner: CuDNNHandle
  private let descriptors: CuDNNDescriptors
  private let image: martlet_cudnn_tensor
  private let result: martlet_cudnn_tensor
  private let operation: martlet_cudnn_pooling

  /// Nil where cuDNN does not do it.
  init?(_ p: Pooling, _ owner: CuDNNHandle, _ options: CUDALibraryOptions) {
    let type = p.elementType
    guard CuDNNDescriptors.holds(type), !type.isHalf || p.role == .forward,
      CuDNNDescriptors.holds(p.batch, p.channels, p.inputHeight, p.inputWidth),
      CuDNNDescriptors.holds(p.batch, p.channels, p.outputHeight, p.outputWidth),
      p.role == .forward || p.kind == .average || options.allowsAnyMaximum,
      0..<p.kernelHeight ~= p.paddingTop, 0..<p.kernelWidth ~= p.paddingLeft,
      (try? owner.context.makeCurrent()) != nil
    else { return nil }
    let descriptors = CuDNNDescriptors(owner)
    do throws(CUDAFailure) {
      image = try descriptors.images(
        type, p.batch, p.channels, p.inputHeight, p.inputWidth, isChannelsFirst: p.isChannelsFirst)
      result = try descriptors.images(
        type, p.batch, p.channels, p.outputHeight, p.outputWidth, isChannelsFirst: p.isChannelsFirst)
      // The gradient of the other mode for maxima may have other bits in every run.
      let maximum =
        p.role == .forward ? martlet_cudnn_maximum : martlet_cudnn_maximum_deterministic
      operation = try descriptors.pooling(
        mode: p.kind == .maximum ? maximum : martlet_cudnn_average_excluding_padding,
        window: (p.kernelHeight, p.kernelWidth), padding: (p.paddingTop, p.paddingLeft),
        strides: (p.strideHeight, p.strideWidth))
    } catch {
      return nil
    }
    pooling = p
    (self.owner, self.descriptors) = (owner, descriptors)
    let sizes = (
      image: p.batch * p.channels * p.inputHeight * p.inputWidth * type.byteWidth,
      result: p.batch * p.channels * p.outputHeight * p.outputWidth * type.byteWidth
    )
    do throws(CUDAFailure) {
      let slotBytes =
        switch (p.role, p.kind) {
        case (.forward, _): [sizes.image, sizes.result]
        case (.backward, .maximum): [sizes.image, sizes.result, sizes.result, sizes.image]
        case (.backward, .average): [0, sizes.result, sizes.image]
        }
      var isExact = true
      try CUDATrial.run(owner.context, slotBytes) { (stream, slots) throws(CUDAFailure) in
        try enqueue(on: stream, slots)
        if type.isHalf, p.kind == .average { isExact = try isMean(slots[1], sizes.result, on: stream) }
      }
      if !isExact { return nil }
    } catch {
      if !error.isOutOfMemory || type.isHalf && p.kind == .average { return nil }
    }
  }

  /// Whether means of equal numbers are these, which they are if they were added in more than 16 bits.
  private func isMean(_ address: UInt64, _ byteCount: Int, on stream: CUDAStream) throws(CUDAFailure) -> Bool {
    let found = try PinnedMemory(owner.context, byteCount: min(byteCount, 1 << 16))
    defer { withExtendedLifetime(found) { try? stream.synchronize() } }
    try stream.copy(toHost: found.bytes, from: address, byteCount: found.byteCount)
    try stream.synchronize()
    return UnsafeRawBufferPointer(start: found.bytes, count: found.byteCount).allSatisfy { $0 == CUDATrial.byte }
  }

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    var (one, zero): (Float, Float) = (1, 0)
    func pointer(_ address: UInt64) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: UInt(address)) }
    try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
      switch (pooling.role, pooling.kind) {
      case (.forward, _):
        try owner.check(
          library.pointee.PoolingForward(
            handle, operation, &one, image, pointer(slots[0]), &zero, result, pointer(slots[1])),
          "cudnnPoolingForward")
      case (.backward, .maximum):
        try owner.check(
          library.pointee.PoolingBackward(
            handle, operation, &one, result, pointer(slots[1]), result, pointer(slots[2]), image, pointer(slots[0]),
            &zero, image, pointer(slots[3])), "cudnnPoolingBackward")
      case (.backward, .average):
        // The gradient of averages depends on neither image nor result; something must be there.
        let (dy, dx) = (pointer(slots[1]), pointer(slots[2]))
        try owner.check(
          library.pointee.PoolingBackward(
            handle, operation, &one, result, dy, result, dy, image, dx, &zero, image, dx), "cudnnPoolingBackward")
      }
    }
  }
}
