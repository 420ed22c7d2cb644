import MartletTensors

/// Batch normalization in training, or its gradient. Images are NHWC (or NCHW) and of the element type; all else are vectors
/// of `float32` with an element for each channel.
///
/// Operands of `forward`: x, scale, offset. Results: y, the mean, the variance times n / (n - 1), the mean, the variance.
///
/// Operands of `backward`: the gradient of y, x, scale, and the mean and the variance that x was normalized with, whatever
/// they are. Results: the gradients of x, scale and offset, as if these moments were those of x. Ioffe and Szegedy, "Batch
/// Normalization", 2015.
public struct BatchNormalization: Hashable, Sendable {
  public enum Role: Hashable, Sendable { case forward, backward }

  public var role: Role
  /// `float32`, or a type of 16 bits.
  public var elementType: ElementType
  public var isChannelsFirst: Bool
  public var batch: Int
  public var height: Int
  public var width: Int
  public var channels: Int
  /// What is added to the variance under the root.
  public var epsilon: Float
  /// How many times less kernels read or write an array of the size of x, because they take in what stands in front or behind,
  /// which a call does not.
  public var savedPasses = 0

  public init(
    role: Role, elementType: ElementType, isChannelsFirst: Bool, batch: Int, height: Int, width: Int, channels: Int,
    epsilon: Float
  ) {
    (self.role, self.elementType, self.isChannelsFirst) = (role, elementType, isChannelsFirst)
    (self.batch, self.height, self.width, self.channels) = (batch, height, width, channels)
    self.epsilon = epsilon
  }

  /// The elements of a channel.
  public var count: Int { batch * height * width }
  public var imageBytes: Int { count * channels * elementType.byteWidth }
  public var vectorBytes: Int { channels * ElementType.float32.byteWidth }

  /// How many of the first operands are images; of the results the first is one.
  public var imageOperandCount: Int { role == .forward ? 1 : 2 }
  public var operandCount: Int { role == .forward ? 3 : 5 }
  public var resultCount: Int { role == .forward ? 5 : 3 }

  /// How often generated kernels read or write an array of the size of x: for moments and then for the result, or for two sums
  /// and then for the result.
  public var passes: Int { (role == .forward ? 3 : 5) - savedPasses }
}

/// An operation of stages that a library may do whole, which is worth it or not by what stands around it.
public protocol BatchNormalizing: Operation {
  /// The contract for the operation's first operands and results, so many as it has; nil where it does not hold.
  func batchNormalization(_ context: LoweringContext) -> BatchNormalization?
}
