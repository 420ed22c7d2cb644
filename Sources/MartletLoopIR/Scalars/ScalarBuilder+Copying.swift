import MartletTensors

extension ScalarBuilder {
  /// Copies rows of another arena into this one, simplified anew, with their leaves replaced.
  ///
  /// - Parameters:
  ///   - axes: What stands for each axis of the source, by number.
  ///   - states: What stands for each component of the state; where empty, states stay as they are.
  ///   - others: The same for the other state.
  ///   - replacing: Rows of the source that something else stands for.
  ///   - load: What stands for a load: it gets the source's row, and the new indices and condition.
  /// - Returns: The copies of `roots`.
  public mutating func copy(
    _ roots: [ScalarID], from source: ScalarArena, axes: [Scalar], states: [Scalar] = [], others: [Scalar] = [],
    replacing: [ScalarID: Scalar] = [:], load: (inout ScalarBuilder, ScalarRow, [Scalar], Scalar?) -> Scalar
  ) -> [Scalar] {
    var copies = replacing
    for id in source.reachable(from: roots) where copies[id] == nil {
      let row = source[id]
      let copy: Scalar
      switch row.operation {
      case .axis: copy = axes[Int(row.payload)]
      case .state where !states.isEmpty: copy = states[Int(row.payload)]
      case .other where !others.isEmpty: copy = others[Int(row.payload)]
      case .load:
        let condition = row.condition == .none ? nil : copies[row.condition]!
        copy = load(&self, row, row.operands.map { copies[$0]! }, condition)
      default:
        var moved = row
        for i in 0..<Int(row.operandCount) { moved.lanes[i] = copies[row.operand(i)]!.id.index }
        copy = intern(moved)
      }
      copies[id] = copy
    }
    return roots.map { copies[$0]! }
  }

  /// A sum of multiples and a constant, in its simplest form; the usual shape of an offset into a buffer.
  public mutating func sum(_ terms: [(scalar: Scalar, factor: Int)], plus constant: Int = 0) -> Scalar {
    // Forms are combined rather than products added, so that data among the indices does not hide what cancels.
    var form = AffineForm(constant: Int64(constant))
    for (scalar, factor) in terms { form.add(AffineForm(scalar.id, in: arena), times: Int64(factor)) }
    return Scalar(simplified(form), .int64)
  }
}
