import CMartletRuntime
import MartletDiagnostics
import MartletLoopIR
import MartletTensors
import Synchronization

/// cuDNN in a context. A handle belongs to one stream at a time: calls take turns.
final class CuDNNHandle: @unchecked Sendable {
  let context: CUDAContext
  let library: UnsafePointer<martlet_cudnn>
  private let handle: martlet_cudnn_handle
  /// What the handle works on between uses: streams that it was lent may be gone by then.
  private let ownStream: CUDAStream
  private let turns = Mutex<Void>(())

  init(_ context: CUDAContext) throws {
    library = try context.libraries.cudnn()
    self.context = context
    ownStream = try CUDAStream(context)
    var handle: martlet_cudnn_handle?
    let code = context.exclusively { [library] in library.pointee.Create(&handle) }
    guard code == 0, let handle else { throw Self.failure(library, code, "cudnnCreate") }
    self.handle = handle
    try check(library.pointee.SetStream(handle, ownStream.handle), "cudnnSetStream")
  }

  deinit {
    try? context.makeCurrent()
    context.exclusively { _ = library.pointee.Destroy(handle) }
  }

  /// Calls functions, which work on a stream if one is given.
  func use<Result>(
    on stream: CUDAStream? = nil,
    _ body: (UnsafePointer<martlet_cudnn>, martlet_cudnn_handle) throws(CUDAFailure) -> Result
  ) throws(CUDAFailure) -> Result {
    try context.makeCurrent()
    return try turns.withLock { _ throws(CUDAFailure) in
      guard let stream else { return try body(library, handle) }
      try check(library.pointee.SetStream(handle, stream.handle), "cudnnSetStream")
      defer { _ = library.pointee.SetStream(handle, ownStream.handle) }
      return try body(library, handle)
    }
  }

  func check(_ code: Int32, _ call: StaticString) throws(CUDAFailure) {
    if code != 0 { throw Self.failure(library, code, call) }
  }

  private static func failure(
    _ library: UnsafePointer<martlet_cudnn>, _ code: Int32, _ call: StaticString
  ) -> CUDAFailure {
    let name = library.pointee.GetErrorString(code).map { String(cString: $0) } ?? "an unknown status"
    return CUDAFailure(call: "\(call)", code: Int(code), name: name, text: "cuDNN refuses the call or failed in it")
  }
}

/// Descriptors of cuDNN, destroyed with the object.
final class CuDNNDescriptors: @unchecked Sendable {
  let owner: CuDNNHandle
  private var release: [() -> Void] = []
  private var library: UnsafePointer<martlet_cudnn> { owner.library }

  init(_ owner: CuDNNHandle) { self.owner = owner }

  deinit { for one in release.reversed() { one() } }

  /// Has a descriptor destroyed with the object.
  func keep<Handle>(
    _ handle: Handle?, _ call: StaticString, _ destroy: @escaping (Handle?) -> Int32
  ) throws(CUDAFailure) -> Handle {
    guard let handle else { throw CUDAFailure(call: "\(call)", code: 0, name: "no descriptor", text: "") }
    release.append { _ = destroy(handle) }
    return handle
  }

  /// Whether tensors may have elements of a type.
  static func holds(_ type: ElementType) -> Bool { type == .float32 || type.isHalf }

  /// Whether tensors of these extents are small enough for all that cuDNN does: it counts elements in 32 bits in places.
  static func holds(_ extents: Int...) -> Bool {
    extents.allSatisfy { $0 > 0 } && extents.reduce(1, multipliedSaturating) <= Int(Int32.max)
  }

  /// - Parameter type: what ``holds(_:)`` is true of.
  func images(
    _ type: ElementType, _ n: Int, _ c: Int, _ h: Int, _ w: Int, isChannelsFirst: Bool
  ) throws(CUDAFailure) -> martlet_cudnn_tensor {
    var tensor: martlet_cudnn_tensor?
    try owner.check(library.pointee.CreateTensorDescriptor(&tensor), "cudnnCreateTensorDescriptor")
    let made = try keep(tensor, "cudnnCreateTensorDescriptor", library.pointee.DestroyTensorDescriptor)
    try owner.check(
      library.pointee.SetTensor4dDescriptor(
        made, Int32(isChannelsFirst ? martlet_cudnn_nchw : martlet_cudnn_nhwc), type.cudnnType, Int32(n), Int32(c),
        Int32(h), Int32(w)), "cudnnSetTensor4dDescriptor")
    return made
  }

