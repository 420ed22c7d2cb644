import CMartletRuntime
import MartletGraph
import MartletTensors

/// A primitive of oneDNN.
final class DNNPrimitive: @unchecked Sendable {
  private let pointer: OpaquePointer

  /// Nil where oneDNN does not do what is described, or is missing.
  init?(_ description: martlet_dnn_description) {
    guard martlet_dnn_library().pointee.available != 0 else { return nil }
    var description = description
    var message = [CChar](repeating: 0, count: 512)
    guard let made = martlet_dnn_make(&description, &message, message.count) else { return nil }
    pointer = made
  }

  deinit { martlet_dnn_release(pointer) }

  /// The name of the code that oneDNN chose.
  var implementation: String { String(cString: martlet_dnn_implementation(pointer)) }

  func bytes(_ role: martlet_dnn_role) -> Int { Int(martlet_dnn_bytes(pointer, role)) }

  /// Whether the tensor at `role` lies in memory as `tensor` says.
  func isLaidOut(_ role: martlet_dnn_role, as tensor: martlet_dnn_tensor) -> Bool {
    var tensor = tensor
    return martlet_dnn_layout_is(pointer, role, &tensor) != 0
  }

  /// A primitive that moves a tensor from its given layout to the one this primitive has at `role`, or back.
  func reorder(_ role: martlet_dnn_role, _ tensor: martlet_dnn_tensor, isBack: Bool) -> DNNPrimitive? {
    guard let layout = martlet_dnn_layout_at(pointer, role) else { return nil }
    defer { martlet_dnn_layout_release(layout) }
    var inner = tensor
    inner.placement = martlet_dnn_opaque
    inner.layout = layout
    var description = martlet_dnn_description()
    description.kind = martlet_dnn_reorder
    description.source = isBack ? inner : tensor
    description.destination = isBack ? tensor : inner
    return DNNPrimitive(description)
  }

  /// The layout that this primitive has at `role`.
  func layout(_ role: martlet_dnn_role) -> DNNLayout? {
    martlet_dnn_layout_at(pointer, role).map { DNNLayout($0, byteCount: bytes(role)) }
  }

  /// Runs a reorder on the team; false if it fails.
  fileprivate func moveByTeam(from source: UnsafeMutableRawPointer, to target: UnsafeMutableRawPointer) -> Bool {
    var task = Packing(reorder: Unmanaged.passUnretained(self), from: source, to: target)
    martlet_team_run(
      { context in context?.assumingMemoryBound(to: Packing.self).pointee.run() }, &task)
    return task.isDone
  }

  private struct Packing {
    var reorder: Unmanaged<DNNPrimitive>
    var from: UnsafeMutableRawPointer
    var to: UnsafeMutableRawPointer
    var isDone = false

    mutating func run() { isDone = reorder.takeUnretainedValue().move(from, to) }
  }

  /// Runs a reorder. Those to the layouts of Winograd's algorithm need scratch memory, which is taken here.
  func move(_ from: UnsafeMutableRawPointer?, _ to: UnsafeMutableRawPointer?) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: max(bytes(martlet_dnn_scratch_role), 1), alignment: 64) { scratch in
      withUnsafeTemporaryAllocation(
        of: UnsafeMutableRawPointer?.self, capacity: Int(martlet_dnn_role_count.rawValue)
      ) { memory in
        memory.initialize(repeating: nil)
        memory[Int(martlet_dnn_source_role.rawValue)] = from
        memory[Int(martlet_dnn_destination_role.rawValue)] = to
        memory[Int(martlet_dnn_scratch_role.rawValue)] = scratch.baseAddress
        return memory.baseAddress.map { run($0) } ?? false
      }
    }
  }

  /// Runs it; memory is given by role.
  func run(_ memory: UnsafePointer<UnsafeMutableRawPointer?>) -> Bool { martlet_dnn_run(pointer, memory) != 0 }
}

/// An operand in the layout that a primitive has for it.
struct PrimitiveLayout: LayoutSource {
  let layout: ConstantLayouts.Layout
  let byteCount: Int
  private let reorder: DNNPrimitive

  /// Nil where oneDNN does not tell.
  ///
  /// - Parameters:
  ///   - given: the extents and strides that the constant has.
  ///   - reorder: moves it from there to the layout.
  init?(_ role: martlet_dnn_role, of primitive: DNNPrimitive, from given: [Int64], by reorder: DNNPrimitive) {
    guard let layout = primitive.layout(role) else { return nil }
    self.layout = .primitive(layout, from: given)
    byteCount = primitive.bytes(role)
    self.reorder = reorder
  }

  func laidOut(_ array: Tensor, to storage: TensorStorage) -> TensorStorage? {
    array.withUnsafeBytes { _ in reorder.moveByTeam(from: array.storage.bytes, to: storage.bytes) } ? storage : nil
  }
}

