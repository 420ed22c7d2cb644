import CMartletRuntime
import MartletGraph
import Synchronization

/// Convolutions and their gradients by cuDNN, with bias, residual and ReLU.
///
/// Filters go through cuDNN's layout. Where the padding of an image is not the same on both sides, a copy with zeros around it
/// takes the image's place.
final class CUDAConvolutionExecution: CUDALibraryExecution, @unchecked Sendable {
  private let convolution: Convolution
  private let owner: CuDNNHandle
  private let options: CUDALibraryOptions
  private let descriptors: CuDNNDescriptors
  private let axes: (height: CUDAWindowAxis, width: CUDAWindowAxis)
  private let layout: CUDAFilterLayout
  private let image: martlet_cudnn_tensor
  private let filter: martlet_cudnn_filter
  private let result: martlet_cudnn_tensor
  private let bias: martlet_cudnn_tensor?
  private let activation: martlet_cudnn_activation
  private let operation: martlet_cudnn_convolution
  /// The filter in cuDNN's layout, where it is the same in every run.
  private let packed: DeviceMemory?
  private let choices: CUDAChoices?
  private let choice: Mutex<Choice>

  private struct Choice {
    /// The ways that may work, of which the first is taken.
    var ways: [martlet_cudnn_performance]
    /// What all ways have for their work.
    var workspaceBytes: Int
    var isFinal: Bool
    /// Whether cuDNN does the epilogue in the same call.
    var isFused: Bool

    /// Drops a way that did not work, unless it is the last.
    mutating func drop(_ way: martlet_cudnn_performance) -> Bool {
      let others = ways.filter { $0.algorithm != way.algorithm || $0.mathematics != way.mathematics }
      if others.isEmpty { return false }
      ways = others
      return true
    }
  }

  /// What needs no more than a call of cuDNN.
  private var isPadded: Bool { axes.height.offset > 0 || axes.width.offset > 0 || paddedBytes != imageBytes }
  private var width: Int { convolution.elementType.byteWidth }
  private var imageBytes: Int {
    convolution.batch * convolution.inputHeight * convolution.inputWidth * convolution.inputChannels * width
  }
  private var paddedBytes: Int {
    convolution.batch * axes.height.extent * axes.width.extent * convolution.inputChannels * width
  }
  private var resultBytes: Int {
    convolution.batch * convolution.outputHeight * convolution.outputWidth * convolution.outputChannels * width
  }

  /// Nil where cuDNN does not do it.
  init?(
    _ c: Convolution, _ owner: CuDNNHandle, _ cublasLt: CublasLtHandle, _ options: CUDALibraryOptions,
    _ choices: CUDAChoices? = nil
  ) {
    guard CuDNNDescriptors.holds(c.elementType), c.groups == 1 || c.isDepthwise,
      CuDNNDescriptors.holds(c.batch, c.inputHeight, c.inputWidth, c.inputChannels),
      CuDNNDescriptors.holds(c.batch, c.outputHeight, c.outputWidth, c.outputChannels),
      CuDNNDescriptors.holds(c.kernelHeight, c.kernelWidth, c.inputChannels, c.outputChannels),
      let height = CUDAWindowAxis(
        input: c.inputHeight, output: c.outputHeight, kernel: c.kernelHeight, stride: c.strideHeight,
        dilation: c.dilationHeight, before: c.paddingTop, after: c.paddingBottom),
      let width = CUDAWindowAxis(
        input: c.inputWidth, output: c.outputWidth, kernel: c.kernelWidth, stride: c.strideWidth,
        dilation: c.dilationWidth, before: c.paddingLeft, after: c.paddingRight),
      CuDNNDescriptors.holds(c.batch, height.extent, width.extent, c.inputChannels),
      // An epilogue without a bias would need one of zeros.
      c.role != .forward || c.epilogue.isEmpty || c.epilogue.hasBias,
      (try? owner.context.makeCurrent()) != nil
    else { return nil }
    let descriptors = CuDNNDescriptors(owner)
    do throws(CUDAFailure) {
      let (isFirst, type) = (c.isChannelsFirst, c.elementType)
      image = try descriptors.images(
        type, c.batch, c.inputChannels, height.extent, width.extent, isChannelsFirst: isFirst)
      result = try descriptors.images(
        type, c.batch, c.outputChannels, c.outputHeight, c.outputWidth, isChannelsFirst: isFirst)
      filter = try descriptors.filter(
        type, c.outputChannels, c.isDepthwise ? 1 : c.inputChannels, c.kernelHeight, c.kernelWidth,
        isChannelsFirst: isFirst)
      bias =
        c.epilogue.hasBias
        ? try descriptors.images(type, 1, c.outputChannels, 1, 1, isChannelsFirst: isFirst) : nil
      activation = try descriptors.activation(
        mode: c.epilogue.activation == nil ? martlet_cudnn_identity : martlet_cudnn_relu)
      operation = try descriptors.convolution(
        padding: (height.padding, width.padding), strides: (c.strideHeight, c.strideWidth),
        dilations: (c.dilationHeight, c.dilationWidth), groups: c.isDepthwise ? c.inputChannels : 1,
        mathematics: type.isHalf
          ? martlet_cudnn_tensor_mathematics
          : options.allowsTF32 ? martlet_cudnn_default_mathematics : martlet_cudnn_multiply_add)
      layout = try CUDAFilterLayout(c, cublasLt)
    } catch {
      return nil
    }
    (convolution, self.owner, self.options, self.descriptors) = (c, owner, options, descriptors)
    axes = (height, width)
    packed = nil
    self.choices = choices
    let candidates = CUDAConvolutionAlgorithms(
      owner: owner, role: c.role, elementType: c.elementType, image: image, filter: filter, result: result,
      convolution: operation,
      options: options, sizes: (0, 0, 0))
    let ways = candidates.estimated()
    let most = ways.map { Int($0.workspace_bytes) }.max() ?? 0
    choice = Mutex(Choice(ways: ways, workspaceBytes: most, isFinal: false, isFused: !c.epilogue.isEmpty))
    if ways.isEmpty || !isCarriedOut() { return nil }
  }

