import CMartletRuntime
import MartletGraph

/// Library calls whose results may have other bits with another number of threads: the threads share a sum, or the code
/// for a thread's part depends on its extents.
///
/// All else gives the same bits for any number: generated kernels, which split sums as their shape tells, and oneDNN's
/// convolutions forward and with respect to the image, and its pooling, each element of which one thread computes.
public enum ThreadDependentCall: String, CaseIterable, Sendable {
  case vectorProduct
  case matrixProduct
  case filterGradient
  case poolingGradient

  /// What a deterministic back end does.
  public enum Replacement: Sendable {
    case generatedCode
    case pieces
    case oneThread
  }

  /// Whose call and of what, for people.
  public var title: String {
    switch self {
    case .vectorProduct: "OpenBLAS's products of a matrix and a vector"
    case .matrixProduct: "OpenBLAS's and oneDNN's products of matrices"
    case .filterGradient: "oneDNN's gradients of convolutions with respect to the filter"
    case .poolingGradient: "oneDNN's gradients of pooling"
    }
  }

  public var replacement: Replacement {
    switch self {
    case .vectorProduct: .generatedCode
    case .matrixProduct: .pieces
    case .filterGradient, .poolingGradient: .oneThread
    }
  }

  /// Those of the libraries that this machine has.
  public static var present: [ThreadDependentCall] {
    let isBLASThreaded = martlet_blas_library().pointee.available != 0 && martlet_blas_library().pointee.parallel != 0
    let hasDNN = martlet_dnn_library().pointee.available != 0
    return allCases.filter { call in
      switch call {
      case .vectorProduct, .matrixProduct: isBLASThreaded
      case .filterGradient, .poolingGradient: hasDNN
      }
    }
  }

  /// The call that a contract comes to; nil where any number of threads gives the same bits.
  init?(_ contract: LibraryContract) {
    switch contract {
    case .matrixProduct(let product): self = product.m == 1 || product.n == 1 ? .vectorProduct : .matrixProduct
    case .convolution(let convolution):
      guard convolution.role == .backwardFilter else { return nil }
      self = .filterGradient
    case .pooling(let pooling):
      guard pooling.role == .backward else { return nil }
      self = .poolingGradient
    case .attention, .attentionGradient, .recurrent, .batchNormalization: return nil
    }
  }
}

extension ThreadDependentCall.Replacement {
  /// What it is, for people.
  public var title: String {
    switch self {
    case .generatedCode: "generated code"
    case .pieces: "pieces of fixed extents, each on one thread"
    case .oneThread: "the same on one thread"
    }
  }
}
