import MartletGraph
import MartletLoopIR
import MartletTensors

/// Recognises epilogues by the arithmetic of lowered stages, so that every spelling of a bias or an activation counts,
/// and none needs a name.
struct EpilogueMatcher {
  private let inputs: [BufferType]
  private let base: Int
  let extents: [Int]
  /// Of the result, and what it is computed in.
  private let type: ElementType
  private let arithmeticType: ElementType
  private let channelAxis: Int
  private let channels: Int
  var b: ScalarBuilder
  /// The place of the result's element among all.
  private var place: Scalar
  /// What rows are known to be; nil for those that fit into no epilogue.
  private var known: [ScalarID: Value?] = [:]

  struct Form {
    var scale: Scalar?
    var bias: Scalar?
    var residual: Int?
    var activation: Epilogue.Activation?
    var mask: Int?
    var geluInput: Int?
    /// The type of 16 bits that it was rounded to.
    var rounding: ElementType?

    /// Whether nothing can come behind but a rounding.
    var isGradient: Bool { mask != nil || geluInput != nil }
    /// Whether it is no more than a product, its scale and a residual.
    var isProduct: Bool { bias == nil && activation == nil && !isGradient && rounding == nil }
  }

  enum Value {
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
    (match.factor, match.mask, match.geluInput) = (factor ?? 1, form.mask, form.geluInput)
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

  mutating func value(_ id: ScalarID) -> Value? {
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
  mutating func channel(_ row: ScalarRow) -> Value? {
    guard row.operandCount > 0 else { return nil }
    for operand in row.operands {
      guard case .channel? = value(operand) else { return nil }
    }
    return .channel
  }

  private mutating func arithmetic(_ id: ScalarID, _ row: ScalarRow) -> Value? {
    let (x, y) = (row.operand(0), row.operand(1))
    guard let first = value(x), let second = value(y) else { return gelu(id) ?? geluGradient(row) }
    let (left, right) = (Scalar(x, row.type), Scalar(y, row.type))
    switch (first, second) {
    case (.channel, .channel): return .channel
    case (.form(let form), .channel):
      return combined(form, row.operation, right)
    case (.channel, .form(let form)) where row.operation == .add || row.operation == .multiply:
      return combined(form, row.operation, left)
    case (.form(var form), .residual(let input)) where row.operation == .add,
      (.residual(let input), .form(var form)) where row.operation == .add || row.operation == .subtract:
      guard form.activation == nil, form.residual == nil, form.rounding == nil, !form.isGradient else { return nil }
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
    guard form.activation == nil, form.rounding == nil, !form.isGradient else { return nil }
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
