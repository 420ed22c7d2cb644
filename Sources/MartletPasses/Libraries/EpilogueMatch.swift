import MartletGraph
import MartletLoopIR
import MartletTensors

/// What a stage program does to one of its inputs, as far as an epilogue can say it:
/// `activation(input · scale + bias + residual)`, rounded once where the result has 16 bits.
struct EpilogueMatch {
  /// A vector with one element for each channel.
  enum Vector {
    /// An input of the program as it is.
    case input(Int)
    /// Computed from inputs of the program.
    case computed(StageProgram, inputs: [Int])
  }

  var scale: Vector?
  /// The scale, where it is one number for all channels; it is not in `scale` then.
  var factor: Float = 1
  var bias: Vector?
  /// The input that is added element by element.
  var residual: Int?
  var activation: Epilogue.Activation?
  /// The input that is greater than 0 where elements stay; the others are 0.
  var mask: Int?
  /// The input at which elements are multiplied by the derivative of GELU in its form with a tangent.
  var geluInput: Int?
  /// The type of the result, the bias and the residual: the input's, or `float32` where that has 16 bits.
  var elementType: ElementType
  /// The extents of the result.
  var extents: [Int]

  init(
    scale: Vector? = nil, bias: Vector? = nil, residual: Int? = nil, activation: Epilogue.Activation? = nil,
    elementType: ElementType, extents: [Int]
  ) {
    self.scale = scale
    self.bias = bias
    self.residual = residual
    self.activation = activation
    self.elementType = elementType
    self.extents = extents
  }

  var epilogue: Epilogue {
    Epilogue(
      scale: factor, hasBias: bias != nil, hasResidual: residual != nil, activation: activation, hasMask: mask != nil,
      hasGELUInput: geluInput != nil)
  }
}
