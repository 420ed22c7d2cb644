import MartletLoopIR
import MartletTensors

/// A program of random stages: maps over all kinds of views, reductions, scans, gathers.
///
/// Values stay small, and nothing is discontinuous in a value that was computed, so that results can be compared with a
/// tolerance.
public struct RandomStageProgram {
  private var g: SeededGenerator
  private var builder: StageBuilder
  private var sources: [Source] = []
  /// An input of positions in 0 ..< 7.
  private let positions: Source
  /// The type of the stages' results.
  private let type: ElementType

  /// A program and inputs for it, with results of a floating-point type; what is computed is `float32`.
  public static func program(
    seed: UInt64, _ type: ElementType = .float32
  ) -> (program: StageProgram, inputs: [Tensor]) {
    var random = RandomStageProgram(seed: seed, type)
    let program = random.build()
    return (program, random.inputs(of: program))
  }

  private init(seed: UInt64, _ type: ElementType) {
    self.type = type
    var g = SeededGenerator(seed: seed)
    var types: [BufferType] = []
    let extents = (0..<3).map { _ in [1, 2, 5, 7, 16, 17, 33, 40].randomElement(using: &g)! }
    types.append(BufferType(type, Array(extents.prefix(Int.random(in: 1...3, using: &g)))))
    types.append(BufferType(type, Array(extents.suffix(2))))
    types.append(BufferType(.int32, [extents[0]]))
    types.append(BufferType(.uint8, Array(extents.prefix(2))))
    types.append(BufferType(.float64, [extents[2]]))
    types.append(BufferType(.int64, [extents[1]]))
    builder = StageBuilder(inputs: types)
    sources = types.indices.dropLast().map { .input($0) }
    positions = .input(types.count - 1)
    self.g = g
  }

  private mutating func inputs(of program: StageProgram) -> [Tensor] {
    program.inputs.map { type in
      let count = type.elementCount
      return switch type.elementType {
      case .int32: Tensor((0..<count).map { _ in Int32.random(in: -9...9, using: &g) }, shape: type.extents)
      case .int64: Tensor((0..<count).map { _ in Int64.random(in: 0..<7, using: &g) }, shape: type.extents)
      case .uint8: Tensor((0..<count).map { _ in UInt8.random(in: 0...255, using: &g) }, shape: type.extents)
      default:
        Tensor(
          rounding: (0..<count).map { _ in Double(Int.random(in: -99...99, using: &g)) / 64 }, shape: type.extents,
          as: type.elementType)
      }
    }
  }

  private mutating func build() -> StageProgram {
    var stages: [Source] = []
    for number in 0..<Int.random(in: 1...5, using: &g) {
      let stage: Source =
        switch Int.random(in: 0..<10, using: &g) {
        case 0..<5: map(number)
        case 5..<9: reduction(number)
        default: scan(number)
        }
      sources.append(stage)
      stages.append(stage)
    }
    return builder.finish(stages.filter { _ in Bool.random(using: &g) } + [stages.last!])
  }

  private mutating func extents() -> [Int] {
    var extents = builder.type(of: sources.randomElement(using: &g)!).extents
    if Int.random(in: 0..<4, using: &g) == 0 { extents.append([1, 3, 16, 19].randomElement(using: &g)!) }
    if Int.random(in: 0..<4, using: &g) == 0 { extents.shuffle(using: &g) }
    return extents.isEmpty ? [1] : extents
  }

  // MARK: Scalars

  /// An element of a source for indices over `extents`: along each of its axes the index of one of ours, shifted, reversed or
  /// stretched, with a guard where that can leave the source.
  private mutating func view(
    _ b: inout ScalarBuilder, _ source: Source, _ type: BufferType, _ axes: [Scalar], _ extents: [Int]
  ) -> Scalar {
    var condition: Scalar?
    func require(_ b: inout ScalarBuilder, _ test: Scalar) { condition = condition.map { b.and($0, test) } ?? test }
    var indices: [Scalar] = []
    for (position, extent) in type.extents.enumerated() {
      // The same axis counted from the end, if it fits, as in broadcasting.
      let own = extents.count - type.extents.count + position
      let candidates = extents.indices.filter { extents[$0] == extent }
      let axis =
        candidates.contains(own) && Int.random(in: 0..<4, using: &g) > 0 ? own : candidates.randomElement(using: &g)
      guard let axis else {
        indices.append(b.integer(Int.random(in: 0..<extent, using: &g)))
        continue
      }
      switch Int.random(in: 0..<8, using: &g) {
      case 0: indices.append(b.subtract(b.integer(extent - 1), axes[axis]))
      case 1:
        let shift = Int.random(in: -2...2, using: &g)
        let index = b.add(axes[axis], b.integer(shift))
        require(&b, b.and(b.lessEqual(b.integer(0), index), b.less(index, b.integer(extent))))
        indices.append(index)
      case 2:
        let index = b.multiply(axes[axis], b.integer(Int.random(in: 2...3, using: &g)))
        require(&b, b.less(index, b.integer(extent)))
        indices.append(index)
      case 3: indices.append(b.floorDivide(axes[axis], b.integer(2)))
      case 4: indices.append(b.floorModulo(b.multiply(axes[axis], b.integer(5)), b.integer(extent)))
      case 5 where builder.type(of: positions).extents == [extent]:
        let position = b.load(positions, .int64, at: [axes[axis]])
        indices.append(b.checkIndex(b.minimum(position, b.integer(extent - 1)), extent: extent))
      default: indices.append(axes[axis])
      }
    }
    return b.load(source, type.elementType, at: indices, if: condition)
  }

