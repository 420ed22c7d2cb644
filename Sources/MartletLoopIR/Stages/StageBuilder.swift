import MartletTensors

/// Builds a `StageProgram`.
///
/// ```swift
/// var b = StageBuilder(inputs: [BufferType(.float32, [m, k]), BufferType(.float32, [k, n])])
/// let product = b.reduce("MatMul", .float32, [m, n], over: [k], .sum) { b, i, r in
///   b.multiply(b.load(.input(0), .float32, at: [i[0], r[0]]), b.load(.input(1), .float32, at: [r[0], i[1]]))
/// }
/// let program = b.finish([product])
/// ```
public struct StageBuilder {
  /// Reductions of one value by an associative operation.
  public enum Combiner: Sendable {
    case sum, product, minimum, maximum, all, any
  }

  public private(set) var inputs: [BufferType]
  public private(set) var stages: [Stage] = []
  public var scalars = ScalarBuilder()

  public init(inputs: [BufferType]) { self.inputs = inputs }

  /// The element type and extents of an input or of a stage so far.
  public func type(of source: Source) -> BufferType {
    switch source {
    case .input(let i): inputs[i]
    case .stage(let i): stages[i].result
    }
  }

  /// Adds a stage whose element at each index is what `body` returns; it is given the axes' scalars.
  public mutating func map(
    _ name: String, _ type: ElementType, _ extents: [Int], _ body: (inout ScalarBuilder, [Scalar]) -> Scalar
  ) -> Source {
    scalars.axisExtents = extents
    let axes = axes(0..<extents.count)
    let value = narrowed(body(&scalars, axes), to: type)
    precondition(value.type == type, "stage \(name) computes \(value.type), not \(type)")
    return add(name, BufferType(type, extents), .map(value.id))
  }

  /// Adds a reduction by `combiner` over axes of extents `reduced`; `body` is given the result's axes and the reduced
  /// ones, `finish` turns the total into the element.
  public mutating func reduce(
    _ name: String, _ type: ElementType, _ extents: [Int], over reduced: [Int], _ combiner: Combiner,
    _ body: (inout ScalarBuilder, _ axes: [Scalar], _ reduced: [Scalar]) -> Scalar,
    finish: (inout ScalarBuilder, Scalar) -> Scalar = { $1 }
  ) -> Source {
    scalars.axisExtents = extents + reduced
    let value = scalars.widen(
      body(&scalars, axes(0..<extents.count), axes(extents.count..<extents.count + reduced.count)))
    let state = scalars.state(0, value.type)
    let other = scalars.other(0, value.type)
    let initial: Scalar
    switch combiner {
    case .sum, .any: initial = scalars.constant(bits: 0, value.type)
    case .product, .all: initial = scalars.integer(1, value.type)
    case .minimum: initial = scalars.highest(value.type)
    case .maximum: initial = scalars.lowest(value.type)
    }
    func combine(_ b: inout ScalarBuilder, _ x: Scalar, _ y: Scalar) -> Scalar {
      switch combiner {
      case .sum: b.add(x, y)
      case .product: b.multiply(x, y)
      case .minimum: b.minimum(x, y)
      case .maximum: b.maximum(x, y)
      case .all: b.and(x, y)
      case .any: b.or(x, y)
      }
    }
    // Minima and maxima ask first whether their first operand is NaN: of a value, that is known before the state is.
    let isExtremum = combiner == .minimum || combiner == .maximum
    let step = isExtremum ? combine(&scalars, value, state) : combine(&scalars, state, value)
    let merge = combine(&scalars, state, other)
    let result = narrowed(finish(&scalars, state), to: type)
    precondition(result.type == type, "stage \(name) computes \(result.type), not \(type)")
    let reduction = Reduction(
      extents: reduced, initial: [initial.id], step: [step.id], merge: [merge.id], finish: result.id)
    return add(name, BufferType(type, extents), .reduce(reduction))
  }

