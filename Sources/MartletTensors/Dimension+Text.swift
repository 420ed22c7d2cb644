extension Dimension: CustomStringConvertible {
  /// The number, or an expression in which every anonymous symbol is `?`.
  public var description: String { text { $0.name ?? "?" } }

  /// The text with anonymous symbols as `?0`, `?1` and so on, numbered in order of first appearance over all calls that
  /// share `names`. So the text of a graph is the same in every process.
  public func description(names: inout [Symbol: Int]) -> String {
    text { symbol in
      if let name = symbol.name { return name }
      let number = names[symbol] ?? names.count
      names[symbol] = number
      return "?\(number)"
    }
  }

  fileprivate func text(_ name: (Symbol) -> String) -> String {
    if let known { return String(known) }
    var result = ""
    for term in terms {
      let negative = term.coefficient < 0
      result += result.isEmpty ? (negative ? "-" : "") : (negative ? " - " : " + ")
      var parts = term.factors.flatMap { factor in
        Array(repeating: factor.atom.text(name), count: factor.power)
      }
      if term.coefficient.magnitude != 1 || parts.isEmpty { parts.append(String(term.coefficient.magnitude)) }
      result += parts.joined(separator: "*")
    }
    return result
  }
}

extension Dimension.Atom {
  fileprivate func text(_ name: (Dimension.Symbol) -> String) -> String {
    switch form {
    case .symbol(let symbol): name(symbol)
    case .floorQuotient(let a, let b): "floor(\(a.text(name)), \(b.text(name)))"
    case .minimum(let a, let b): "min(\(a.text(name)), \(b.text(name)))"
    case .maximum(let a, let b): "max(\(a.text(name)), \(b.text(name)))"
    case .product(let a, let b): "product(\(a.text(name)), \(b.text(name)))"
    }
  }
}
