import MartletDiagnostics

/// A library that was loaded and does not start: its parts are missing, it does not know the GPU, or memory is short.
public struct CUDALibraryFault: Sendable, CustomStringConvertible {
  public var library: CUDALibrary
  public var failure: CUDAFailure

  /// What it is and what it means.
  public var description: String { "\(library.title) does not start, so that \(library.consequence): \(failure)" }
}

/// The libraries on top of the driver, started in a context.
struct CUDALibraryHandles {
  private(set) var cublasLt: CublasLtHandle?
  private(set) var cudnn: CuDNNHandle?
  /// What did not start; what is not there at all is not among them.
  private(set) var faults: [CUDALibraryFault] = []

  init(_ context: CUDAContext) {
    cublasLt = start(.cublasLt) { try CublasLtHandle(context) }
    cudnn = start(.cudnn) { try CuDNNHandle(context) }
  }

  private mutating func start<Handle>(_ library: CUDALibrary, _ body: () throws -> Handle) -> Handle? {
    do {
      return try body()
    } catch let failure as CUDAFailure {
      faults.append(CUDALibraryFault(library: library, failure: failure))
    } catch {
      // Whoever asks what was found is told that it is not there.
    }
    return nil
  }
}

extension CUDAContext {
  /// The libraries on top of the driver that were loaded and do not start in this context; they are started for this.
  public var libraryFaults: [CUDALibraryFault] { CUDALibraryHandles(self).faults }
}