  /// Adds a reduction with a state of several components; see `Reduction` for what each closure may use.
  public mutating func reduce(
    _ name: String, _ type: ElementType, _ extents: [Int], over reduced: [Int], initial: [Scalar],
    step: (inout ScalarBuilder, _ state: [Scalar], _ axes: [Scalar], _ reduced: [Scalar]) -> [Scalar],
    merge: (inout ScalarBuilder, _ state: [Scalar], _ other: [Scalar]) -> [Scalar],
    finish: (inout ScalarBuilder, _ state: [Scalar]) -> Scalar
  ) -> Source {
    scalars.axisExtents = extents + reduced
    let initial = initial.map { scalars.widen($0) }
    let state = initial.enumerated().map { scalars.state($0, $1.type) }
    let other = initial.enumerated().map { scalars.other($0, $1.type) }
    let next = step(&scalars, state, axes(0..<extents.count), axes(extents.count..<extents.count + reduced.count))
      .map { scalars.widen($0) }
    let merged = merge(&scalars, state, other).map { scalars.widen($0) }
    let result = narrowed(finish(&scalars, state), to: type)
    precondition(result.type == type, "stage \(name) computes \(result.type), not \(type)")
    let reduction = Reduction(
      extents: reduced, initial: initial.map(\.id), step: next.map(\.id), merge: merged.map(\.id), finish: result.id)
    return add(name, BufferType(type, extents), .reduce(reduction))
  }

  /// Adds a scan; `step` is given the state so far and the axes.
  public mutating func scan(
    _ name: String, _ type: ElementType, _ extents: [Int], along axis: Int, reversed: Bool, exclusive: Bool,
    initial: Double, step: (inout ScalarBuilder, _ state: Scalar, _ axes: [Scalar]) -> Scalar
  ) -> Source {
    scalars.axisExtents = extents
    let wide = type.arithmeticType
    let initial = scalars.constant(initial, wide)
    let state = scalars.state(0, wide)
    let next = scalars.widen(step(&scalars, state, axes(0..<extents.count)))
    let scan = Scan(axis: axis, isReversed: reversed, isExclusive: exclusive, initial: initial.id, step: next.id)
    return narrowed(add(name, BufferType(wide, extents), .scan(scan)), to: type)
  }

  /// Adds a scatter of updates over `updateExtents` into an array that starts as `initial`.
  public mutating func scatter(
    _ name: String, _ type: ElementType, _ extents: [Int], updates updateExtents: [Int],
    initial: (inout ScalarBuilder, _ axes: [Scalar]) -> Scalar,
    position: (inout ScalarBuilder, _ axes: [Scalar]) -> [Scalar],
    combine: (inout ScalarBuilder, _ state: Scalar, _ axes: [Scalar]) -> Scalar
  ) -> Source {
    scalars.axisExtents = extents
    let start = initial(&scalars, axes(0..<extents.count))
    scalars.axisExtents = updateExtents
    let updateAxes = axes(0..<updateExtents.count)
    let target = position(&scalars, updateAxes)
    var combined = combine(&scalars, scalars.state(0, type), updateAxes)
    var initial = start
    let rows = scalars.arena.reachable(from: [combined.id])
    if type.isHalf, rows.contains(where: { scalars.arena[$0].operation == .state }) {
      initial = scalars.widen(start)
      combined = scalars.widen(combine(&scalars, scalars.state(0, initial.type), updateAxes))
    }
    let scatter = Scatter(
      initial: initial.id, updateExtents: updateExtents, position: target.map(\.id), combine: combined.id)
    return narrowed(add(name, BufferType(initial.type, extents), .scatter(scatter)), to: type)
  }

  /// The program whose results are `outputs`. What stages of 16 bits leave for each other is kept in `float32`.
  public func finish(_ outputs: [Source]) -> StageProgram {
    StageProgram(scalars: scalars.arena, inputs: inputs, stages: stages, outputs: outputs).widened()
  }

  /// `float32`, in which states of reductions of floats of 16 bits are, as an element of a stage of `type`.
  private mutating func narrowed(_ x: Scalar, to type: ElementType) -> Scalar {
    x.type == type.arithmeticType ? scalars.narrow(x, to: type) : x
  }

  /// The same for a whole stage.
  private mutating func narrowed(_ stage: Source, to type: ElementType) -> Source {
    let wide = self.type(of: stage)
    guard wide.elementType != type else { return stage }
    return map("\(type)", type, wide.extents) { b, axes in
      b.narrow(b.load(stage, wide.elementType, at: axes), to: type)
    }
  }

  private mutating func axes(_ numbers: Range<Int>) -> [Scalar] { numbers.map { scalars.axis($0) } }

  private mutating func add(_ name: String, _ result: BufferType, _ kind: Stage.Kind) -> Source {
    stages.append(Stage(name: name, result: result, kind: kind))
    return .stage(stages.count - 1)
  }
}