  func filter(
    _ type: ElementType, _ k: Int, _ c: Int, _ h: Int, _ w: Int, isChannelsFirst: Bool
  ) throws(CUDAFailure) -> martlet_cudnn_filter {
    var filter: martlet_cudnn_filter?
    try owner.check(library.pointee.CreateFilterDescriptor(&filter), "cudnnCreateFilterDescriptor")
    let made = try keep(filter, "cudnnCreateFilterDescriptor", library.pointee.DestroyFilterDescriptor)
    try owner.check(
      library.pointee.SetFilter4dDescriptor(
        made, type.cudnnType, Int32(isChannelsFirst ? martlet_cudnn_nchw : martlet_cudnn_nhwc), Int32(k),
        Int32(c), Int32(h), Int32(w)), "cudnnSetFilter4dDescriptor")
    return made
  }

  func convolution(
    padding: (Int, Int), strides: (Int, Int), dilations: (Int, Int), groups: Int, mathematics: Int
  ) throws(CUDAFailure) -> martlet_cudnn_convolution {
    var convolution: martlet_cudnn_convolution?
    try owner.check(library.pointee.CreateConvolutionDescriptor(&convolution), "cudnnCreateConvolutionDescriptor")
    let made = try keep(
      convolution, "cudnnCreateConvolutionDescriptor", library.pointee.DestroyConvolutionDescriptor)
    try owner.check(
      library.pointee.SetConvolution2dDescriptor(
        made, Int32(padding.0), Int32(padding.1), Int32(strides.0), Int32(strides.1), Int32(dilations.0),
        Int32(dilations.1), Int32(martlet_cudnn_cross_correlation), Int32(martlet_cudnn_float32)),
      "cudnnSetConvolution2dDescriptor")
    try owner.check(
      library.pointee.SetConvolutionGroupCount(made, Int32(groups)), "cudnnSetConvolutionGroupCount")
    try owner.check(
      library.pointee.SetConvolutionMathType(made, Int32(mathematics)), "cudnnSetConvolutionMathType")
    return made
  }

  func pooling(
    mode: Int, window: (Int, Int), padding: (Int, Int), strides: (Int, Int)
  ) throws(CUDAFailure) -> martlet_cudnn_pooling {
    var pooling: martlet_cudnn_pooling?
    try owner.check(library.pointee.CreatePoolingDescriptor(&pooling), "cudnnCreatePoolingDescriptor")
    let made = try keep(pooling, "cudnnCreatePoolingDescriptor", library.pointee.DestroyPoolingDescriptor)
    try owner.check(
      library.pointee.SetPooling2dDescriptor(
        made, Int32(mode), Int32(martlet_cudnn_propagate_nan), Int32(window.0), Int32(window.1), Int32(padding.0),
        Int32(padding.1), Int32(strides.0), Int32(strides.1)), "cudnnSetPooling2dDescriptor")
    return made
  }

  func activation(mode: Int) throws(CUDAFailure) -> martlet_cudnn_activation {
    var activation: martlet_cudnn_activation?
    try owner.check(library.pointee.CreateActivationDescriptor(&activation), "cudnnCreateActivationDescriptor")
    let made = try keep(activation, "cudnnCreateActivationDescriptor", library.pointee.DestroyActivationDescriptor)
    try owner.check(
      library.pointee.SetActivationDescriptor(made, Int32(mode), Int32(martlet_cudnn_propagate_nan), 0),
      "cudnnSetActivationDescriptor")
    return made
  }
}

extension ElementType {
  /// The number of the type for cuDNN.
  fileprivate var cudnnType: Int32 {
    switch self {
    case .float16: Int32(martlet_cudnn_float16)
    case .bfloat16: Int32(martlet_cudnn_bfloat16)
    default: Int32(martlet_cudnn_float32)
    }
  }
}