  private init(_ other: CUDAConvolutionExecution, packed: DeviceMemory) {
    (convolution, owner, options, descriptors) = (other.convolution, other.owner, other.options, other.descriptors)
    (axes, layout, image, filter, result) = (other.axes, other.layout, other.image, other.filter, other.result)
    (bias, activation, operation) = (other.bias, other.activation, other.operation)
    self.packed = packed
    choices = other.choices
    choice = Mutex(other.chosen())
  }

  // MARK: Choosing

  /// Whether cuDNN does the whole call with one of the ways, which is then the first. What cannot be tried for want of memory
  /// is believed.
  private func isCarriedOut() -> Bool {
    let pieces = pieces(choice.withLock { $0.workspaceBytes })
    while true {
      do throws(CUDAFailure) {
        try CUDATrial.run(owner.context, convolution.slotBytes + [pieces.byteCount]) {
          (stream, slots) throws(CUDAFailure) in
          try give(on: stream, slots)
        }
        return true
      } catch {
        if error.isOutOfMemory { return true }
        guard choice.withLock({ $0.drop($0.ways[0]) }) else { return false }
      }
    }
  }

  /// The choice that a plan can rely on.
  ///
  /// - Parameter isMeasured: Whether ways may be timed.
  private func chosen(isMeasured: Bool = true) -> Choice {
    // Captures take the locks in this order.
    owner.context.exclusively { decide(isMeasured: isMeasured) }
  }

  private func decide(isMeasured: Bool) -> Choice {
    choice.withLock { choice in
      if choice.isFinal { return choice }
      choice.isFinal = true
      if isMeasured, options.measures, !options.isDeterministic, !takeKept(&choice) {
        let candidates = CUDAConvolutionAlgorithms(
          owner: owner, role: convolution.role, elementType: convolution.elementType, image: image, filter: filter,
          result: result, convolution: operation, options: options, sizes: (paddedBytes, layout.byteCount, resultBytes))
        let measured = candidates.measured()
        choice.ways = measured + choice.ways
        if let best = measured.first { choices?.keep(Self.key(best), "convolution", .convolution(convolution)) }
      }
      let bytes = choice.ways[0].workspace_bytes
      choice.workspaceBytes = Int(bytes)
      choice.ways.removeAll { $0.workspace_bytes > bytes }
      return choice
    }
  }

  private static func key(_ way: martlet_cudnn_performance) -> [UInt8] {
    withUnsafeBytes(of: (way.algorithm.littleEndian, way.mathematics.littleEndian)) { Array($0) }
  }

  /// Takes the way that was the fastest in a process before, if it is still one of the ways.
  private func takeKept(_ choice: inout Choice) -> Bool {
    guard let kept = choices?.kept("convolution", .convolution(convolution)) else { return false }
    guard let known = choice.ways.firstIndex(where: { Self.key($0) == kept }) else {
      choices?.forget("convolution", .convolution(convolution))
      return false
    }
    choice.ways.swapAt(0, known)
    return true
  }

