import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Convolutions and their gradients by oneDNN.
///
/// Images stay as they are where oneDNN has good code for that; filters, which are small, go through its own layout.
final class ConvolutionExecution: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let primitive: DNNPrimitive
  /// The operands that are read, each with its place among the slots.
  private let inputs: [Port]
  private let output: Port
  private let biasSlot: Int?
  /// What the result is added to, in the result's place; it is moved there where it is not yet.
  private let residual: Residual?
  private let scratchSlot: Int
  private let scratchOffset: Int

  /// A tensor of the primitive, and the way between its layout and the slot's.
  private struct Port {
    var role: martlet_dnn_role
    var slot: Int
    var reorder: DNNPrimitive?
    /// The extents and strides that it has in the slot.
    var given: [Int64]
    /// Where it lies in scratch memory in the primitive's layout.
    var offset: Int
    /// A constant in the primitive's layout.
    var packed: LaidOutConstant?
  }

  private struct Residual {
    var slot: Int
    var byteCount: Int
    /// From the slot's layout to the primitive's.
    var reorder: DNNPrimitive?
  }

  /// Nil where oneDNN does not do it.
  init?(_ convolution: Convolution, isOnOneThread: Bool = false) {
    guard convolution.elementType == .float32, convolution.groups == 1 || convolution.isDepthwise,
      !convolution.isKnownToFail
    else { return nil }
    let epilogue = convolution.epilogue
    let image = martlet_dnn_tensor(
      images: convolution.batch, convolution.inputChannels, convolution.inputHeight, convolution.inputWidth,
      isChannelsFirst: convolution.isChannelsFirst)
    let result = martlet_dnn_tensor(
      images: convolution.batch, convolution.outputChannels, convolution.outputHeight, convolution.outputWidth,
      isChannelsFirst: convolution.isChannelsFirst)
    let filter = Self.filter(convolution)
    guard
      let primitive = Self.make(
        convolution, isOnOneThread: isOnOneThread, image: image, filter: filter, result: result)
    else { return nil }
    self.primitive = primitive

    var layout = ScratchLayout()
    func port(_ role: martlet_dnn_role, _ slot: Int, _ tensor: martlet_dnn_tensor, isOutput: Bool) -> Port? {
      if primitive.isLaidOut(role, as: tensor) { return Port(role: role, slot: slot, given: [], offset: 0) }
      guard let reorder = primitive.reorder(role, tensor, isBack: isOutput) else { return nil }
      return Port(
        role: role, slot: slot, reorder: reorder, given: tensor.extentsAndStrides,
        offset: layout.add(primitive.bytes(role)))
    }
    let source = (martlet_dnn_source_role, image)
    let weights = (martlet_dnn_weights_role, filter)
    let destination = (martlet_dnn_destination_role, result)
    // Slots: operands, the result, scratch memory.
    let (read, written, slots):
      ([((martlet_dnn_role, martlet_dnn_tensor), Int)], (martlet_dnn_role, martlet_dnn_tensor), Int) =
        switch convolution.role {
        case .forward: ([(source, 0), (weights, 1)], destination, 2 + epilogue.operandCount)
        case .backwardData: ([(weights, 1), (destination, 2)], source, 3)
        case .backwardFilter: ([(source, 0), (destination, 2)], weights, 3)
        }
    var inputs: [Port] = []
    for (tensor, slot) in read {
      guard let input = port(tensor.0, slot, tensor.1, isOutput: false) else { return nil }
      inputs.append(input)
    }
    guard let output = port(written.0, slots, written.1, isOutput: true) else { return nil }
    self.inputs = inputs
    self.output = output
    biasSlot = epilogue.hasBias ? 2 : nil
    if epilogue.hasResidual {
      var residual = Residual(slot: slots - 1, byteCount: primitive.bytes(martlet_dnn_destination_role))
      if output.reorder != nil {
        residual.reorder = primitive.reorder(martlet_dnn_destination_role, result, isBack: false)
        guard residual.reorder != nil else { return nil }
      }
      self.residual = residual
    } else {
      residual = nil
    }
    scratchOffset = layout.add(primitive.bytes(martlet_dnn_scratch_role))
    scratchSlot = slots + 1
    scratchBytes = layout.byteCount
  }

  /// The filter in oneDNN's logical order: (groups,) output channels, input channels, height, width.
  private static func filter(_ c: Convolution) -> martlet_dnn_tensor {
    let (height, width, inputs) = (c.kernelHeight, c.kernelWidth, c.inputChannels)
    guard c.isDepthwise else {
      let outputs = c.outputChannels
      return martlet_dnn_tensor(
        [outputs, inputs, height, width], strides: [1, outputs, width * inputs * outputs, inputs * outputs])
    }
    let multiplier = c.outputChannels / max(inputs, 1)
    let row = inputs * multiplier
    return martlet_dnn_tensor(
      [inputs, multiplier, 1, height, width], strides: [multiplier, 1, 1, width * row, row])
  }

  /// Images with fewer pixels are not worth reorders.
  private static let blockedPixels = 196

  private static func make(
    _ c: Convolution, isOnOneThread: Bool, image: martlet_dnn_tensor, filter: martlet_dnn_tensor,
    result: martlet_dnn_tensor
  ) -> DNNPrimitive? {
    var description = martlet_dnn_description()
    description.one_thread = isOnOneThread ? 1 : 0
    switch c.role {
    case .forward: description.kind = martlet_dnn_convolution
    case .backwardData: description.kind = martlet_dnn_convolution_source_gradient
    case .backwardFilter: description.kind = martlet_dnn_convolution_weights_gradient
    }
    description.algorithm = martlet_dnn_direct
    description.setWindow(
      (c.kernelHeight, c.kernelWidth), strides: (c.strideHeight, c.strideWidth),
      dilations: (c.dilationHeight, c.dilationWidth), before: (c.paddingTop, c.paddingLeft),
      after: (c.paddingBottom, c.paddingRight))
    description.weights = filter.inAnyLayout
    description.source = image
    description.destination = result
    description.setEpilogue(c.epilogue, channels: c.outputChannels)
    if c.role == .backwardFilter, !c.isDepthwise, c.kernelHeight * c.kernelWidth > 1, c.strideHeight > 1,
      c.outputHeight * c.outputWidth >= Self.blockedPixels, c.inputChannels % 16 == 0, c.outputChannels % 16 == 0
    {
      // oneDNN's code for this is so much slower in NHWC that reorders to blocks of channels pay.
      var blocked = description
      blocked.source = image.inAnyLayout
      blocked.destination = result.inAnyLayout
      if let primitive = DNNPrimitive(blocked), primitive.implementation.hasPrefix("jit") { return primitive }
    }
    let plain = DNNPrimitive(description)
    if let plain, !plain.implementation.hasPrefix("ref") { return plain }
    description.source = image.inAnyLayout
    description.destination = result.inAnyLayout
    let other = DNNPrimitive(description)
    // Better an epilogue of our own than one by oneDNN's reference code.
    if !c.epilogue.isEmpty, (other ?? plain)?.implementation.hasPrefix("ref") ?? true { return nil }
    return other ?? plain
  }

  private init(_ other: ConvolutionExecution, inputs: [Port]) {
    scratchBytes = other.scratchBytes
    primitive = other.primitive
    self.inputs = inputs
    output = other.output
    biasSlot = other.biasSlot
    residual = other.residual
    scratchSlot = other.scratchSlot
    scratchOffset = other.scratchOffset
  }

  /// The same with constant operands in the primitive's layout already.
  private func specialized(for constants: [Int: Constant], _ layouts: ConstantLayouts) -> ConvolutionExecution? {
    var inputs = inputs
    for (i, input) in inputs.enumerated() {
      guard let constant = constants[input.slot], let reorder = input.reorder else { continue }
      guard let source = PrimitiveLayout(input.role, of: primitive, from: input.given, by: reorder),
        let packed = layouts.constant(constant, by: source)
      else { return nil }
      inputs[i].packed = packed
    }
    return inputs.contains { $0.packed != nil } ? ConvolutionExecution(self, inputs: inputs) : nil
  }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    (specialized(for: constants, layouts) ?? self).call
  }

  private var call: BoundCall {
    BoundCall(
      { _, slots, data in BoundCall.object(ConvolutionExecution.self, at: data).run(slots) ? 0 : 1 }, object: self,
      unread: Set(inputs.filter { $0.packed != nil }.map(\.slot)))
  }

  private func run(_ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>) -> Bool {
    let scratch = scratchBytes > 0 ? UnsafeMutableRawPointer(slots[scratchSlot]) : nil
    let packed = inputs.map { $0.packed?.storage() }
    defer { withExtendedLifetime(packed) {} }
    return withUnsafeTemporaryAllocation(
      of: UnsafeMutableRawPointer?.self, capacity: Int(martlet_dnn_role_count.rawValue)
    ) { table in
      table.initialize(repeating: nil)
      guard let memory = table.baseAddress else { return false }
      for (input, packed) in zip(inputs, packed) {
        var address = UnsafeMutableRawPointer(slots[input.slot])
        if input.packed != nil {
          guard let packed else { return false }
          address = packed.bytes
        } else if let primitive = input.reorder {
          let inner = scratch.map { $0 + input.offset }
          guard primitive.move(address, inner) else { return false }
          address = inner
        }
        memory[Int(input.role.rawValue)] = address
      }
      let result = UnsafeMutableRawPointer(slots[output.slot])
      let inner = output.reorder == nil ? result : scratch.map { $0 + output.offset }
      if let biasSlot { memory[Int(martlet_dnn_bias_role.rawValue)] = UnsafeMutableRawPointer(slots[biasSlot]) }
      if let residual {
        let address = UnsafeMutableRawPointer(slots[residual.slot])
        if let primitive = residual.reorder {
          guard primitive.move(address, inner) else { return false }
        } else if let address, let inner, address != inner {
          inner.copyMemory(from: address, byteCount: residual.byteCount)
        }
      }
      memory[Int(output.role.rawValue)] = inner
      memory[Int(martlet_dnn_scratch_role.rawValue)] = scratch.map { $0 + scratchOffset }
      guard primitive.run(memory) else { return false }
      return output.reorder?.move(inner, result) ?? true
    }
  }
}

