import MartletDiagnostics
import MartletGraph
import MartletTensors

/// How long a function's values are needed, in the graph's own order; a reshaped value, or a part of one, counts as that
/// value.
struct Lifetimes {
  struct Lifetime {
    /// The position of the node that computes it; nil for what comes from outside or leaves.
    var definition: Int?
    var byteCount: Int
    /// The positions of its readers, in order.
    var uses: [Int] = []
  }

  let order: [NodeID]
  /// By the index of the value that has the memory.
  private(set) var lifetimes: [Lifetime?]
  /// For each value the one whose memory it is in.
  private(set) var roots: [ValueID]
  /// For each node how long it takes, in seconds, if it can run twice; else nil.
  private(set) var costs: [Double?]

  init(_ function: GraphFunction) throws(Diagnostic) {
    let body = function.body
    order = body.topologicalOrder(results: function.results, targets: function.targets)
    lifetimes = Array(repeating: nil, count: body.valueCount)
    roots = (0..<body.valueCount).map { ValueID($0) }
    costs = Array(repeating: nil, count: body.nodeCount)
    for (position, node) in order.enumerated() {
      let operands = body.operands(of: node)
      for operand in operands {
        let root = roots[Int(operand.index)]
        if lifetimes[Int(root.index)]?.uses.last != position { lifetimes[Int(root.index)]?.uses.append(position) }
      }
      let lowering = try body.lowering(of: node)
      for result in body.results(of: node) {
        guard let type = body.type(of: result).tensor else { continue }
        lifetimes[Int(result.index)] = Lifetime(
          definition: lowering.isComputed ? position : nil,
          byteCount: Tensor.checkedByteCount(elementType: type.elementType, shape: type.shape.known ?? []) ?? 0)
      }
      switch lowering {
      case .reshape, .part: roots[Int(body.results(of: node)[0].index)] = roots[Int(operands[0].index)]
      case .compute, .view, .library:
        if body.controls(of: node).isEmpty { costs[Int(node.index)] = cost(of: node, lowering, body) }
      default: break
      }
    }
    for result in function.results {
      let root = roots[Int(body.resolve(result).index)]
      lifetimes[Int(root.index)]?.definition = nil
    }
  }

  /// The lifetime of the memory that a value is in.
  func lifetime(of value: ValueID) -> Lifetime? { lifetimes[Int(roots[Int(value.index)].index)] }

  /// The position at which the most bytes are in use.
  func busiestPosition() -> Int? {
    var changes = [Int](repeating: 0, count: order.count + 1)
    for lifetime in lifetimes {
      guard let lifetime, let definition = lifetime.definition else { continue }
      changes[definition] += lifetime.byteCount
      changes[(lifetime.uses.last ?? definition) + 1] -= lifetime.byteCount
    }
    var bytes = 0
    var best: (position: Int, bytes: Int)?
    for position in order.indices {
      bytes += changes[position]
      if bytes > best?.bytes ?? 0 { best = (position, bytes) }
    }
    return best?.position
  }

  private func cost(of node: NodeID, _ lowering: Lowering, _ body: GraphStorage) -> Double {
    var seconds = Self.startSeconds
    switch lowering {
    case .library(let contract, _), .libraryOrComposite(let contract, _):
      seconds += Double(contract.multiplicationCount) / Self.multiplicationRate
    default: break
    }
    for value in body.operands(of: node) + body.results(of: node) {
      seconds += Double(lifetimes[Int(value.index)]?.byteCount ?? 0) / Self.byteRate
    }
    return seconds
  }

  // What processors of a few cores do in a second; only the proportions matter.
  private static let startSeconds = 1e-6
  private static let multiplicationRate = 1.5e11
  private static let byteRate = 2e10
}

extension Lowering {
  /// Whether the results are new arrays, written by a kernel, a library or host code.
  fileprivate var isComputed: Bool {
    switch self {
    case .compute, .view, .library, .libraryOrComposite, .join, .host, .conditional, .loop: true
    case .reshape, .part, .composite, .bound, .constant, .nothing: false
    }
  }
}
