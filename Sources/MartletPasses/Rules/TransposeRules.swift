import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors

extension RuleSet {
  /// Transposes and reshapes cancel, join, or go into the products that use them.
  public static var transposes: RuleSet {
    RuleSet(
      "transposes",
      [
        Rule("remove-identity-transpose", .operation("Transpose", .value("x"), .value("perm"))) {
          m throws(Diagnostic) in
          guard let permutation = m["perm"].operand.integers, permutation == Array(permutation.indices) else {
            return nil
          }
          return m.keeping("x")
        },
        Rule(
          "join-transposes",
          .operation("Transpose", .operation("Transpose", .value("x"), .value("first")), .value("second"))
        ) { m throws(Diagnostic) in
          guard let first = m["first"].operand.integers, let second = m["second"].operand.integers,
            first.count == second.count, first.allSatisfy({ $0 >= 0 }), second.allSatisfy({ $0 >= 0 })
          else { return nil }
          let both = m.graph.constant(Tensor(second.map { Int32(first[$0]) }))
          return [m.graph.addOne(Transpose(), [m["x"], both])]
        },
        Rule("remove-reshape-to-same-shape", .operation("Reshape", .value("x"), .value("shape"))) {
          m throws(Diagnostic) in m["x"].shape.isFullyKnown ? m.keeping("x") : nil
        },
        Rule(
          "join-reshapes",
          .operation("Reshape", .operation("Reshape", .value("x"), .value("first")), .value("second"))
        ) { m throws(Diagnostic) in
          guard let known = m.resultTypes[0].shape.known else { return nil }
          let shape = m.graph.constant(Tensor(known.map { Int64($0) }))
          return [m.graph.addOne(Reshape(), [m["x"], shape])]
        },
      ] + products("MatMul", "transpose_a", "transpose_b") + products("BatchMatMulV2", "adj_x", "adj_y"))
  }

  /// The rules that take a transpose of an operand, or of the result, into a product.
  private static func products(_ product: String, _ a: String, _ b: String) -> [Rule] {
    let name = product == "MatMul" ? "matmul" : "batch-matmul"
    let left = Pattern.operation("Transpose", .value("a"), .value("perm"))
    let right = Pattern.operation("Transpose", .value("b"), .value("perm"))
    return [
      Rule("absorb-left-transpose-into-\(name)", .operation(product, left, .value("b"))) { m throws(Diagnostic) in
        guard m.swapsLastTwo("perm") else { return nil }
        return [m.graph.addOne(try m.root.flipping(a), [m["a"], m["b"]])]
      },
      Rule("absorb-right-transpose-into-\(name)", .operation(product, .value("a"), right)) { m throws(Diagnostic) in
        guard m.swapsLastTwo("perm") else { return nil }
        return [m.graph.addOne(try m.root.flipping(b), [m["a"], m["b"]])]
      },
    ]
  }
}

extension Match {
  /// Whether a permutation exchanges the last two axes and keeps the others.
  fileprivate func swapsLastTwo(_ name: String) -> Bool {
    guard let permutation = self[name].operand.integers, permutation.count >= 2 else { return false }
    var swapped = Array(permutation.indices)
    swapped.swapAt(swapped.count - 1, swapped.count - 2)
    return permutation == swapped
  }
}

extension Operation {
  /// The operation with a Boolean attribute inverted.
  fileprivate func flipping(_ attribute: String) throws(Diagnostic) -> any Operation {
    var list = attributes
    for i in list.items.indices where list.items[i].name == attribute {
      if case .bool(let value) = list.items[i].value { list.items[i].value = .bool(!value) }
    }
    return try Self(list)
  }
}
