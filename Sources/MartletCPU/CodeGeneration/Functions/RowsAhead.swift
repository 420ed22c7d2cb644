import MartletLoopIR

/// The loads of a phase that fetch the row of the phase's next iteration while they read their own.
///
/// A phase whose iterations go through a row several times, as a softmax does, waits for memory in the first pass and leaves it
/// idle in the others, and hardware does not fetch ahead from page to page. So the first pass fetches what it will read next time.
struct RowsAhead {
  /// For each such load, how far the next iteration's element is, in bytes.
  private(set) var distances: [ScalarID: Int64] = [:]

  /// No loads.
  init() {}

  /// Rows of fewer bytes come along with those before them; this row, the next and what is computed from them must fit the
  /// first-level cache.
  private static let rowBytes: ClosedRange<Int64> = 512...8192

  init(_ phase: NestPhase, of nest: Nest) {
    guard let axis = nest.scalars.rows.firstIndex(where: { $0.operation == .axis && $0.payload == Int64(phase.axis) })
    else { return }
    let iteration = ScalarID(axis)
    var firstPass: [Int: [ScalarID: Int64]] = [:]
    for statement in phase.body {
      var pass: [Int: [ScalarID: Int64]] = [:]
      for id in nest.scalars.reachable(from: Self.roots(of: statement)) {
        let row = nest.scalars[id]
        guard row.operation == .load, row.condition == .none else { continue }
        let buffer = nest.buffers[Int(row.payload)]
        guard !buffer.isWritten else { continue }
        let offset = AffineForm(row.operand(0), in: nest.scalars)
        let distance = offset.coefficient(of: iteration) &* Int64(buffer.elementType.byteWidth)
        // Elements side by side in rows one behind the other, of which an iteration reads one.
        guard Self.rowBytes.contains(distance), offset.terms.count == 2,
          offset.terms.contains(where: { $0.coefficient == 1 })
        else { continue }
        pass[Int(row.payload), default: [:]][id] = distance
      }
      for (buffer, loads) in pass {
        if let first = firstPass[buffer] {
          distances.merge(first) { $1 }
        } else {
          firstPass[buffer] = loads
        }
      }
    }
  }

  /// What a statement's loops compute for each of their iterations.
  private static func roots(of statement: NestStatement) -> [ScalarID] {
    switch statement {
    case .loop(let loop): loop.body.flatMap { roots(of: $0) }
    case .reduce(let reduction): reduction.step
    case .store(_, let index, let value, _): [index, value]
    case .assign(_, let value): [value]
    }
  }
}
