import CMartletRuntime
import MartletGraph

/// Batch normalization in training by cuDNN, or its gradient, where that was found to take less time than generated kernels need
/// for their passes over memory.
final class CUDANormalizationExecution: CUDALibraryExecution, @unchecked Sendable {
  private let normalization: BatchNormalization
  private let owner: CuDNNHandle
  private let descriptors: CuDNNDescriptors
  private let image: martlet_cudnn_tensor
  private let vector: martlet_cudnn_tensor
  /// Ones, and behind them zeros, an element for each channel.
  private let constants: DeviceMemory
  private var mode: Int

  /// Nil where cuDNN does not do it, or not in less time. Nothing is known about that in sessions that do not measure; which is
  /// taken may differ from process to process, so that a deterministic session does not, and an exact one computes as written.
  init?(
    _ n: BatchNormalization, _ owner: CuDNNHandle, _ options: CUDALibraryOptions, _ choices: CUDAChoices?
  ) {
    let contract = LibraryContract.batchNormalization(n)
    guard CuDNNDescriptors.holds(n.elementType), CuDNNDescriptors.holds(n.batch, n.height, n.width, n.channels),
      n.count > 1, n.epsilon >= 0, n.passes > 0, options.measures, !options.isExact, !options.isDeterministic,
      (try? owner.context.makeCurrent()) != nil
    else { return nil }
    let kept = choices?.kept(Self.kind, contract)
    if kept == [0] { return nil }
    descriptors = CuDNNDescriptors(owner)
    do throws(CUDAFailure) {
      image = try descriptors.images(
        n.elementType, n.batch, n.channels, n.height, n.width, isChannelsFirst: n.isChannelsFirst)
      vector = try descriptors.images(.float32, 1, n.channels, 1, 1, isChannelsFirst: true)
      constants = try Self.constants(n, owner.context)
    } catch {
      return nil
    }
    (normalization, self.owner) = (n, owner)
    mode = martlet_cudnn_spatial
    // Where channels come first the persistent form adds integers, which may overflow.
    let modes = n.isChannelsFirst ? [martlet_cudnn_spatial] : [martlet_cudnn_spatial, martlet_cudnn_spatial_persistent]
    let known = modes.filter { [UInt8($0)] == kept }
    if let known = known.first {
      guard tried([known], timing: false)?.mode == known else { return nil }
      mode = known
      return
    }
    // What cannot be measured for want of memory may be another time.
    guard let found = tried(modes, timing: true) else { return nil }
    choices?.keep([found.isFaster ? UInt8(found.mode) : 0], Self.kind, contract)
    guard found.isFaster else { return nil }
    mode = found.mode
  }

  private static let kind = "normalization"

  private static func constants(
    _ n: BatchNormalization, _ context: CUDAContext
  ) throws(CUDAFailure) -> DeviceMemory {
    let host = try PinnedMemory(context, byteCount: 2 * n.vectorBytes)
    let numbers = host.bytes.bindMemory(to: Float.self, capacity: 2 * n.channels)
    numbers.initialize(repeating: 1, count: n.channels)
    (numbers + n.channels).initialize(repeating: 0, count: n.channels)
    let memory = try DeviceMemory(context, byteCount: host.byteCount)
    let stream = try CUDAStream(context)
    defer { withExtendedLifetime((host, memory)) { try? stream.synchronize() } }
    try stream.copy(to: memory.address, fromHost: host.bytes, byteCount: host.byteCount)
    try stream.synchronize()
    return memory
  }

  // MARK: Choosing