extension Convolution {
  /// Whether oneDNN (2.6.3) reads or writes what is not its own.
  fileprivate var isKnownToFail: Bool {
    switch role {
    case .forward:
      // Where no input is below the filter it adds the residual and then reads an activation's table at address 0.
      guard epilogue.hasResidual, let activation = epilogue.activation else { return false }
      if case .relu = activation { return false }
      return isOutside(
        outputHeight, stride: strideHeight, padding: paddingTop, kernel: kernelHeight, dilation: dilationHeight,
        input: inputHeight)
        || isOutside(
          outputWidth, stride: strideWidth, padding: paddingLeft, kernel: kernelWidth, dilation: dilationWidth,
          input: inputWidth)
    case .backwardFilter:
      // Its code for 1×1 filters with strides, which wants blocks of 16 channels, writes behind its memory with fewer.
      return kernelHeight == 1 && kernelWidth == 1 && (strideHeight > 1 || strideWidth > 1)
        && min(inputChannels, outputChannels) < 16
    case .backwardData: return false
    }
  }

  /// Whether some row, or column, of the result has no input below its filter.
  private func isOutside(
    _ outputs: Int, stride: Int, padding: Int, kernel: Int, dilation: Int, input: Int
  ) -> Bool {
    (0..<outputs).contains { output in
      !(0..<kernel).contains { (0..<input).contains(output * stride - padding + $0 * dilation) }
    }
  }
}
