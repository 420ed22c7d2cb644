extension Nest {
  /// A bound of how many scalar operations a run takes: every row as often as the statement that runs most often.
  public var greatestOperationCount: Int {
    phases.reduce(0) { Self.sum($0, Self.product(Self.product($1.extent, Self.iterations($1.body)), scalars.count)) }
  }

  /// How often the statement that runs most often runs.
  private static func iterations(_ statements: [NestStatement]) -> Int {
    statements.reduce(1) { most, statement in
      switch statement {
      case .loop(let loop): max(most, product(loop.extent, iterations(loop.body)))
      case .store, .assign: most
      case .reduce(let reduction): max(most, reduction.loops.reduce(1) { product($0, $1.extent) })
      }
    }
  }

  private static func product(_ x: Int, _ y: Int) -> Int {
    let (product, overflow) = x.multipliedReportingOverflow(by: y)
    return overflow ? .max : product
  }

  private static func sum(_ x: Int, _ y: Int) -> Int {
    let (sum, overflow) = x.addingReportingOverflow(y)
    return overflow ? .max : sum
  }
}
