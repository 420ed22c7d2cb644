import MartletGraph
import MartletOperations
import MartletTensors

/// A graph of random operations on arrays of all element types, of rank 0 to 4 and with extents of 0 and 1 among them, for
/// tests that compare two ways of running it bit by bit.
///
/// Floats are integers between −64 and 64 at every step, so that all their sums are exact in any order.
public struct MixedGraph {
  public let graph = Graph()
  public private(set) var fetches: [Output] = []
  public private(set) var targets: [GraphNode] = []
  public private(set) var feeds: [Output: Tensor] = [:]
  /// The variables with their first values.
  public private(set) var variables: [(handle: Output, value: Tensor)] = []

  private var generator: SeededGenerator
  private static let types: [ElementType] = [.float32, .float64, .int32, .int64, .uint8, .bool]
  private static let extents = [0, 1, 1, 2, 3, 4, 5, 8, 17, 33]
  private static let largestCount = 3000

  public init(seed: UInt64, operationCount: Int = 30) {
    generator = SeededGenerator(seed: seed)
    var values: [Output] = []
    for i in 0..<6 {
      let value = array(Self.types[i], shape(rank: below(4)))
      let placeholder = graph.placeholder(value.elementType, shape: Shape(value.shape), name: "x\(i)")
      feeds[placeholder] = value
      values.append(placeholder)
    }
    for i in 0..<4 {
      let value = array(pick([.float32, .float32, .int32, .int64, .uint8, .bool]), shape(rank: below(3)))
      variables.append((graph.variableHandle(value.elementType, shape: Shape(value.shape), name: "v\(i)"), value))
    }
    values.append(graph.constant(array(pick(Self.types), shape(rank: below(3)))))
    for _ in 0..<operationCount { values += step(values) }
    for _ in 0..<1 + below(5) { fetches.append(late(values)) }
  }

  // MARK: Choices