  /// The fastest of some modes that compute what they should, and whether it is faster than kernels can be at the rate of a copy,
  /// which is a read and a write. Mode 0 stands for none; nil is given where memory to find it out is short.
  private func tried(_ modes: [Int], timing: Bool) -> (mode: Int, isFaster: Bool)? {
    let n = normalization
    var best: (mode: Int, time: Double) = (0, .infinity)
    var limit = 0.0
    do throws(CUDAFailure) {
      try CUDATrial.run(owner.context, n.slotBytes + [scratchBytes]) { (stream, slots) throws(CUDAFailure) in
        let trial = CUDANormalizationTrial(n)
        try trial.fill(on: stream, slots)
        for mode in modes {
          do throws(CUDAFailure) {
            try enqueue(mode: mode, on: stream, slots)
            guard try trial.holds(on: stream, slots) else { continue }
            if !timing {
              best = (mode, 0)
              continue
            }
            let time = try stream.milliseconds { () throws(CUDAFailure) in
              try enqueue(mode: mode, on: stream, slots)
            }
            if time < best.time { best = (mode, time) }
          } catch {
            if error.isOutOfMemory { throw error }
          }
        }
        guard timing, best.mode != 0 else { return }
        let copyTime = try stream.milliseconds { () throws(CUDAFailure) in
          try stream.copy(to: slots[n.operandCount], from: slots[0], byteCount: n.imageBytes)
        }
        limit = copyTime * Double(n.passes) / 2
      }
    } catch {
      return nil
    }
    return (best.mode, best.time < limit)
  }

  // MARK: Running

  /// For the inverse deviations that a gradient is computed with.
  var scratchBytes: Int {
    if normalization.role == .forward { return 0 }
    var scratch = CUDAScratchLayout()
    _ = scratch.add(normalization.vectorBytes)
    return scratch.byteCount
  }

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    try enqueue(mode: mode, on: stream, slots)
  }

  private func enqueue(mode: Int, on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    switch normalization.role {
    case .forward: try forward(mode, on: stream, slots.map { Self.pointer($0) }, slots)
    case .backward: try backward(mode, on: stream, slots.map { Self.pointer($0) }, slots)
    }
  }

  private func forward(
    _ mode: Int, on stream: CUDAStream, _ p: [UnsafeMutableRawPointer?], _ slots: [UInt64]
  ) throws(CUDAFailure) {
    let n = normalization
    // cuDNN mixes with what is there, though with the weight 0.
    for slot in 4...5 { try stream.fill(slots[slot], byte: 0, byteCount: n.vectorBytes) }
    try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
      var (one, zero): (Float, Float) = (1, 0)
      try owner.check(
        library.pointee.BatchNormalizationForwardTraining(
          handle, Int32(mode), &one, &zero, image, p[0], image, p[3], vector, p[1], p[2], 1, p[4], p[5],
          Double(n.epsilon), nil, nil), "cudnnBatchNormalizationForwardTraining")
      // The running variance is that of a sample, n / (n - 1) times as much.
      var share = Float(Double(n.count - 1) / Double(n.count))
      try owner.check(
        library.pointee.AddTensor(handle, &share, vector, p[5], &zero, vector, p[7]), "cudnnAddTensor")
    }
    try stream.copy(to: slots[6], from: slots[4], byteCount: n.vectorBytes)
  }

  private func backward(
    _ mode: Int, on stream: CUDAStream, _ p: [UnsafeMutableRawPointer?], _ slots: [UInt64]
  ) throws(CUDAFailure) {
    let n = normalization
    let (ones, zeros) = (Self.pointer(constants.address), Self.pointer(constants.address + UInt64(n.vectorBytes)))
    let inverse = Self.pointer(CUDAScratchLayout.begin(slots[8]))
    let epsilon = Double(n.epsilon)
    try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
      var (one, zero): (Float, Float) = (1, 0)
      // The number 1, normalized around 0, is the inverse deviation.
      try owner.check(
        library.pointee.BatchNormalizationForwardInference(
          handle, Int32(martlet_cudnn_spatial), &one, &zero, vector, ones, vector, inverse, vector, ones, zeros,
          zeros, p[4], epsilon), "cudnnBatchNormalizationForwardInference")
      try owner.check(
        library.pointee.BatchNormalizationBackward(
          handle, Int32(mode), &one, &zero, &one, &zero, image, p[1], image, p[0], image, p[5], vector, p[2], p[6],
          p[7], epsilon, p[3], inverse), "cudnnBatchNormalizationBackward")
    }
  }

  private static func pointer(_ address: UInt64) -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(bitPattern: UInt(address))
  }
}

extension BatchNormalization {
  /// The bytes of operands and results.
  var slotBytes: [Int] {
    let images = Array(repeating: imageBytes, count: imageOperandCount)
    return images + Array(repeating: vectorBytes, count: operandCount - imageOperandCount) + [imageBytes]
      + Array(repeating: vectorBytes, count: resultCount - 1)
  }
}
