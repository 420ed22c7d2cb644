import MartletGraph
import MartletOperations
import MartletTensors

/// A graph of random operations on matrices of two sizes, with variables, branches and loops, for tests that compare two
/// ways of running it.
///
/// Every value stays between about −2 and 2, so that sums in another order differ by little.
public struct RandomGraph {
  public let graph = Graph()
  public private(set) var fetches: [Output] = []
  public private(set) var targets: [GraphNode] = []
  public private(set) var feeds: [Output: Tensor] = [:]
  /// The variables with their first values.
  public private(set) var variables: [(handle: Output, value: Tensor)] = []

  private var generator: SeededGenerator
  private static let sizes = [4, 12]
  private var predicates: [Output] = []

  /// - Parameters:
  ///   - operationCount: how many operations outside sub-graphs.
  ///   - hasSubgraphs: whether there are branches and loops.
  public init(seed: UInt64, operationCount: Int = 30, hasSubgraphs: Bool = true) {
    generator = SeededGenerator(seed: seed)
    var values: [Output] = []
    for (i, size) in (Self.sizes + Self.sizes).enumerated() {
      let placeholder = graph.placeholder(.float32, shape: [size, size], name: "x\(i)")
      feeds[placeholder] = matrix(size)
      values.append(placeholder)
      let handle = graph.variableHandle(.float32, shape: [size, size], name: "v\(i)")
      variables.append((handle, matrix(size)))
    }
    for i in 0..<2 {
      let predicate = graph.placeholder(.bool, shape: [], name: "p\(i)")
      feeds[predicate] = Tensor(Bool.random(using: &generator))
      predicates.append(predicate)
    }
    for _ in 0..<operationCount { addStep(to: &values, hasSubgraphs: hasSubgraphs) }
    for _ in 0..<Int.random(in: 1...4, using: &generator) { fetches.append(pick(values)) }
  }

  private mutating func matrix(_ size: Int) -> Tensor {
    let elements = (0..<size * size).map { _ in Float.random(in: -1...1, using: &generator) }
    return Tensor(elements, shape: [size, size])
  }

  private mutating func pick(_ values: [Output]) -> Output {
    // Late values more often, so that chains become long.
    let a = Int.random(in: 0..<values.count, using: &generator)
    let b = Int.random(in: 0..<values.count, using: &generator)
    return values[Swift.max(a, b)]
  }

  private mutating func addStep(to values: inout [Output], hasSubgraphs: Bool) {
    switch Int.random(in: 0..<(hasSubgraphs ? 12 : 10), using: &generator) {
    case 0:
      values.append(readVariable(variables[Int.random(in: 0..<variables.count, using: &generator)].handle))
    case 1, 2:
      let variable = variables[Int.random(in: 0..<variables.count, using: &generator)].handle
      let value = resized(pick(values), to: variable.shape.known![0])
      targets.append(assign(variable, Bool.random(using: &generator) ? tanh(readVariable(variable) + value) : value))
    case 10: values += branches(values)
    case 11: values += loop(values)
    default: values.append(operation(on: values))
    }
  }

  /// One operation, or a few, on values of one size.
  private mutating func operation(on values: [Output]) -> Output {
    let x = pick(values)
    let size = x.shape.known![0]
    let y = resized(pick(values), to: size)
    switch Int.random(in: 0..<10, using: &generator) {
    case 0: return tanh(x + y)
    case 1: return x * y * 0.5
    case 2: return matMul(x, y) * (0.5 / Double(size))
    case 3: return maximum(x, y)
    case 4: return transpose(x) - y * 0.25
    case 5: return reshape(tanh(reshape(x, [size * size])), [size, size])
    case 6: return mean(x, axes: [1], keepDims: true) + y * 0.5
    case 7: return softmax(x)
    case 8: return tanh(matMul(transpose(x), y) * 0.3)
    default: return resized(x, to: Self.sizes[Int.random(in: 0..<2, using: &generator)]) * 0.9
    }
  }

  private func resized(_ x: Output, to size: Int) -> Output {
    let old = x.shape.known![0]
    if old == size { return x }
    return old > size ? x[0..<size, 0..<size] : pad(x, [(0, size - old), (0, size - old)])
  }

  private mutating func branches(_ values: [Output]) -> [Output] {
    let predicate = predicates[Int.random(in: 0..<predicates.count, using: &generator)]
    let (a, b) = (pick(values), pick(values))
    let variable = variables[Int.random(in: 0..<variables.count, using: &generator)].handle
    let size = a.shape.known![0]
    var copy = self
    let results = cond(predicate) {
      if Bool.random(using: &copy.generator) { assign(variable, readVariable(variable) * 0.5) }
      return [copy.resized(copy.operation(on: [a]), to: size), copy.resized(b, to: 4)]
    } else: {
      [copy.resized(copy.operation(on: [b]), to: size), copy.resized(tanh(b), to: 4)]
    }
    generator = copy.generator
    return results
  }

  private mutating func loop(_ values: [Output]) -> [Output] {
    let (a, b) = (pick(values), pick(values))
    let variable = variables[Int.random(in: 0..<variables.count, using: &generator)].handle
    let size = a.shape.known![0]
    let count = Int32.random(in: 0...3, using: &generator)
    let kind = Int.random(in: 0..<3, using: &generator)
    let graph = graph
    let other = resized(b, to: size)
    let results = whileLoop([graph.constant(0 as Int32), a, other]) { state in
      state[0] .< graph.constant(count)
    } body: { state in
      let next = state[0] + graph.constant(1 as Int32)
      switch kind {
      case 0: return [next, state[2], state[1]]
      case 1:
        assign(variable, readVariable(variable) * 0.9)
        return [next, tanh(matMul(state[1], state[2])), state[2]]
      default: return [next, state[1] * 0.5 + state[2] * 0.5, tanh(state[1])]
      }
    }
    return Array(results[1...])
  }
}
