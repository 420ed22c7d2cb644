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
      scale: factor, hasBias: bias != nil, hasResidual: residual != nil, activation: activation, hasMask: mask != nil)
  }
}

/// Recognises epilogues by the arithmetic of lowered stages, so that every spelling of a bias or an activation counts,
/// and none needs a name.
struct EpilogueMatcher {
  private let inputs: [BufferType]
  private let base: Int
  private let extents: [Int]
  /// Of the result, and what it is computed in.
  private let type: ElementType
  private let arithmeticType: ElementType
  private let channelAxis: Int
  private let channels: Int
  private var b: ScalarBuilder
  /// The place of the result's element among all.
  private var place: Scalar
  /// What rows are known to be; nil for those that fit into no epilogue.
  private var known: [ScalarID: Value?] = [:]

  private struct Form {
    var scale: Scalar?
    var bias: Scalar?
    var residual: Int?
    var activation: Epilogue.Activation?
    var mask: Int?
    /// The type of 16 bits that it was rounded to.
    var rounding: ElementType?
  }

  private enum Value {
    case channel
    case residual(Int)
    case form(Form)
  }

  /// The match of a program.
  ///
  /// - Parameters:
  ///   - base: the input that stands for the library's result.
  ///   - channelAxis: the axis of that input along which a bias lies.
  ///   - takesFactors: whether a scale that is one number is the epilogue's own.
  static func match(
    _ program: StageProgram, base: Int, channelAxis: Int, takesFactors: Bool
  ) -> EpilogueMatch? {
    guard program.stages.count == 1, program.outputs == [.stage(0)], case .map(let root) = program.stages[0].kind,
      var matcher = EpilogueMatcher(program, base: base, channelAxis: channelAxis),
      let form = matcher.result(root)
    else { return nil }
    let factor = takesFactors ? form.scale.flatMap { matcher.number($0.id) } : nil
    var match = EpilogueMatch(
      scale: factor == nil ? form.scale.map { matcher.vector($0) } : nil, bias: form.bias.map { matcher.vector($0) },
      residual: form.residual, activation: form.activation, elementType: matcher.type, extents: matcher.extents)
    (match.factor, match.mask) = (factor ?? 1, form.mask)
    return match
  }

  /// Nil where the result's shape has no axis for the channels, or its type does not go with the input's.
  private init?(_ program: StageProgram, base: Int, channelAxis: Int) {
    inputs = program.inputs
    self.base = base
    extents = program.stages[0].extents
    type = program.stages[0].result.elementType
    arithmeticType = type.arithmeticType
    let sourceType = program.inputs[base].elementType
    guard type == sourceType || sourceType.isHalf && type == .float32 else { return nil }
    let source = program.inputs[base].extents
    guard program.stages[0].result.elementCount == program.inputs[base].elementCount else { return nil }
    if channelAxis == source.count - 1, extents.last == source.last {
      self.channelAxis = extents.count - 1
    } else if source == extents {
      self.channelAxis = channelAxis
    } else {
      return nil
    }
    channels = source[channelAxis]
    b = ScalarBuilder(program.scalars)
    b.axisExtents = extents
    place = b.integer(0)
    place = offset(extents.indices.map { b.axis($0) }, extents)
  }

  private mutating func offset(_ indices: [Scalar], _ extents: [Int]) -> Scalar {
    var stride = 1
    var terms: [(scalar: Scalar, factor: Int)] = []
    for (index, extent) in zip(indices, extents).reversed() {
      terms.append((index, stride))
      stride *= extent
    }
    return b.sum(terms)
  }

  // MARK: Values

  /// The form of what is stored.
  private mutating func result(_ root: ScalarID) -> Form? {
    let row = b.arena[root]
    let isRounded = type.isHalf && row.operation == .cast
    guard case .form(let form)? = value(isRounded ? row.operand(0) : root) else { return nil }
    // Rounding again changes nothing.
    return form.rounding == nil || form.rounding == type ? form : nil
  }

  private mutating func value(_ id: ScalarID) -> Value? {
    if let known = known[id] { return known }
    let value = newValue(id)
    known[id] = .some(value)
    return value
  }

  private mutating func newValue(_ id: ScalarID) -> Value? {
    let row = b.arena[id]
    switch row.operation {
    case .constant: return .channel
    case .load: return load(row)
    case .cast: return converted(row)
    case .add, .subtract, .multiply, .divide: return arithmetic(id, row)
    case .maximum, .minimum: return bound(row)
    case .tanh: return activated(row.operand(0), .tanh) ?? channel(row)
    case .sigmoid: return activated(row.operand(0), .sigmoid) ?? channel(row)
    case .select: return selected(row)
    default: return channel(row)
    }
  }

  private mutating func load(_ row: ScalarRow) -> Value? {
    guard row.condition == .none, case .input(let input) = Source(payload: row.payload) else { return nil }
    let buffer = inputs[input]
    let offset = offset(row.operands.map { Scalar($0, .int64) }, buffer.extents)
    if input == base { return offset == place ? .form(Form()) : nil }
    // Vectors may have more bits than the result, or as few as the library's operands.
    let isMixed = inputs[base].elementType.isHalf && buffer.elementType.arithmeticType == arithmeticType
    guard buffer.elementType == type || isMixed else { return nil }
    if buffer.elementCount == 1 { return .channel }
    if buffer.elementCount == channels, offset == b.axis(channelAxis) { return .channel }
    let isResidual = buffer.elementType == type && buffer.extents == extents && offset == place
    return isResidual ? .residual(input) : nil
  }

