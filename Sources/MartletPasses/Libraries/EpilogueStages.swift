import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletTensors

extension EpilogueMatch {
  /// What the epilogue, its factor included, means: input 0 is the library's result, then come the operands of the epilogue.
  ///
  /// - Parameters:
  ///   - base: the type of the library's result.
  ///   - bias: that of the bias, which has one element for each channel, whatever its rank.
  ///   - channelAxis: the axis of this match's result along which the bias lies.
  func program(base: BufferType, bias: BufferType?, channelAxis: Int) -> StageProgram {
    let type = elementType
    var inputs = [base]
    if let bias { inputs.append(bias) }
    if residual != nil { inputs.append(BufferType(type, extents)) }
    let residualInput = inputs.count - 1
    if mask != nil { inputs.append(BufferType(.uint8, [extents[0], Epilogue.maskBytes(columns: extents[1])])) }
    if geluInput != nil { inputs.append(BufferType(type, extents)) }
    var b = StageBuilder(inputs: inputs)
    let (extents, activation, factor) = (extents, activation, factor)
    let last = inputs.count - 1
    let (hasResidual, hasMask, hasGELUInput) = (residual != nil, mask != nil, geluInput != nil)
    let result = b.map("Epilogue", type, extents) { b, axes in
      let source = b.load(.input(0), base.elementType, at: Self.reshaped(&b, axes, extents, base.extents))
      var x = b.widen(source)
      if factor != 1 { x = b.multiply(b.constant(Double(factor), x.type), x) }
      if let bias {
        let zero = b.integer(0)
        let along = bias.extents.firstIndex { $0 != 1 }
        let indices = bias.extents.indices.map { $0 == along ? axes[channelAxis] : zero }
        x = b.add(x, b.widen(b.load(.input(1), type, at: indices)))
      }
      if hasResidual { x = b.add(x, b.widen(b.load(.input(residualInput), type, at: axes))) }
      x = activation.map { $0.scalar(&b, x) } ?? x
      if hasMask {
        let eight = b.integer(8)
        let byte = b.cast(b.load(.input(last), .uint8, at: [axes[0], b.floorDivide(axes[1], eight)]), to: .int64)
        let bit = b.and(b.shiftRightLogical(byte, b.floorModulo(axes[1], eight)), b.integer(1))
        x = b.select(b.equal(bit, b.integer(1)), x, b.constant(0, x.type))
      }
      if hasGELUInput {
        x = GeluGrad(approximate: true).scalar(&b, [x, b.widen(b.load(.input(last), type, at: axes))])
      }
      return b.narrow(x, to: type)
    }
    return b.finish([result])
  }

  /// GELU in its form with a tangent, of an array.
  static func gelu(_ type: BufferType) -> StageProgram {
    var b = StageBuilder(inputs: [type])
    let result = b.map("Gelu", type.elementType, type.extents) { b, axes in
      let x = b.widen(b.load(.input(0), type.elementType, at: axes))
      return b.narrow(Gelu(approximate: true).scalar(&b, [x]), to: type.elementType)
    }
    return b.finish([result])
  }

  /// The mask of an array, for a call whose result it masks.
  static func packing(_ type: BufferType) -> StageProgram {
    let (rows, columns) = (type.extents[0], type.extents[1])
    var b = StageBuilder(inputs: [type])
    let bytes = b.map("Mask", .uint8, [rows, Epilogue.maskBytes(columns: columns)]) { b, axes in
      var byte = b.integer(0)
      let first = b.multiply(axes[1], b.integer(8))
      for bit in 0..<8 {
        let column = b.add(first, b.integer(bit))
        let isInside = b.less(column, b.integer(columns))
        let element = b.widen(b.load(.input(0), type.elementType, at: [axes[0], column], if: isInside))
        let isSet = b.and(isInside, b.greater(element, b.constant(0, element.type)))
        byte = b.add(byte, b.select(isSet, b.integer(1 << bit), b.integer(0)))
      }
      return b.cast(byte, to: .uint8)
    }
    return b.finish([bytes])
  }

  /// The indices of an element of an array whose bytes are those of another.
  private static func reshaped(
    _ b: inout ScalarBuilder, _ axes: [Scalar], _ extents: [Int], _ source: [Int]
  ) -> [Scalar] {
    guard extents != source else { return axes }
    var place = b.integer(0)
    for (axis, extent) in zip(axes, extents) { place = b.add(b.multiply(place, b.integer(extent)), axis) }
    var indices: [Scalar] = []
    for extent in source.reversed() {
      let extent = b.integer(max(extent, 1))
      indices.append(b.floorModulo(place, extent))
      place = b.floorDivide(place, extent)
    }
    return indices.reversed()
  }
}

extension Epilogue.Activation {
  /// The activation of a scalar.
  func scalar(_ b: inout ScalarBuilder, _ x: Scalar) -> Scalar {
    let zero = b.constant(0, x.type)
    func constant(_ b: inout ScalarBuilder, _ value: Float) -> Scalar { b.constant(Double(value), x.type) }
    switch self {
    case .relu(slope: 0): return b.maximum(x, zero)
    case .relu(let slope):
      let scaled = b.multiply(constant(&b, slope), x)
      return b.select(b.greater(x, zero), x, scaled)
    case .clip(let low, let high):
      let (low, high) = (constant(&b, low), constant(&b, high))
      return b.minimum(b.maximum(x, low), high)
    case .elu(let alpha):
      let rest = b.multiply(constant(&b, alpha), b.expm1(x))
      return b.select(b.greater(x, zero), x, rest)
    case .tanh: return b.tanh(x)
    case .sigmoid: return b.sigmoid(x)
    case .gelu: return Gelu().scalar(&b, [x])
    case .geluByTanh: return Gelu(approximate: true).scalar(&b, [x])
    }
  }
}
