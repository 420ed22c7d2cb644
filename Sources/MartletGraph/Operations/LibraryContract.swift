import MartletTensors

/// A computation that a back end may hand to a library, with everything that the library needs to know but the
/// addresses. Operands are dense and row-major in the order given for each.
public enum LibraryContract: Hashable, Sendable {
  /// Operands a, b, then those of the epilogue; results c[batch…, m, n] and, where a factor is summed, its sums,
  /// or where a mask or what GELU is given is stored, that.
  case matrixProduct(MatrixProduct)
  /// Operands and result by role; see `Convolution.Role`.
  case convolution(Convolution)
  /// Operands and result by role; see `Pooling.Role`.
  case pooling(Pooling)
  /// Operands q, k, v and what masks; see `Attention`.
  case attention(Attention)
  /// See `AttentionGradient`.
  case attentionGradient(AttentionGradient)
  /// Operands and results by role; see `RecurrentNetwork`.
  case recurrent(RecurrentNetwork)
  /// Operands and results by role; see `BatchNormalization`.
  case batchNormalization(BatchNormalization)
}

extension LibraryContract {
  /// The type of the arrays that are computed with.
  public var elementType: ElementType {
    switch self {
    case .matrixProduct(let product): product.elementType
    case .convolution(let convolution): convolution.elementType
    case .pooling(let pooling): pooling.elementType
    case .attention(let attention): attention.elementType
    case .attentionGradient(let gradient): gradient.attention.elementType
    case .recurrent(let network): network.elementType
    case .batchNormalization(let normalization): normalization.elementType
    }
  }

  /// The same for arrays of another type.
  public func with(_ elementType: ElementType) -> LibraryContract {
    switch self {
    case .matrixProduct(var product):
      product.elementType = elementType
      product.resultType = elementType
      return .matrixProduct(product)
    case .convolution(var convolution):
      convolution.elementType = elementType
      return .convolution(convolution)
    case .pooling(var pooling):
      pooling.elementType = elementType
      return .pooling(pooling)
    case .attention(var attention):
      attention.elementType = elementType
      return .attention(attention)
    case .attentionGradient(var gradient):
      gradient.attention.elementType = elementType
      return .attentionGradient(gradient)
    case .recurrent(var network):
      network.elementType = elementType
      return .recurrent(network)
    case .batchNormalization(var normalization):
      normalization.elementType = elementType
      return .batchNormalization(normalization)
    }
  }
}

/// c = op(a) · op(b), for each of `batch` pairs of matrices.
public struct MatrixProduct: Hashable, Sendable {
  /// Of a and b.
  public var elementType: ElementType
  /// Of c and the epilogue's operands: that of a and b, or `float32` where these have 16 bits.
  public var resultType: ElementType
  public var m: Int
  public var n: Int
  public var k: Int
  /// Whether a is stored as k × m, and b as n × k.
  public var transposeA: Bool
  public var transposeB: Bool
  public var batch: Int
  /// Whether b is the same in every run.
  public var isRightConstant = false
  /// Where b is given in panels, which is not then read transposed, the columns of each: its dimensions are panels, k and
  /// this.
  public var panelWidth: Int?
  /// What is done to the result; only without a batch.
  public var epilogue = Epilogue()
  /// The factor that is summed over k beside: op(a) to m numbers, or op(b) to n. The epilogue does nothing to these. Only without
  /// a batch.
  public var summedFactor: Factor?
  /// Whether a second result says where the first is greater than 0, as an epilogue's mask does.
  public var storesMask = false
  /// Whether a second result, like the first, is what the epilogue's GELU is given.
  public var storesGELUInput = false

  public enum Factor: Hashable, Sendable {
    /// a.
    case left
    /// b.
    case right
  }

  public init(
    elementType: ElementType, m: Int, n: Int, k: Int, transposeA: Bool, transposeB: Bool, batch: Int = 1
  ) {
    self.elementType = elementType
    resultType = elementType
    self.m = m
    self.n = n
    self.k = k
    self.transposeA = transposeA
    self.transposeB = transposeB
    self.batch = batch
  }

  /// Whether there is a second result for the gradient of the epilogue's activation.
  public var storesForGradient: Bool { storesMask || storesGELUInput }
}