  /// Between 16 bits and float32.
  private mutating func converted(_ row: ScalarRow) -> Value? {
    let source = b.arena.type(of: row.operand(0))
    guard let value = value(row.operand(0)) else { return nil }
    if case .channel = value { return value }
    if source.isHalf, row.type == .float32 { return value }
    guard case .form(var form) = value, source == .float32, row.type.isHalf, form.rounding == nil else { return nil }
    form.rounding = row.type
    return .form(form)
  }

  /// The channel value of a row whose operands are such.
  private mutating func channel(_ row: ScalarRow) -> Value? {
    guard row.operandCount > 0 else { return nil }
    for operand in row.operands {
      guard case .channel? = value(operand) else { return nil }
    }
    return .channel
  }

  private mutating func arithmetic(_ id: ScalarID, _ row: ScalarRow) -> Value? {
    let (x, y) = (row.operand(0), row.operand(1))
    guard let first = value(x), let second = value(y) else { return gelu(id) }
    let (left, right) = (Scalar(x, row.type), Scalar(y, row.type))
    switch (first, second) {
    case (.channel, .channel): return .channel
    case (.form(let form), .channel):
      return combined(form, row.operation, right)
    case (.channel, .form(let form)) where row.operation == .add || row.operation == .multiply:
      return combined(form, row.operation, left)
    case (.form(var form), .residual(let input)) where row.operation == .add,
      (.residual(let input), .form(var form)) where row.operation == .add || row.operation == .subtract:
      guard form.activation == nil, form.residual == nil, form.rounding == nil, form.mask == nil else { return nil }
      form.residual = input
      if row.operation == .subtract {
        form.scale = b.negate(form.scale ?? b.constant(1, arithmeticType))
        form.bias = form.bias.map { b.negate($0) }
      }
      return .form(form)
    default: return gelu(id)
    }
  }

  /// `form` with a channel value at its right.
  private mutating func combined(_ form: Form, _ operation: ScalarOperation, _ value: Scalar) -> Value? {
    guard form.activation == nil, form.rounding == nil, form.mask == nil else { return nil }
    var form = form
    switch operation {
    case .add: form.bias = form.bias.map { b.add($0, value) } ?? value
    case .subtract: form.bias = form.bias.map { b.subtract($0, value) } ?? b.negate(value)
    case .multiply, .divide:
      guard form.residual == nil else { return nil }
      func scaled(_ b: inout ScalarBuilder, _ x: Scalar) -> Scalar {
        operation == .multiply ? b.multiply(x, value) : b.divide(x, value)
      }
      let one = b.constant(1, arithmeticType)
      form.scale = scaled(&b, form.scale ?? one)
      form.bias = form.bias.map { scaled(&b, $0) }
    default: return nil
    }
    return .form(form)
  }

  // MARK: Activations

  private mutating func activated(_ id: ScalarID, _ activation: Epilogue.Activation) -> Value? {
    guard case .form(var form)? = value(id), form.activation == nil, form.mask == nil else { return nil }
    // A ReLU may as well come before a rounding.
    guard form.rounding == nil || activation == .relu(slope: 0) else { return nil }
    form.activation = activation
    return .form(form)
  }

  private func number(_ id: ScalarID) -> Float? {
    let row = b.arena[id]
    guard row.operation == .constant, row.type == .float32 else { return nil }
    return Float(bitPattern: UInt32(truncatingIfNeeded: row.payload))
  }

  /// Whether a row is 0, of any type.
  private func isZero(_ id: ScalarID) -> Bool { b.arena[id].operation == .constant && b.arena[id].payload == 0 }

  private mutating func bound(_ row: ScalarRow) -> Value? {
    for (x, limit) in [(row.operand(0), row.operand(1)), (row.operand(1), row.operand(0))] {
      guard let limit = number(limit), case .form(var form)? = value(x), form.mask == nil else { continue }
      switch (row.operation, form.activation) {
      case (.maximum, nil) where limit == 0: form.activation = .relu(slope: 0)
      case (.minimum, .relu(slope: 0)) where limit > 0 && form.rounding == nil: form.activation = .clip(0, limit)
      default: return nil
      }
      return .form(form)
    }
    return channel(row)
  }

