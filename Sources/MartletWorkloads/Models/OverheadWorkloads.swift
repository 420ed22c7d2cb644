import Martlet

// What an operation costs beside its arithmetic: a thousand operations on vectors of 16 elements.

private let count = 1000
private let width = 16

extension Workload {
  /// A thousand operations, each on the result of the one before.
  static let overheadChain = Workload(name: "overhead_chain") {
    var g = RandomArrays(seed: 1)
    let x = g.normal([width])
    let constants = (0..<count).map { g.normal([width], deviation: 0.1, mean: $0 % 3 == 0 ? 0 : 1) }
    let model = ForwardModel(feeds: [x]) { inputs in
      constants.enumerated().reduce(inputs.feeds[0]) { x, item in
        switch item.offset % 3 {
        case 0: x + inputs.graph.constant(item.element)
        case 1: x * inputs.graph.constant(item.element)
        default: tanh(x)
        }
      }
    }
    return model.execution
  }

  /// A thousand operations on the same vector, and their sum. Minima and maxima, because other frameworks' optimizers
  /// would merge sums and products.
  static let overheadWide = Workload(name: "overhead_wide") {
    var g = RandomArrays(seed: 2)
    let x = g.normal([width])
    let constants = (0..<count).map { _ in g.normal([width]) }
    let model = ForwardModel(feeds: [x]) { inputs in
      let x = inputs.feeds[0]
      return addN(
        constants.enumerated().map { i, c in
          let constant = inputs.graph.constant(c)
          return i % 2 == 0 ? minimum(x, constant) : maximum(x, constant)
        })
    }
    return model.execution
  }
}
