extension Nest {
  /// For each phase how many iterations its code must be right for, as it is generated for that many or fewer: so phases that
  /// differ only in their number of iterations, as those of another batch do, have the same code.
  ///
  /// Where indices are checked the number is exact, since the check may not be needed for it.
  public var codeExtents: [Int] {
    let checks = scalars.rows.contains { $0.operation == .checkIndex }
    return phases.map { checks || $0.extent > Self.fewIterations ? $0.extent : Self.fewIterations }
  }

  /// An index with so many values times a stride is known not to leave 64 bits.
  private static let fewIterations = 1 << 20
}
