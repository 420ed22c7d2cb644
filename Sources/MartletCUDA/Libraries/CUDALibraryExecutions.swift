import MartletDiagnostics
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
  /// The libraries that are there and do not start.
  var faults: [CUDALibraryFault] { handles.faults }
  private let calls = Mutex<[LibraryContract: Call]>([:])

  /// Without a library nothing is claimed for it.
  init(_ context: CUDAContext, options: CUDALibraryOptions = CUDALibraryOptions()) {
    self.context = context
    self.options = options
    handles = CUDALibraryHandles(context)
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

  /// The gradient of maximum pooling is not claimed: cuDNN does not promise which of equal maxima gets it. Attention is not:
  /// cuDNN has it for 16-bit types only.
  private func make(_ contract: LibraryContract) -> (any CUDALibraryExecution)? {
    guard contract.epilogue?.isDone(exactly: options.isExact) ?? true else { return nil }
    switch contract {
    case .matrixProduct(let product):
      return handles.cublasLt.flatMap { CUDAProductExecution(product, $0, options) }
    case .convolution(let convolution):
      guard let cudnn = handles.cudnn, let cublasLt = handles.cublasLt else { return nil }
      return CUDAConvolutionExecution(convolution, cudnn, cublasLt, options)
    case .pooling(let pooling):
      return handles.cudnn.flatMap { CUDAPoolingExecution(pooling, $0) }
    case .attention, .attentionGradient: return nil
    }
  }
}