  private struct Pieces {
    var filter = 0
    var buffer = 0
    var image = 0
    var workspace = 0
    var byteCount = 0
  }

  private func pieces(_ workspaceBytes: Int) -> Pieces {
    var (scratch, pieces) = (CUDAScratchLayout(), Pieces())
    if !layout.isSame, packed == nil { pieces.filter = scratch.add(layout.byteCount) }
    if layout.needsSecondBuffer, packed == nil { pieces.buffer = scratch.add(layout.byteCount) }
    if isPadded { pieces.image = scratch.add(paddedBytes) }
    pieces.workspace = scratch.add(workspaceBytes)
    pieces.byteCount = scratch.byteCount
    return pieces
  }

  var scratchBytes: Int { scratchBytes(isMeasured: true) }

  /// - Parameter isMeasured: Whether ways may be timed.
  func scratchBytes(isMeasured: Bool) -> Int { pieces(chosen(isMeasured: isMeasured).workspaceBytes).byteCount }

  var unreadOperands: Set<Int> { packed == nil ? [] : [1] }

  func binding(_ constants: [Int: UInt64], on stream: CUDAStream) throws(CUDAFailure) -> any CUDALibraryExecution {
    try bound(constants, on: stream)
  }

  /// The same with a constant filter laid out now.
  func bound(_ constants: [Int: UInt64], on stream: CUDAStream) throws(CUDAFailure) -> CUDAConvolutionExecution {
    guard let address = constants[1], convolution.role != .backwardFilter, !layout.isSame else { return self }
    let packed = try DeviceMemory(owner.context, byteCount: layout.byteCount)
    let buffer = layout.needsSecondBuffer ? try DeviceMemory(owner.context, byteCount: layout.byteCount) : nil
    do throws(CUDAFailure) {
      try layout.pack(on: stream, from: address, to: packed.address, buffer: buffer?.address ?? 0)
      if buffer != nil { try stream.synchronize() }
    } catch {
      // Nothing may be in flight when the memory goes.
      try? stream.synchronize()
      throw error
    }
    return CUDAConvolutionExecution(self, packed: packed)
  }