extension martlet_dnn_tensor {
  /// The dimensions, then the distances between their elements.
  var extentsAndStrides: [Int64] {
    func numbers(_ bytes: UnsafeRawBufferPointer) -> [Int64] {
      (0..<Int(rank)).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self) }
    }
    return withUnsafeBytes(of: dims) { numbers($0) } + withUnsafeBytes(of: strides) { numbers($0) }
  }

  /// A tensor by its dimensions in oneDNN's logical order and the distances between their elements.
  init(_ dimensions: [Int], strides: [Int], _ type: martlet_dnn_type = martlet_dnn_f32) {
    self.init()
    placement = martlet_dnn_strided
    self.type = type
    rank = Int32(dimensions.count)
    withUnsafeMutableBytes(of: &dims) { dims in
      for (i, extent) in dimensions.enumerated() {
        dims.storeBytes(of: Int64(extent), toByteOffset: 8 * i, as: Int64.self)
      }
    }
    withUnsafeMutableBytes(of: &self.strides) { target in
      for (i, stride) in strides.enumerated() {
        target.storeBytes(of: Int64(stride), toByteOffset: 8 * i, as: Int64.self)
      }
    }
  }

  /// A batch of images in NHWC or NCHW.
  init(images batch: Int, _ channels: Int, _ height: Int, _ width: Int, isChannelsFirst: Bool) {
    let strides =
      isChannelsFirst
      ? [channels * height * width, height * width, width, 1]
      : [channels * height * width, 1, width * channels, channels]
    self.init([batch, channels, height, width], strides: strides)
  }

  /// The same tensor in whatever layout oneDNN likes best.
  var inAnyLayout: martlet_dnn_tensor {
    var tensor = self
    tensor.placement = martlet_dnn_any
    return tensor
  }
}

extension martlet_dnn_description {
  /// Sets what convolutions and pooling have in common.
  mutating func setWindow(
    _ window: (Int, Int), strides: (Int, Int), dilations: (Int, Int) = (1, 1), before: (Int, Int), after: (Int, Int)
  ) {
    spatial = 2
    self.window = (Int64(window.0), Int64(window.1), 0)
    self.strides = (Int64(strides.0), Int64(strides.1), 0)
    self.dilations = (Int64(dilations.0), Int64(dilations.1), 0)
    padding_before = (Int64(before.0), Int64(before.1), 0)
    padding_after = (Int64(after.0), Int64(after.1), 0)
  }
}

extension martlet_dnn_description {
  /// Sets what is done to the result; a residual is what the destination holds.
  mutating func setEpilogue(_ epilogue: Epilogue, channels: Int, biasRank: Int = 1) {
    if epilogue.hasBias {
      let ones = Array(repeating: 1, count: biasRank - 1)
      bias = martlet_dnn_tensor(ones + [channels], strides: ones.map { _ in channels } + [1])
    }
    if epilogue.hasResidual { add(martlet_dnn_epilogue(kind: martlet_dnn_add_destination, alpha: 1, beta: 0)) }
    if let activation = epilogue.activation { add(activation.primitive) }
  }

  private mutating func add(_ epilogue: martlet_dnn_epilogue) {
    withUnsafeMutableBytes(of: &epilogues) { list in
      let place = Int(epilogue_count) * MemoryLayout<martlet_dnn_epilogue>.stride
      list.storeBytes(of: epilogue, toByteOffset: place, as: martlet_dnn_epilogue.self)
    }
    epilogue_count += 1
  }
}

extension Epilogue.Activation {
  /// Whether oneDNN gives a number for NaN.
  var hidesNaN: Bool {
    switch self {
    case .relu(slope: 0), .clip: true
    default: false
    }
  }

  fileprivate var primitive: martlet_dnn_epilogue {
    switch self {
    case .relu(let slope): martlet_dnn_epilogue(kind: martlet_dnn_relu, alpha: slope, beta: 0)
    case .clip(let low, let high): martlet_dnn_epilogue(kind: martlet_dnn_clip, alpha: low, beta: high)
    case .elu(let alpha): martlet_dnn_epilogue(kind: martlet_dnn_elu, alpha: alpha, beta: 0)
    case .tanh: martlet_dnn_epilogue(kind: martlet_dnn_tanh, alpha: 0, beta: 0)
    case .sigmoid: martlet_dnn_epilogue(kind: martlet_dnn_sigmoid, alpha: 0, beta: 0)
    case .gelu: martlet_dnn_epilogue(kind: martlet_dnn_gelu_erf, alpha: 0, beta: 0)
    case .geluByTanh: martlet_dnn_epilogue(kind: martlet_dnn_gelu_tanh, alpha: 0, beta: 0)
    }
  }
}

/// Pieces of one scratch slot, each aligned to 64 bytes.
struct ScratchLayout {
  private(set) var byteCount = 0

  /// Reserves a piece and returns its offset.
  mutating func add(_ bytes: Int) -> Int {
    defer { byteCount += (bytes + 63) & -64 }
    return byteCount
  }
}