  private mutating func number(
    _ b: inout ScalarBuilder, _ axes: [Scalar], _ extents: [Int], depth: Int
  ) -> Scalar {
    func constant(_ b: inout ScalarBuilder, _ value: Double) -> Scalar { b.constant(value, .float32) }
    if depth == 0 || Int.random(in: 0..<6, using: &g) == 0 { return raw(&b, axes, extents) }
    let x = number(&b, axes, extents, depth: depth - 1)
    switch Int.random(in: 0..<14, using: &g) {
    case 0: return b.tanh(x)
    case 1: return b.sigmoid(x)
    case 2: return b.exp(b.minimum(x, constant(&b, 1)))
    case 3: return b.log1p(b.absolute(x))
    case 4: return b.sqrt(b.absolute(x))
    case 5: return b.multiply(b.sin(x), constant(&b, 2))
    default: break
    }
    let y = number(&b, axes, extents, depth: depth - 1)
    switch Int.random(in: 0..<7, using: &g) {
    case 0: return b.add(x, y)
    case 1: return b.subtract(x, y)
    case 2: return b.multiply(b.tanh(x), y)
    case 3: return b.minimum(x, y)
    case 4: return b.maximum(x, y)
    case 5: return b.divide(x, b.add(b.absolute(y), constant(&b, 1)))
    default: return b.select(b.less(raw(&b, axes, extents), raw(&b, axes, extents)), x, y)
    }
  }

  /// A small float from a source, from an index, or from integers.
  private mutating func raw(_ b: inout ScalarBuilder, _ axes: [Scalar], _ extents: [Int]) -> Scalar {
    if axes.isEmpty || Int.random(in: 0..<12, using: &g) == 0 {
      let axis = axes.randomElement(using: &g) ?? b.parameter(0)
      return b.divide(b.cast(axis, to: .float32), b.constant(16, .float32))
    }
    let source = sources.filter { builder.type(of: $0).elementType != .int64 }.randomElement(using: &g)!
    let type = builder.type(of: source)
    let x = view(&b, source, type, axes, extents)
    switch type.elementType {
    case .int32:
      let divided = b.floorModulo(b.multiply(x, b.integer(7, .int32)), b.integer(5, .int32))
      return b.multiply(b.cast(divided, to: .float32), b.constant(0.25, .float32))
    case .uint8:
      return b.multiply(b.cast(b.add(x, b.integer(100, .uint8)), to: .float32), b.constant(1.0 / 128, .float32))
    default: return b.cast(x, to: .float32)
    }
  }

  // MARK: Stages

  private mutating func map(_ number: Int) -> Source {
    let extents = extents()
    var copy = self
    let result = builder.map("map\(number)", type, extents) { b, axes in
      copy.number(&b, axes, extents, depth: 3)
    }
    g = copy.g
    return result
  }

  private mutating func reduction(_ number: Int) -> Source {
    var result = extents()
    var reduced: [Int] = []
    for _ in 0..<Int.random(in: 1...2, using: &g) where !result.isEmpty {
      reduced.append(result.remove(at: Int.random(in: result.indices, using: &g)))
    }
    let combiner: StageBuilder.Combiner = [.sum, .maximum, .minimum].randomElement(using: &g)!
    let count = Double(reduced.reduce(1, *))
    var copy = self
    let stage = builder.reduce(
      "reduce\(number)", type, result, over: reduced, combiner,
      { b, axes, inner in copy.number(&b, axes + inner, result + reduced, depth: 2) },
      finish: { b, x in b.multiply(x, b.constant(1 / count.squareRoot(), .float32)) })
    g = copy.g
    return stage
  }

  private mutating func scan(_ number: Int) -> Source {
    let extents = extents()
    var copy = self
    let axis = extents.indices.randomElement(using: &g)!
    let stage = builder.scan(
      "scan\(number)", type, extents, along: axis, reversed: Bool.random(using: &g),
      exclusive: Bool.random(using: &g), initial: 0.5
    ) { b, state, axes in
      let kept = b.multiply(state, b.constant(0.5, .float32))
      return b.add(kept, copy.number(&b, axes, extents, depth: 1))
    }
    g = copy.g
    return stage
  }
}
