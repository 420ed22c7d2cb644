import CMartletRuntime
import MartletGraph
import MartletTensors

/// The ways that cuDNN has for a convolution, and the one that is taken.
struct CUDAConvolutionAlgorithms {
  let owner: CuDNNHandle
  let role: Convolution.Role
  let elementType: ElementType
  let image: martlet_cudnn_tensor
  let filter: martlet_cudnn_filter
  let result: martlet_cudnn_tensor
  let convolution: martlet_cudnn_convolution
  let options: CUDALibraryOptions
  /// Bytes of the image, the filter and the result.
  let sizes: (image: Int, filter: Int, result: Int)

  private static let most = 16

  /// The ways of use, in the order of cuDNN's estimates. That it has them does not mean that it carries them out.
  func estimated() -> [martlet_cudnn_performance] {
    let library = owner.library
    var results = [martlet_cudnn_performance](repeating: martlet_cudnn_performance(), count: Self.most)
    var count: Int32 = 0
    let asked = Int32(Self.most)
    let code = try? owner.use { (_, handle) throws(CUDAFailure) in
      switch role {
      case .forward:
        library.pointee.GetConvolutionForwardAlgorithm_v7(
          handle, image, filter, convolution, result, asked, &count, &results)
      case .backwardData:
        library.pointee.GetConvolutionBackwardDataAlgorithm_v7(
          handle, filter, result, convolution, image, asked, &count, &results)
      case .backwardFilter:
        library.pointee.GetConvolutionBackwardFilterAlgorithm_v7(
          handle, image, result, convolution, filter, asked, &count, &results)
      }
    }
    return code == 0 ? usable(results.prefix(Int(count))) : []
  }

  /// Those that ran on memory of their own, the fastest first; empty where that cannot be had.
  func measured() -> [martlet_cudnn_performance] {
    let library = owner.library
    var results = [martlet_cudnn_performance](repeating: martlet_cudnn_performance(), count: Self.most)
    var count: Int32 = 0
    do throws(CUDAFailure) {
      let context = owner.context
      let stream = try CUDAStream(context)
      var memory: [DeviceMemory] = []
      defer { withExtendedLifetime(memory) { try? stream.synchronize() } }
      for size in [sizes.image, sizes.filter, sizes.result, options.scratchLimit] {
        memory.append(try DeviceMemory(context, byteCount: size))
      }
      for piece in memory { try stream.fill(piece.address, byte: 0x3C, byteCount: piece.byteCount) }
      let pointers = memory.map { UnsafeMutableRawPointer(bitPattern: UInt($0.address)) }
      let (x, w, y, scratch) = (pointers[0], pointers[1], pointers[2], pointers[3])
      let (asked, limit) = (Int32(Self.most), options.scratchLimit)
      let code = try owner.use(on: stream) { (_, handle) throws(CUDAFailure) in
        switch role {
        case .forward:
          library.pointee.FindConvolutionForwardAlgorithmEx(
            handle, image, x, filter, w, convolution, result, y, asked, &count, &results, scratch, limit)
        case .backwardData:
          library.pointee.FindConvolutionBackwardDataAlgorithmEx(
            handle, filter, w, result, y, convolution, image, x, asked, &count, &results, scratch, limit)
        case .backwardFilter:
          library.pointee.FindConvolutionBackwardFilterAlgorithmEx(
            handle, image, x, result, y, convolution, filter, w, asked, &count, &results, scratch, limit)
        }
      }
      return code == 0 ? usable(results.prefix(Int(count))) : []
    } catch {
      return []
    }
  }

  /// Kinds of arithmetic that may be asked for: the default and fused multiply-add, and tensor cores where these round nothing
  /// or may round to TF32. Tensor cores with conversions (2) may round f32 to f16, which overflows.
  private var arithmetic: Set<Int32> { options.allowsTF32 || elementType.isHalf ? [0, 1, 3] : [0, 3] }

  /// Whether images must be convolved as they are: transformed ones may be rounded, to 16 bits where images have these.
  private var isDirect: Bool { options.isExact || elementType.isHalf }

  /// Those that transform images: FFT and Winograd.
  private var transforming: Set<Int32> {
    switch role {
    case .forward: [4, 5, 6, 7]
    case .backwardData: [2, 3, 4, 5]
    case .backwardFilter: [2, 4, 5, 6]
    }
  }

  /// cuDNN lists the fastest first.
  private func usable(_ results: ArraySlice<martlet_cudnn_performance>) -> [martlet_cudnn_performance] {
    results.filter { one in
      one.status == 0 && one.workspace_bytes <= options.scratchLimit
        && arithmetic.contains(one.mathematics)
        && (!isDirect || !transforming.contains(one.algorithm))
        && (!options.isDeterministic || one.is_deterministic != 0)
    }
  }
}
