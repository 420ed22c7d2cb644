import MartletTensors

/// What a library call does to its result, element by element, before it stores it:
/// `activation(scale · result + bias + residual)`, without the parts that are not there.
///
/// Its operands stand after the call's own: first the bias, then the residual, then the mask or what GELU was given.
public struct Epilogue: Hashable, Sendable {
  /// What the result is multiplied by; 1 for nothing.
  public var scale: Float = 1
  /// Whether an operand with one element for each channel (of products: column) is added.
  public var hasBias: Bool
  /// Whether an operand with as many elements as the result, in the same order, is added. The result may be written
  /// over it.
  public var hasResidual: Bool
  public var activation: Activation?
  /// Whether an operand says which elements stay, the others are 0: bit j % 8 of byte j / 8 of row i, from the lowest bit, for
  /// element j of row i of a matrix. A row has ``maskBytes(columns:)`` bytes, of uint8.
  public var hasMask: Bool
  /// Whether all is multiplied by the derivative of ``Activation/geluByTanh`` at an operand with as many elements as the result, in
  /// the same order: the gradient of what that activation was given.
  public var hasGELUInput: Bool

  public init(
    scale: Float = 1, hasBias: Bool = false, hasResidual: Bool = false, activation: Activation? = nil,
    hasMask: Bool = false, hasGELUInput: Bool = false
  ) {
    (self.scale, self.hasBias, self.hasResidual, self.activation) = (scale, hasBias, hasResidual, activation)
    (self.hasMask, self.hasGELUInput) = (hasMask, hasGELUInput)
  }

  /// The bytes of a mask's row: of a multiple of 128 bits.
  public static func maskBytes(columns: Int) -> Int { (columns + 127) / 128 * 16 }

  public enum Activation: Hashable, Sendable {
    /// x where x > 0, else slope · x. A library may give any number for NaN.
    case relu(slope: Float)
    /// x held between two bounds. A library may give either for NaN.
    case clip(Float, Float)
    /// x where x > 0, else alpha · (eˣ − 1).
    case elu(alpha: Float)
    case tanh
    /// The logistic function.
    case sigmoid
    /// x · Φ(x), Φ the distribution function of the normal distribution.
    case gelu
    /// ½ · x · (1 + tanh(√(2/π) · (x + 0.044715 x³))). Source: D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.
    case geluByTanh
  }

  public var isEmpty: Bool { self == Epilogue() }
  /// Whether an operand says with what the gradient of an activation multiplies.
  public var isGradient: Bool { hasMask || hasGELUInput }
  public var operandCount: Int { [hasBias, hasResidual, hasMask, hasGELUInput].count { $0 } }
}

extension LibraryContract {
  /// What is done to the result, for calls to which that can be said.
  public var epilogue: Epilogue? {
    switch self {
    case .matrixProduct(let product): product.epilogue
    case .convolution(let convolution): convolution.role == .forward ? convolution.epilogue : nil
    case .pooling, .attention, .attentionGradient, .recurrent, .batchNormalization: nil
    }
  }

  /// The same with another epilogue.
  public func with(_ epilogue: Epilogue) -> LibraryContract {
    switch self {
    case .matrixProduct(var product):
      product.epilogue = epilogue
      return .matrixProduct(product)
    case .convolution(var convolution):
      convolution.epilogue = epilogue
      return .convolution(convolution)
    case .pooling, .attention, .attentionGradient, .recurrent, .batchNormalization: return self
    }
  }

  /// The same with a result of a type; nil for calls whose results have that of their operands.
  public func with(resultType: ElementType) -> LibraryContract? {
    if case .matrixProduct(var product) = self {
      product.resultType = resultType
      return .matrixProduct(product)
    }
    return elementType == resultType ? self : nil
  }

  /// The same where operand 1, a matrix or a filter, is the same in every run.
  public var withConstantOperand: LibraryContract {
    switch self {
    case .matrixProduct(var product):
      product.isRightConstant = true
      return .matrixProduct(product)
    case .convolution(var convolution):
      convolution.isFilterConstant = true
      return .convolution(convolution)
    case .pooling, .attention, .attentionGradient, .recurrent, .batchNormalization: return self
    }
  }

  /// The operand that the first result may be written over, if nothing else reads it.
  public var inPlaceOperand: Int? {
    guard let epilogue, epilogue.hasResidual else { return nil }
    return 2 + (epilogue.hasBias ? 1 : 0)
  }

  /// The axis of a result of some rank along which a bias lies.
  public func channelAxis(ofRank rank: Int) -> Int {
    if case .convolution(let convolution) = self, convolution.isChannelsFirst { 1 } else { rank - 1 }
  }
}