  /// One case for x > 0, where that is x, another for the rest.
  private mutating func selected(_ row: ScalarRow) -> Value? {
    let condition = b.arena[row.operand(0)]
    guard condition.operation == .less else { return channel(row) }
    if let masked = masked(row, condition) { return masked }
    let x: ScalarID
    let other: ScalarID
    if number(condition.operand(0)) == 0, condition.operand(1) == row.operand(1) {
      (x, other) = (row.operand(1), row.operand(2))
    } else if number(condition.operand(1)) == 0, condition.operand(0) == row.operand(2) {
      (x, other) = (row.operand(2), row.operand(1))
    } else {
      return channel(row)
    }
    guard case .form? = value(x) else { return channel(row) }
    let rest = b.arena[other]
    if number(other) == 0 { return activated(x, .relu(slope: 0)) }
    if rest.operation == .expm1, rest.operand(0) == x { return activated(x, .elu(alpha: 1)) }
    guard rest.operation == .multiply else { return nil }
    for (factor, part) in [(rest.operand(0), rest.operand(1)), (rest.operand(1), rest.operand(0))] {
      guard let factor = number(factor) else { continue }
      if part == x { return activated(x, .relu(slope: factor)) }
      let row = b.arena[part]
      if row.operation == .expm1, row.operand(0) == x { return activated(x, .elu(alpha: factor)) }
    }
    return nil
  }

  /// What stays where an array of the result's shape is greater than 0: the gradient of a ReLU.
  private mutating func masked(_ row: ScalarRow, _ condition: ScalarRow) -> Value? {
    guard extents.count == 2, isZero(condition.operand(0)), isZero(row.operand(2)),
      case .residual(let input)? = value(condition.operand(1)), case .form(var form)? = value(row.operand(1)),
      form.bias == nil, form.activation == nil, form.mask == nil, form.rounding == nil
    else { return nil }
    form.mask = input
    return .form(form)
  }

  /// ½ · x · (1 + erf(x / √2)), or the like with the tangent that approximates it, its factors in any order.
  private mutating func gelu(_ id: ScalarID) -> Value? {
    var constant: Float = 1
    var factors: [ScalarID] = []
    var pending = [id]
    while let next = pending.popLast() {
      let row = b.arena[next]
      if let number = number(next) {
        constant *= number
      } else if row.operation == .multiply, factors.count < 4 {
        pending += row.operands
      } else {
        factors.append(next)
      }
    }
    guard constant == 0.5, factors.count == 2 else { return nil }
    for (x, cumulative) in [(factors[0], factors[1]), (factors[1], factors[0])] {
      let sum = b.arena[cumulative]
      guard sum.operation == .add else { continue }
      for (one, function) in [(sum.operand(0), sum.operand(1)), (sum.operand(1), sum.operand(0))] {
        let row = b.arena[function]
        guard number(one) == 1 else { continue }
        switch row.operation {
        case .erf where isQuotientByRootOfTwo(b.arena[row.operand(0)], of: x): return activated(x, .gelu)
        case .tanh where isArgumentOfTangent(row.operand(0), of: x): return activated(x, .geluByTanh)
        default: continue
        }
      }
    }
    return nil
  }

  /// Whether a value is √(2/π) · (x + 0.044715 x³), however it is written.
  private func isArgumentOfTangent(_ id: ScalarID, of x: ScalarID) -> Bool {
    guard let found = ScalarPolynomial(id, in: x, b.arena)?.coefficients, found.count == 4 else { return false }
    let root = (2 / Double.pi).squareRoot()
    return zip(found, [0, root, 0, root * 0.044715]).allSatisfy { abs($0 - $1) <= 1e-6 * root }
  }

  private func isQuotientByRootOfTwo(_ row: ScalarRow, of x: ScalarID) -> Bool {
    let root = Float(2).squareRoot()
    func isNear(_ id: ScalarID, _ value: Float) -> Bool { number(id).map { abs($0 - value) < 1e-6 } ?? false }
    switch row.operation {
    case .multiply:
      return (row.operand(0) == x && isNear(row.operand(1), 1 / root))
        || (row.operand(1) == x && isNear(row.operand(0), 1 / root))
    case .divide: return row.operand(0) == x && isNear(row.operand(1), root)
    default: return false
    }
  }

  // MARK: Vectors

  /// A channel value as a vector.
  private func vector(_ scalar: Scalar) -> EpilogueMatch.Vector {
    var row = b.arena[scalar.id]
    if row.operation == .cast { row = b.arena[row.operand(0)] }
    if row.operation == .load, case .input(let input) = Source(payload: row.payload),
      inputs[input].elementCount == channels, inputs[input].elementType == type
    {
      return .input(input)
    }
    let arena = b.arena
    var used: [Int] = []
    func position(_ row: ScalarRow) -> Int {
      guard case .input(let input) = Source(payload: row.payload) else {
        preconditionFailure("a channel value loads inputs only")
      }
      if let known = used.firstIndex(of: input) { return known }
      used.append(input)
      return used.count - 1
    }
    var stages = StageBuilder(inputs: inputs)
    let axes = extents.count
    let result = stages.map("channels", type, [channels]) { b, channel in
      let zero = b.integer(0)
      let moved = (0..<axes).map { $0 == channelAxis ? channel[0] : zero }
      let value = b.copy([scalar.id], from: arena, axes: moved) { b, row, indices, _ in
        b.load(.input(position(row)), row.type, at: indices)
      }[0]
      return b.narrow(value, to: type)
    }
    var program = stages.finish([result])
    program.inputs = used.map { inputs[$0] }
    return .computed(program, inputs: used)
  }
}