  // MARK: Running

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    // What is recorded cannot be timed.
    _ = chosen(isMeasured: !stream.isCapturing)
    try give(on: stream, slots)
  }

  private func give(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    let bytes = choice.withLock { $0.workspaceBytes }
    let pieces = pieces(bytes)
    let epilogue = convolution.role == .forward ? convolution.epilogue : Epilogue()
    let resultSlot = convolution.role == .forward ? 2 + epilogue.operandCount : 3
    let scratch = pieces.byteCount > 0 ? CUDAScratchLayout.begin(slots[resultSlot + 1]) : 0
    let output = slots[resultSlot]
    func packedFilter() throws(CUDAFailure) -> UInt64 {
      if let packed { return packed.address }
      if layout.isSame { return slots[1] }
      try layout.pack(
        on: stream, from: slots[1], to: scratch + UInt64(pieces.filter), buffer: scratch + UInt64(pieces.buffer))
      return scratch + UInt64(pieces.filter)
    }
    func paddedImage() throws(CUDAFailure) -> UInt64 {
      guard isPadded else { return slots[0] }
      let padded = scratch + UInt64(pieces.image)
      try stream.fill(padded, byte: 0, byteCount: paddedBytes)
      try moveImage(on: stream, plain: slots[0], padded: padded, isBack: false)
      return padded
    }
    let workspace = pointer(scratch + UInt64(pieces.workspace))
    var (one, zero): (Float, Float) = (1, 0)
    switch convolution.role {
    case .forward:
      let (x, w) = (try paddedImage(), try packedFilter())
      try forward(
        on: stream, x: x, w: w, bias: epilogue.hasBias ? slots[2] : nil,
        residual: epilogue.hasResidual ? slots[resultSlot - 1] : nil, y: output, workspace, bytes)
    case .backwardData:
      let w = try packedFilter()
      let dx = isPadded ? scratch + UInt64(pieces.image) : output
      try convolve("cudnnConvolutionBackwardData", on: stream) { (library, handle, algorithm) in
        library.pointee.ConvolutionBackwardData(
          handle, &one, filter, pointer(w), result, pointer(slots[2]), operation, algorithm, workspace, bytes, &zero,
          image, pointer(dx))
      }
      if isPadded { try moveImage(on: stream, plain: output, padded: dx, isBack: true) }
    case .backwardFilter:
      let x = try paddedImage()
      let dw = layout.isSame ? output : scratch + UInt64(pieces.filter)
      try convolve("cudnnConvolutionBackwardFilter", on: stream) { (library, handle, algorithm) in
        library.pointee.ConvolutionBackwardFilter(
          handle, &one, image, pointer(x), result, pointer(slots[2]), operation, algorithm, workspace, bytes, &zero,
          filter, pointer(dw))
      }
      if !layout.isSame {
        try layout.unpack(on: stream, from: dw, to: output, buffer: scratch + UInt64(pieces.buffer))
      }
    }
  }

  /// Calls cuDNN with the first way, and where it does not do that after all, with the next.
  private func convolve(
    _ call: StaticString, on stream: CUDAStream,
    _ body: (UnsafePointer<martlet_cudnn>, martlet_cudnn_handle, _ algorithm: Int32) -> Int32
  ) throws(CUDAFailure) {
    while true {
      let way = choice.withLock { $0.ways[0] }
      let code = try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
        try setArithmetic(way)
        return body(library, handle, way.algorithm)
      }
      // Statuses from 2000 to 3999 refuse the call before anything is queued.
      guard 2000..<4000 ~= code, choice.withLock({ $0.drop(way) }) else { return try owner.check(code, call) }
    }
  }

  private func setArithmetic(_ way: martlet_cudnn_performance) throws(CUDAFailure) {
    guard options.allowsTF32 || convolution.elementType.isHalf else { return }
    try owner.check(
      owner.library.pointee.SetConvolutionMathType(operation, way.mathematics), "cudnnSetConvolutionMathType")
  }

  private func forward(
    on stream: CUDAStream, x: UInt64, w: UInt64, bias: UInt64?, residual: UInt64?, y: UInt64,
    _ workspace: UnsafeMutableRawPointer?, _ bytes: Int
  ) throws(CUDAFailure) {
    var (one, zero): (Float, Float) = (1, 0)
    var kept: Float = residual == nil ? 0 : 1
    let (way, isFused) = choice.withLock { ($0.ways[0], $0.isFused) }
    // Without an activation cuDNN fuses with one way only.
    let fuses =
      convolution.epilogue.activation != nil || way.algorithm == Int32(martlet_cudnn_forward_implicit_precomputed)
    if isFused, fuses, let bias, let biasType = self.bias {
      let code = try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
        try setArithmetic(way)
        return library.pointee.ConvolutionBiasActivationForward(
          handle, &one, image, pointer(x), filter, pointer(w), operation, way.algorithm, workspace, bytes, &kept,
          result, pointer(residual ?? y), biasType, pointer(bias), activation, result, pointer(y))
      }
      // Statuses from 3000 to 3999 say that cuDNN does not support it.
      guard 3000..<4000 ~= code else { return try owner.check(code, "cudnnConvolutionBiasActivationForward") }
      self.choice.withLock { $0.isFused = false }
    }
    if let residual { try stream.copy(to: y, from: residual, byteCount: resultBytes) }
    try convolve("cudnnConvolutionForward", on: stream) { (library, handle, algorithm) in
      library.pointee.ConvolutionForward(
        handle, &one, image, pointer(x), filter, pointer(w), operation, algorithm, workspace, bytes, &kept, result,
        pointer(y))
    }
    try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
      if let bias, let biasType = self.bias {
        try owner.check(
          library.pointee.AddTensor(handle, &one, biasType, pointer(bias), &one, result, pointer(y)),
          "cudnnAddTensor")
      }
      if convolution.epilogue.activation != nil {
        try owner.check(
          library.pointee.ActivationForward(handle, activation, &one, result, pointer(y), &zero, result, pointer(y)),
          "cudnnActivationForward")
      }
    }
  }

  private func moveImage(on stream: CUDAStream, plain: UInt64, padded: UInt64, isBack: Bool) throws(CUDAFailure) {
    let c = convolution
    let pixel = c.isChannelsFirst ? width : c.inputChannels * width
    let inside = padded + UInt64((axes.height.offset * axes.width.extent + axes.width.offset) * pixel)
    let small = (pitch: c.inputWidth * pixel, height: c.inputHeight)
    let large = (pitch: axes.width.extent * pixel, height: axes.height.extent)
    try stream.copy(
      to: isBack ? plain : inside, layout: isBack ? small : large, from: isBack ? inside : plain,
      layout: isBack ? large : small, width: small.pitch, height: c.inputHeight,
      depth: c.batch * (c.isChannelsFirst ? c.inputChannels : 1))
  }

  private func pointer(_ address: UInt64) -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(bitPattern: UInt(address))
  }
}