/// A two-dimensional convolution of images in NHWC (or NCHW) with filters in HWIO, as TensorFlow defines it.
public struct Convolution: Hashable, Sendable {
  public enum Role: Hashable, Sendable {
    /// Operands: image, filter, then those of the epilogue. Result: image.
    case forward
    /// Operands: sizes (ignored), filter, gradient of the result. Result: gradient of the image.
    case backwardData
    /// Operands: image, sizes (ignored), gradient of the result. Result: gradient of the filter.
    case backwardFilter
  }
  public var role: Role
  public var elementType: ElementType
  /// Whether images are NCHW.
  public var isChannelsFirst: Bool
  public var batch: Int
  public var inputHeight: Int
  public var inputWidth: Int
  public var inputChannels: Int
  public var outputHeight: Int
  public var outputWidth: Int
  public var outputChannels: Int
  public var kernelHeight: Int
  public var kernelWidth: Int
  /// 1, or with `isDepthwise` the number of input channels.
  public var groups: Int
  /// A filter of shape [h, w, channels, multiplier], output channel c · multiplier + q.
  public var isDepthwise: Bool
  public var strideHeight: Int
  public var strideWidth: Int
  /// 1 is a dense kernel.
  public var dilationHeight: Int
  public var dilationWidth: Int
  public var paddingTop: Int
  public var paddingBottom: Int
  public var paddingLeft: Int
  public var paddingRight: Int
  /// Whether the filter is the same in every run.
  public var isFilterConstant = false
  /// What is done to the result of `forward`.
  public var epilogue = Epilogue()

  public init(
    role: Role, elementType: ElementType, isChannelsFirst: Bool, batch: Int,
    input: (height: Int, width: Int, channels: Int),
    output: (height: Int, width: Int, channels: Int), kernel: (height: Int, width: Int), groups: Int, isDepthwise: Bool,
    strides: (height: Int, width: Int), dilations: (height: Int, width: Int),
    padding: (top: Int, bottom: Int, left: Int, right: Int)
  ) {
    self.role = role
    self.elementType = elementType
    self.isChannelsFirst = isChannelsFirst
    self.batch = batch
    (inputHeight, inputWidth, inputChannels) = input
    (outputHeight, outputWidth, outputChannels) = output
    (kernelHeight, kernelWidth) = kernel
    self.groups = groups
    self.isDepthwise = isDepthwise
    (strideHeight, strideWidth) = strides
    (dilationHeight, dilationWidth) = dilations
    (paddingTop, paddingBottom, paddingLeft, paddingRight) = padding
  }
}

/// Two-dimensional pooling of images in NHWC (or NCHW).
public struct Pooling: Hashable, Sendable {
  public enum Kind: Hashable, Sendable { case maximum, average }
  public enum Role: Hashable, Sendable {
    /// Operand: image. Result: image. The average leaves padding out of its divisor.
    case forward
    /// Maximum: operands image, result, gradient of the result. Average: sizes (ignored), gradient of the result.
    /// Result: gradient of the image. Of equal maxima the first in row order gets the gradient.
    case backward
  }
  public var role: Role
  public var kind: Kind
  public var elementType: ElementType
  public var isChannelsFirst: Bool
  public var batch: Int
  public var channels: Int
  public var inputHeight: Int
  public var inputWidth: Int
  public var outputHeight: Int
  public var outputWidth: Int
  public var kernelHeight: Int
  public var kernelWidth: Int
  public var strideHeight: Int
  public var strideWidth: Int
  public var paddingTop: Int
  public var paddingBottom: Int
  public var paddingLeft: Int
  public var paddingRight: Int

  /// Whether there are no images, or images without pixels or without windows.
  public var isEmpty: Bool {
    [batch, channels, inputHeight, inputWidth, outputHeight, outputWidth].contains(0)
  }

  public init(
    role: Role, kind: Kind, elementType: ElementType, isChannelsFirst: Bool, batch: Int, channels: Int,
    input: (height: Int, width: Int), output: (height: Int, width: Int), kernel: (height: Int, width: Int),
    strides: (height: Int, width: Int), padding: (top: Int, bottom: Int, left: Int, right: Int)
  ) {
    self.role = role
    self.kind = kind
    self.elementType = elementType
    self.isChannelsFirst = isChannelsFirst
    self.batch = batch
    self.channels = channels
    (inputHeight, inputWidth) = input
    (outputHeight, outputWidth) = output
    (kernelHeight, kernelWidth) = kernel
    (strideHeight, strideWidth) = strides
    (paddingTop, paddingBottom, paddingLeft, paddingRight) = padding
  }
}