  private mutating func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }
  private mutating func chance(_ count: Int) -> Bool { below(count) == 0 }
  private mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }
  /// Late values more often, so that chains become long.
  private mutating func late(_ values: [Output]) -> Output {
    values[Swift.max(below(values.count), below(values.count))]
  }

  private mutating func shape(rank: Int) -> [Int] {
    var shape = (0..<rank).map { _ in pick(Self.extents) }
    // Mostly arrays with elements.
    if shape.contains(0), !chance(4) { shape = shape.map { Swift.max($0, 2) } }
    return shape.reduce(1, *) > Self.largestCount ? shape.map { Swift.min($0, 5) } : shape
  }

  private mutating func array(_ type: ElementType, _ shape: [Int]) -> Tensor {
    let count = shape.reduce(1, *)
    func elements<T>(_ element: (inout SeededGenerator) -> T) -> [T] { (0..<count).map { _ in element(&generator) } }
    switch type {
    case .float32: return Tensor(elements { Float(Int.random(in: -64...64, using: &$0)) }, shape: shape)
    case .float64: return Tensor(elements { Double(Int.random(in: -64...64, using: &$0)) }, shape: shape)
    case .int32: return Tensor(elements { Int32.random(in: -99...99, using: &$0) }, shape: shape)
    case .int64: return Tensor(elements { Int64.random(in: Int64.min...Int64.max, using: &$0) }, shape: shape)
    case .uint8: return Tensor(elements { UInt8.random(in: 0...255, using: &$0) }, shape: shape)
    default: return Tensor(elements { Bool.random(using: &$0) }, shape: shape)
    }
  }

  // MARK: Values

  private func extents(_ x: Output) -> [Int] { x.shape.known ?? [] }
  private func count(_ x: Output) -> Int { extents(x).reduce(1, *) }

  /// Floats brought back between their bounds.
  private func bounded(_ x: Output) -> Output {
    x.elementType.isFloatingPoint ? clip(x, min: -64, max: 64) : x
  }

  /// The elements of a value, over and over, as an array of another type and shape.
  private func fitted(_ x: Output, _ type: ElementType, _ shape: [Int]) -> Output {
    let y = bounded(cast(x, to: type))
    if extents(x) == shape { return y }
    let (have, want) = (count(x), shape.reduce(1, *))
    if want == 0 || have == 0 { return broadcast(graph.constant(Tensor(zeros: type, shape: [])), to: shape) }
    var flat = reshape(y, [have])
    if want > have { flat = tile(flat, multiples: [(want + have - 1) / have]) }
    return reshape(flat[0..<want], shape)
  }

  /// A value that can be broadcast with `x`.
  private mutating func partner(of x: Output, _ values: [Output]) -> Output {
    var shape = Array(extents(x).suffix(chance(3) ? below(extents(x).count + 1) : extents(x).count))
    for i in shape.indices where chance(4) { shape[i] = 1 }
    return fitted(late(values), x.elementType, shape)
  }

  /// Numbers from 0 to below `bound`.
  private mutating func indices(below bound: Int, _ shape: [Int], _ values: [Output]) -> Output {
    floorModulo(fitted(late(values), .int32, shape), graph.constant(Int32(bound)))
  }

  // MARK: Steps

  private mutating func step(_ values: [Output]) -> [Output] {
    switch below(14) {
    case 0:
      return [readVariable(pick(variables).handle)]
    case 1, 2:
      let (handle, value) = pick(variables)
      var new = fitted(late(values), value.elementType, value.shape)
      if chance(2) { new = mixed(readVariable(handle), new) }
      targets.append(assign(handle, new))
      return chance(2) ? [new] : []
    case 3: return branches(values)
    case 4: return loop(values)
    default: return operation(values)
    }
  }

  private mutating func operation(_ values: [Output]) -> [Output] {
    let x = late(values)
    let results: [Output]
    switch below(4) {
    case 0: results = [elementwise(x, values)]
    case 1: results = [view(x, values)]
    case 2: results = [reduction(x, values)]
    default: results = joined(x, values)
    }
    return results.filter { count($0) <= Self.largestCount && extents($0).count <= 4 }
  }

  private mutating func mixed(_ x: Output, _ y: Output) -> Output {
    if x.elementType == .bool { return chance(2) ? x .& y : x .| y }
    switch below(6) {
    case 0: return bounded(x - y)
    case 1: return bounded(x * y)
    case 2: return maximum(x, y)
    case 3: return minimum(x, y)
    case 4: return bounded(y - x)
    default: return bounded(x + y)
    }
  }

  private mutating func elementwise(_ x: Output, _ values: [Output]) -> Output {
    switch below(8) {
    case 0, 1, 2: return mixed(x, partner(of: x, values))
    case 3: return bounded(cast(x, to: pick(Self.types)))
    case 4:
      if x.elementType == .bool { return graph.addOne(LogicalNot(), [x]) }
      let y = partner(of: x, values)
      return chance(2) ? x .< y : x .== y
    case 5:
      let y = partner(of: x, values)
      return select(fitted(late(values), .bool, extents(x)), x, y)
    case 6:
      if x.elementType == .bool { return x }
      return bounded(square(x))
    default:
      if x.elementType == .bool || x.elementType == .uint8 { return x }
      return pick([-x, abs(x), sign(x), floorModulo(x, fitted(x, x.elementType, []) * fitted(x, x.elementType, []))])
    }
  }

  private mutating func view(_ x: Output, _ values: [Output]) -> Output {
    let shape = extents(x)
    let rank = shape.count
    let axis = rank == 0 ? 0 : below(rank)
    switch below(9) {
    case 0: return transpose(x, permutation: (0..<rank).shuffled(using: &generator))
    case 1: return reshape(x, reshaped(shape))
    case 2: return rank == 0 ? x : reverse(x, axes: [axis])
    case 3: return expandDims(x, axis: below(rank + 1))
    case 4: return squeeze(x)
    case 5: return broadcast(x, to: [pick([1, 2, 3])] + shape)
    case 6: return tile(x, multiples: shape.map { _ in pick([1, 1, 1, 2, 3]) })
    case 7: return pad(x, shape.map { _ in (pick([0, 0, 1, 2]), pick([0, 0, 1])) })
    default:
      var y = x
      for axis in 0..<rank where chance(2) {
        let start = below(shape[axis] + 1)
        let size = below(shape[axis] - start + 1)
        y = slice(
          y, begin: (0..<rank).map { $0 == axis ? start : 0 }, size: (0..<rank).map { $0 == axis ? size : -1 })
      }
      return rank > 0 && chance(2) ? y[SliceRange.stride(by: pick([2, -1, -2]))] : y
    }
  }

  private mutating func reshaped(_ shape: [Int]) -> [Int] {
    var factors: [Int] = []
    for extent in shape {
      let divisor = [2, 3, 5].first { extent > $0 && extent % $0 == 0 && Bool.random(using: &generator) }
      factors += divisor.map { [$0, extent / $0] } ?? [extent]
    }
    while factors.count > 1, factors.count > 4 || chance(2) {
      let i = below(factors.count - 1)
      factors[i] *= factors.remove(at: i + 1)
    }
    return factors
  }

  private mutating func reduction(_ x: Output, _ values: [Output]) -> Output {
    let shape = extents(x)
    let axes = shape.indices.filter { _ in chance(2) }
    let keepDims = chance(2)
    if x.elementType == .bool {
      return chance(2) ? all(x, axes: axes, keepDims: keepDims) : any(x, axes: axes, keepDims: keepDims)
    }
    let full = shape.indices.filter { shape[$0] > 0 }
    switch below(7) {
    case 0: return clip(cast(max(x, axes: axes, keepDims: keepDims), to: .float32), min: -64, max: 64)
    case 1: return bounded(min(x, axes: axes, keepDims: keepDims))
    case 2 where !x.elementType.isFloatingPoint: return product(x, axes: axes, keepDims: keepDims)
    case 3 where !full.isEmpty: return argMax(x, axis: pick(full))
    case 4 where !full.isEmpty: return argMin(x, axis: pick(full), outputType: .int32)
    case 5 where !shape.isEmpty:
      return bounded(cumulativeSum(x, axis: below(shape.count), exclusive: chance(2), reverse: chance(2)))
    default: return bounded(sum(x, axes: axes, keepDims: keepDims))
    }
  }

  private mutating func joined(_ x: Output, _ values: [Output]) -> [Output] {
    let shape = extents(x)
    let axis = shape.isEmpty ? 0 : below(shape.count)
    switch below(7) {
    case 0 where !shape.isEmpty:
      var other = shape
      other[axis] = below(4)
      return [concat([x, fitted(late(values), x.elementType, other), x], axis: axis)]
    case 1: return [stack([x, fitted(late(values), x.elementType, shape)], axis: below(shape.count + 1))]
    case 2 where !shape.isEmpty:
      let first = below(shape[axis] + 1)
      return split(x, sizes: [first, shape[axis] - first], axis: axis)
    case 3 where !shape.isEmpty && shape[axis] > 0:
      return [gather(x, indices(below: shape[axis], [1 + below(4)], values), axis: axis)]
    case 4 where !shape.isEmpty && x.elementType != .bool && x.elementType != .uint8:
      let bound = 1 + below(5)
      return [
        bounded(unsortedSegmentSum(x, indices(below: bound, [shape[0]], values), count: graph.constant(Int32(bound))))
      ]
    case 5:
      let (m, n, k) = (1 + below(6), 1 + below(20), below(9))
      let (a, b) = (fitted(x, .float32, [m, k]), fitted(late(values), .float32, [n, k]))
      return [bounded(matMul(a, b, transposeB: true)), bounded(matMul(a, transpose(b)) + fitted(x, .float32, [n]))]
    default:
      return [oneHot(indices(below: 5, Array(shape.prefix(2)), values), depth: 4, type: .float32)]
    }
  }

  // MARK: Control flow

  private mutating func branches(_ values: [Output]) -> [Output] {
    let predicate = fitted(late(values), .bool, [])
    let (a, b) = (late(values), late(values))
    let (handle, value) = pick(variables)
    var copy = self
    let results = cond(predicate) {
      if copy.chance(2) {
        assign(handle, copy.mixed(readVariable(handle), copy.fitted(b, value.elementType, value.shape)))
      }
      return [copy.elementwise(a, [a, b]), b, copy.fitted(b, a.elementType, copy.extents(a))].map {
        copy.aligned($0, a, b)
      }
    } else: {
      if copy.chance(4) { assign(handle, copy.fitted(a, value.elementType, value.shape)) }
      return [copy.elementwise(b, [a, b]), b, a].map { copy.aligned($0, a, b) }
    }
    generator = copy.generator
    return results
  }

  /// Both branches give `a`'s type and shape.
  private func aligned(_ x: Output, _ a: Output, _ b: Output) -> Output { fitted(x, a.elementType, extents(a)) }

  private mutating func loop(_ values: [Output]) -> [Output] {
    let a = late(values)
    let (type, shape) = (a.elementType, extents(a))
    let (b, c) = (fitted(late(values), type, shape), late(values))
    let (handle, value) = pick(variables)
    let steps = graph.constant(Int32(below(4)))
    var copy = self
    let results = whileLoop([graph.constant(0 as Int32), a, b, a]) {
      $0[0] .< steps
    } body: { state in
      let next = state[0] + state[0].graph.constant(1 as Int32)
      let other = copy.fitted(c, type, shape)
      if copy.chance(2) {
        assign(handle, copy.mixed(readVariable(handle), copy.fitted(state[1], value.elementType, value.shape)))
      }
      let pool = [state[1], state[2], state[3], other, copy.mixed(state[1], other), copy.mixed(state[2], state[3])]
      return [next, copy.pick(pool), copy.pick(pool), copy.pick(pool)]
    }
    generator = copy.generator
    return Array(results[1...])
  }
}
