import Martlet

// What an operation costs beside its arithmetic: a thousand operations on vectors of 16 elements.

enum OverheadModel {
  private static let width = 16

  /// Operations, each on the result of the one before.
  static func chain(count: Int = 1000) -> ForwardModel {
    var g = RandomArrays(seed: 1)
    let x = g.normal([width])
    let constants = (0..<count).map { g.normal([width], deviation: 0.1, mean: $0 % 3 == 0 ? 0 : 1) }
    return ForwardModel(feeds: [x]) { inputs in
      constants.enumerated().reduce(inputs.feeds[0]) { x, item in
        switch item.offset % 3 {
        case 0: x + inputs.graph.constant(item.element)
        case 1: x * inputs.graph.constant(item.element)
        default: tanh(x)
        }
      }
    }
  }

  /// Operations on the same vector, and their sum. Minima and maxima, because other frameworks' optimizers would merge
  /// sums and products.
  static func wide(count: Int = 1000) -> ForwardModel {
    var g = RandomArrays(seed: 2)
    let x = g.normal([width])
    let constants = (0..<count).map { _ in g.normal([width]) }
    return ForwardModel(feeds: [x]) { inputs in
      let x = inputs.feeds[0]
      return addN(
        constants.enumerated().map { i, c in
          let constant = inputs.graph.constant(c)
          return i % 2 == 0 ? minimum(x, constant) : maximum(x, constant)
        })
    }
  }
}

extension Workload {
  /// A thousand operations, each on the result of the one before.
  static let overheadChain = Workload(name: "overhead_chain") { OverheadModel.chain().builder }

  /// A thousand operations on the same vector, and their sum.
  static let overheadWide = Workload(name: "overhead_wide") { OverheadModel.wide().builder }
}
