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
  private let choice: Mutex<Choice>

  private struct Choice {
    var algorithm: martlet_cudnn_performance
    var isFinal: Bool
    /// Whether cuDNN does the epilogue in the same call.
    var isFused: Bool
  }

  /// What needs no more than a call of cuDNN.
  private var isPadded: Bool { axes.height.offset > 0 || axes.width.offset > 0 || paddedBytes != imageBytes }
  private var imageBytes: Int {
    convolution.batch * convolution.inputHeight * convolution.inputWidth * convolution.inputChannels * 4
  }
  private var paddedBytes: Int {
    convolution.batch * axes.height.extent * axes.width.extent * convolution.inputChannels * 4
  }
  private var resultBytes: Int {
    convolution.batch * convolution.outputHeight * convolution.outputWidth * convolution.outputChannels * 4
  }

  /// Nil where cuDNN does not do it.
  init?(
    _ c: Convolution, _ owner: CuDNNHandle, _ cublasLt: CublasLtHandle, _ options: CUDALibraryOptions
  ) {
    let extents = [
      c.batch, c.inputHeight, c.inputWidth, c.inputChannels, c.outputHeight, c.outputWidth, c.outputChannels,
      c.kernelHeight, c.kernelWidth,
    ]
    guard c.elementType == .float32, c.groups == 1 || c.isDepthwise, !extents.contains(where: { $0 <= 0 }),
      let height = CUDAWindowAxis(
        input: c.inputHeight, output: c.outputHeight, kernel: c.kernelHeight, stride: c.strideHeight,
        dilation: c.dilationHeight, before: c.paddingTop, after: c.paddingBottom),
      let width = CUDAWindowAxis(
        input: c.inputWidth, output: c.outputWidth, kernel: c.kernelWidth, stride: c.strideWidth,
        dilation: c.dilationWidth, before: c.paddingLeft, after: c.paddingRight),
      // An epilogue without a bias would need one of zeros.
      c.role != .forward || c.epilogue.isEmpty || c.epilogue.hasBias,
      (try? owner.context.makeCurrent()) != nil
    else { return nil }
    let descriptors = CuDNNDescriptors(owner)
    do throws(CUDAFailure) {
      let isFirst = c.isChannelsFirst
      image = try descriptors.images(
        c.batch, c.inputChannels, height.extent, width.extent, isChannelsFirst: isFirst)
      result = try descriptors.images(
        c.batch, c.outputChannels, c.outputHeight, c.outputWidth, isChannelsFirst: isFirst)
      filter = try descriptors.filter(
        c.outputChannels, c.isDepthwise ? 1 : c.inputChannels, c.kernelHeight, c.kernelWidth,
        isChannelsFirst: isFirst)
      bias =
        c.epilogue.hasBias
        ? try descriptors.images(1, c.outputChannels, 1, 1, isChannelsFirst: isFirst) : nil
      activation = try descriptors.activation(
        mode: c.epilogue.activation == nil ? martlet_cudnn_identity : martlet_cudnn_relu)
      operation = try descriptors.convolution(
        padding: (height.padding, width.padding), strides: (c.strideHeight, c.strideWidth),
        dilations: (c.dilationHeight, c.dilationWidth), groups: c.isDepthwise ? c.inputChannels : 1,
        mathematics: options.allowsTF32 ? martlet_cudnn_default_mathematics : martlet_cudnn_multiply_add)
      layout = try CUDAFilterLayout(c, cublasLt)
    } catch {
      return nil
    }
    (convolution, self.owner, self.options, self.descriptors) = (c, owner, options, descriptors)
    axes = (height, width)
    packed = nil
    let candidates = CUDAConvolutionAlgorithms(
      owner: owner, role: c.role, image: image, filter: filter, result: result, convolution: operation,
      options: options, sizes: (0, 0, 0))
    guard let first = candidates.estimated() else { return nil }
    choice = Mutex(Choice(algorithm: first, isFinal: false, isFused: !c.epilogue.isEmpty))
  }

  private init(_ other: CUDAConvolutionExecution, packed: DeviceMemory) {
    (convolution, owner, options, descriptors) = (other.convolution, other.owner, other.options, other.descriptors)
    (axes, layout, image, filter, result) = (other.axes, other.layout, other.image, other.filter, other.result)
    (bias, activation, operation) = (other.bias, other.activation, other.operation)
    self.packed = packed
    choice = Mutex(other.chosen)
  }

  // MARK: Choosing

  private var chosen: Choice {
    choice.withLock { choice in
      if choice.isFinal { return choice }
      choice.isFinal = true
      if options.measures, !options.isDeterministic {
        let candidates = CUDAConvolutionAlgorithms(
          owner: owner, role: convolution.role, image: image, filter: filter, result: result, convolution: operation,
          options: options, sizes: (paddedBytes, layout.byteCount, resultBytes))
        if let fastest = candidates.measured() { choice.algorithm = fastest }
      }
      if options.allowsTF32 {
        _ = owner.library.pointee.SetConvolutionMathType(operation, choice.algorithm.mathematics)
      }
      // Without an activation cuDNN fuses with one way only.
      if convolution.epilogue.activation == nil,
        choice.algorithm.algorithm != Int32(martlet_cudnn_forward_implicit_precomputed)
      {
        choice.isFused = false
      }
      return choice
    }
  }

  private struct Pieces {
    var filter = 0
    var buffer = 0
    var image = 0
    var workspace = 0
    var byteCount = 0
  }

  private var pieces: Pieces {
    var (scratch, pieces) = (CUDAScratchLayout(), Pieces())
    if !layout.isSame, packed == nil { pieces.filter = scratch.add(layout.byteCount) }
    if layout.needsSecondBuffer, packed == nil { pieces.buffer = scratch.add(layout.byteCount) }
    if isPadded { pieces.image = scratch.add(paddedBytes) }
    pieces.workspace = scratch.add(Int(chosen.algorithm.workspace_bytes))
    pieces.byteCount = scratch.byteCount
    return pieces
  }

  var scratchBytes: Int { pieces.byteCount }

  func binding(_ constants: [Int: UInt64], on stream: CUDAStream) throws(CUDAFailure) -> any CUDALibraryExecution {
    guard let address = constants[1], convolution.role != .backwardFilter, !layout.isSame else { return self }
    let packed = try DeviceMemory(owner.context, byteCount: layout.byteCount)
    let buffer = layout.needsSecondBuffer ? try DeviceMemory(owner.context, byteCount: layout.byteCount) : nil
    try layout.pack(on: stream, from: address, to: packed.address, buffer: buffer?.address ?? 0)
    if buffer != nil { try stream.synchronize() }
    return CUDAConvolutionExecution(self, packed: packed)
  }

  // MARK: Running

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    let (choice, pieces) = (chosen, pieces)
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
    let bytes = Int(choice.algorithm.workspace_bytes)
    let algorithm = choice.algorithm.algorithm
    var (one, zero): (Float, Float) = (1, 0)
    switch convolution.role {
    case .forward:
      let (x, w) = (try paddedImage(), try packedFilter())
      try forward(
        on: stream, x: x, w: w, bias: epilogue.hasBias ? slots[2] : nil,
        residual: epilogue.hasResidual ? slots[resultSlot - 1] : nil, y: output, choice, workspace)
    case .backwardData:
      let w = try packedFilter()
      let dx = isPadded ? scratch + UInt64(pieces.image) : output
      try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
        try owner.check(
          library.pointee.ConvolutionBackwardData(
            handle, &one, filter, pointer(w), result, pointer(slots[2]), operation, algorithm, workspace, bytes, &zero,
            image, pointer(dx)), "cudnnConvolutionBackwardData")
      }
      if isPadded { try moveImage(on: stream, plain: output, padded: dx, isBack: true) }
    case .backwardFilter:
      let x = try paddedImage()
      let dw = layout.isSame ? output : scratch + UInt64(pieces.filter)
      try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
        try owner.check(
          library.pointee.ConvolutionBackwardFilter(
            handle, &one, image, pointer(x), result, pointer(slots[2]), operation, algorithm, workspace, bytes, &zero,
            filter, pointer(dw)), "cudnnConvolutionBackwardFilter")
      }
      if !layout.isSame {
        try layout.unpack(on: stream, from: dw, to: output, buffer: scratch + UInt64(pieces.buffer))
      }
    }
  }

  private func forward(
    on stream: CUDAStream, x: UInt64, w: UInt64, bias: UInt64?, residual: UInt64?, y: UInt64, _ choice: Choice,
    _ workspace: UnsafeMutableRawPointer?
  ) throws(CUDAFailure) {
    var (one, zero): (Float, Float) = (1, 0)
    var kept: Float = residual == nil ? 0 : 1
    let (algorithm, bytes) = (choice.algorithm.algorithm, Int(choice.algorithm.workspace_bytes))
    if choice.isFused, let bias, let biasType = self.bias {
      let code = try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
        library.pointee.ConvolutionBiasActivationForward(
          handle, &one, image, pointer(x), filter, pointer(w), operation, algorithm, workspace, bytes, &kept, result,
          pointer(residual ?? y), biasType, pointer(bias), activation, result, pointer(y))
      }
      // Statuses from 3000 to 3999 say that cuDNN does not support it.
      guard 3000..<4000 ~= code else { return try owner.check(code, "cudnnConvolutionBiasActivationForward") }
      self.choice.withLock { $0.isFused = false }
    }
    if let residual { try stream.copy(to: y, from: residual, byteCount: resultBytes) }
    try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
      try owner.check(
        library.pointee.ConvolutionForward(
          handle, &one, image, pointer(x), filter, pointer(w), operation, algorithm, workspace, bytes,
          &kept, result, pointer(y)), "cudnnConvolutionForward")
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
    let pixel = c.isChannelsFirst ? 4 : c.inputChannels * 4
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
