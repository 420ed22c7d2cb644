import MartletDiagnostics
import MartletExecution
import MartletGraph
import Synchronization

/// What cuBLASLt and cuDNN do on a GPU: each contract's call, made once.
final class CUDALibraryExecutions: Sendable {
  private enum Call {
    case found(any CUDALibraryExecution)
    case missing
  }

  let context: CUDAContext
  let options: CUDALibraryOptions
  private let handles: CUDALibraryHandles
  private let choices: CUDAChoices?
  /// The libraries that are there and do not start.
  var faults: [CUDALibraryFault] { handles.faults }
  private let calls = Mutex<[LibraryContract: Call]>([:])

  /// Without a library nothing is claimed for it.
  ///
  /// - Parameter cache: where choices are kept.
  init(_ context: CUDAContext, options: CUDALibraryOptions = CUDALibraryOptions(), cache: CodeCache = .off) {
    self.context = context
    self.options = options
    handles = CUDALibraryHandles(context)
    choices = CUDAChoices(cache, context, options)
  }

  /// The call; nil where no library does the contract.
  func execution(of contract: LibraryContract) -> (any CUDALibraryExecution)? {
    calls.withLock { calls in
      switch calls[contract] {
      case .found(let execution): return execution
      case .missing: return nil
      case nil:
        let made = make(contract)
        calls[contract] = made.map { .found($0) } ?? .missing
        return made
      }
    }
  }

  /// Attention is not claimed: it is formed in float32, and cuDNN has it for 16-bit types only.
  private func make(_ contract: LibraryContract) -> (any CUDALibraryExecution)? {
    switch contract {
    case .matrixProduct(let product):
      guard product.epilogue.isDoneByCublasLt(exactly: options.isExact) else { return nil }
      return handles.cublasLt.flatMap { CUDAProductExecution(product, $0, options, choices) }
    case .convolution(let convolution):
      guard contract.epilogue?.isDoneByCuDNN(exactly: options.isExact) ?? true, let cudnn = handles.cudnn,
        let cublasLt = handles.cublasLt
      else { return nil }
      return CUDAConvolutionLayouts(convolution, cudnn, cublasLt, options, choices)
    case .pooling(let pooling):
      return handles.cudnn.flatMap { CUDAPoolingExecution(pooling, $0, options) }
    case .recurrent(let network):
      return handles.cudnn.flatMap { CUDARecurrentExecution(network, $0, options, choices) }
    case .batchNormalization(let normalization):
      return handles.cudnn.flatMap { CUDANormalizationExecution(normalization, $0, options, choices) }
    case .attention, .attentionGradient: return nil
    }
  }
}
