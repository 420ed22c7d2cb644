import MartletCPU
import MartletLoopIR
import MartletTensors
import Testing

/// Reductions, registers and scratch memory, each against the order that the nest's definition gives, bit by bit.
struct NestReductionTests {
  /// Sums as `NestReduction` defines them.
  static func sum(_ terms: [[Float]], lanes: Int, interleave: Int, block: Int? = nil) -> Float {
    var states = [Float](repeating: 0, count: lanes * interleave)
    for row in terms {
      let whole = row.count / states.count * states.count
      for first in stride(from: 0, to: whole, by: block ?? max(1, whole)) {
        var own = block.map { $0 < whole } ?? false ? states.map { _ in 0 } : states
        for k in first..<min(whole, first + (block ?? whole)) { own[k % states.count] += row[k] }
        states = block.map { $0 < whole } ?? false ? zip(states, own).map { $0 + $1 } : own
      }
      for k in whole..<row.count { states[k % states.count] += row[k] }
    }
    while states.count > 1 {
      let half = (states.count + 1) / 2
      for i in 0..<states.count - half { states[i] += states[i + half] }
      states.removeLast(states.count - half)
    }
    return states[0]
  }

  static func terms(_ rows: Int, _ columns: Int) -> [[Float]] {
    (0..<rows).map { row in (0..<columns).map { Float(($0 * 37 + row * 11) % 101) / 7 - 5 } }
  }

  /// A nest whose phase goes over `results`, each the sum of `rows` by `columns` elements.
  static func sums(
    _ results: Int, _ rows: Int, _ columns: Int, lanes: Int, interleave: Int, block: Int? = nil, outerBlock: Int? = nil
  ) -> Nest {
    var b = ScalarBuilder()
    let (i, j, k) = (b.axis(0), b.axis(1), b.axis(2))
    let row = b.add(b.multiply(i, b.integer(rows)), j)
    let x = b.load(.input(0), .float32, at: [b.add(b.multiply(row, b.integer(columns)), k)])
    let (state, other) = (b.state(0, .float32), b.other(0, .float32))
    let reduction = NestReduction(
      loops: [.init(axis: 1, extent: rows, block: outerBlock), .init(axis: 2, extent: columns, block: block)],
      lanes: lanes, interleave: interleave, registers: [0], initial: [b.constant(0, .float32).id],
      step: [b.add(state, x).id], merge: [b.add(state, other).id])
    let total = b.row(.register, .float32, payload: 0)
    let store = NestStatement.store(buffer: 1, index: i.id, value: total.id, condition: .none)
    return Nest(
      name: "sums", scalars: b.arena,
      buffers: [
        NestBuffer(.slot(0), .float32, results * rows * columns, isWritten: false),
        NestBuffer(.slot(1), .float32, results, isWritten: true),
      ], registers: [.float32],
      phases: [NestPhase(axis: 0, extent: results, grain: 1, body: [.reduce(reduction), store])], scratchBytes: 0)
  }

  @Test(arguments: [1, 2, 7, 15, 16, 17, 33, 63, 64, 65, 200], [(1, 1), (1, 3), (4, 1), (16, 1), (16, 4), (8, 2)])
  func orderOfSums(_ columns: Int, _ shape: (lanes: Int, interleave: Int)) throws {
    for rows in [1, 3] {
      let results = 5
      let nest = Self.sums(results, rows, columns, lanes: shape.lanes, interleave: shape.interleave)
      let kernel = try KernelHarness.compiler.compile([nest])[0]
      let x = Self.terms(results * rows, columns)
      let expected = (0..<results).map {
        Self.sum(Array(x[$0 * rows..<($0 + 1) * rows]), lanes: shape.lanes, interleave: shape.interleave)
      }
      let input = GuardedMemory(x.flatMap { $0 }, at: .end)
      for pieces in [1, 2, 5] {
        let output = GuardedMemory([Float](repeating: .nan, count: results), at: .end)
        KernelHarness.run(kernel, [input, output], pieces: pieces)
        #expect(output.values.map(\.bitPattern) == expected.map(\.bitPattern), "rows \(rows), pieces \(pieces)")
      }
    }
  }

  @Test(
    arguments: [64, 65, 200, 1000, 1024, 1025, 1300],
    [(1, 1, 8), (4, 1, 32), (16, 1, 64), (16, 4, 256), (8, 2, 16), (16, 4, 64)])
  func blocksOfSums(_ columns: Int, _ shape: (lanes: Int, interleave: Int, block: Int)) throws {
    let (rows, results) = (3, 2)
    let nest = Self.sums(results, rows, columns, lanes: shape.lanes, interleave: shape.interleave, block: shape.block)
    try nest.verify()
    let x = Self.terms(results * rows, columns)
    let expected = (0..<results).map {
      Self.sum(
        Array(x[$0 * rows..<($0 + 1) * rows]), lanes: shape.lanes, interleave: shape.interleave, block: shape.block)
    }
    let output = GuardedMemory([Float](repeating: .nan, count: results), at: .end)
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    KernelHarness.run(kernel, [GuardedMemory(x.flatMap { $0 }, at: .end), output])
    #expect(output.values.map(\.bitPattern) == expected.map(\.bitPattern))
  }

  /// Blocks of an outer loop: the sums of two rows each, added one after the other.
  @Test(arguments: [(1, 1), (16, 2)], [1, 2, 5, 6]) func blocksOfRows(
    _ shape: (lanes: Int, interleave: Int), _ rows: Int
  )
    throws
  {
    let columns = 70
    let nest = Self.sums(1, rows, columns, lanes: shape.lanes, interleave: shape.interleave, outerBlock: 2)
    try nest.verify()
    let x = Self.terms(rows, columns)
    let count = shape.lanes * shape.interleave
    var states = [[Float]](repeating: [Float](repeating: 0, count: count), count: 2)
    for first in stride(from: 0, to: rows, by: 2) {
      states[1] = states[1].map { _ in 0 }
      for row in x[first..<min(rows, first + 2)] {
        for (k, term) in row.enumerated() { states[1][k % count] += term }
      }
      states[0] = zip(states[0], states[1]).map { $0 + $1 }
    }
    let expected = Self.sum([states[0]], lanes: shape.lanes, interleave: shape.interleave)
    let output = GuardedMemory([Float.nan], at: .end)
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    KernelHarness.run(kernel, [GuardedMemory(x.flatMap { $0 }, at: .end), output])
    #expect(output.values.map(\.bitPattern) == [expected.bitPattern])
  }

  @Test(arguments: [1, 15, 16, 17, 40], [1, 2, 3]) func sumsDownColumns(_ columns: Int, _ interleave: Int) throws {
    let rows = 13
    var b = ScalarBuilder()
    let (column, row) = (b.axis(1), b.axis(2))
    let x = b.load(.input(0), .float32, at: [b.add(b.multiply(row, b.integer(columns)), column)])
    let (state, other) = (b.state(0, .float32), b.other(0, .float32))
    let reduction = NestReduction(
      loops: [.init(axis: 2, extent: rows)], lanes: 1, interleave: interleave, registers: [0],
      initial: [b.constant(0, .float32).id], step: [b.add(state, x).id], merge: [b.add(state, other).id])
    let total = b.row(.register, .float32, payload: 0)
    let store = NestStatement.store(
      buffer: 1, index: column.id, value: b.multiply(total, b.constant(2, .float32)).id, condition: .none)
    let loop = NestLoop(axis: 1, extent: columns, mark: .vector(16), body: [.reduce(reduction), store])
    let nest = Nest(
      name: "columns", scalars: b.arena,
      buffers: [
        NestBuffer(.slot(0), .float32, rows * columns, isWritten: false),
        NestBuffer(.slot(1), .float32, columns, isWritten: true),
      ], registers: [.float32], phases: [NestPhase(axis: 0, extent: 1, grain: 1, body: [.loop(loop)])], scratchBytes: 0)
    let terms = Self.terms(rows, columns)
    let output = GuardedMemory([Float](repeating: .nan, count: columns), at: .end)
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    KernelHarness.run(kernel, [GuardedMemory(terms.flatMap { $0 }, at: .end), output])
    let expected = (0..<columns).map { column in
      2 * Self.sum([terms.map { $0[column] }], lanes: 1, interleave: interleave)
    }
    #expect(output.values == expected)
  }

  @Test(arguments: [1, 16, 31, 100]) func greatestAndItsPosition(_ n: Int) throws {
    var b = ScalarBuilder()
    let k = b.axis(1)
    let x = b.load(.input(0), .int32, at: [k])
    let (best, at) = (b.state(0, .int32), b.state(1, .int64))
    let (best2, at2) = (b.other(0, .int32), b.other(1, .int64))
    func wins(_ value: Scalar, _ index: Scalar) -> Scalar {
      b.or(b.less(best, value), b.and(b.equal(best, value), b.less(index, at)))
    }
    let (stepWins, mergeWins) = (wins(x, k), wins(best2, at2))
    let reduction = NestReduction(
      loops: [.init(axis: 1, extent: n)], lanes: 8, interleave: 2, registers: [0, 1],
      initial: [b.lowest(.int32).id, b.highest(.int64).id],
      step: [b.select(stepWins, x, best).id, b.select(stepWins, k, at).id],
      merge: [b.select(mergeWins, best2, best).id, b.select(mergeWins, at2, at).id])
    let position = b.row(.register, .int64, payload: 1)
    let store = NestStatement.store(buffer: 1, index: b.integer(0).id, value: position.id, condition: .none)
    let nest = Nest(
      name: "argmax", scalars: b.arena,
      buffers: [NestBuffer(.slot(0), .int32, n, isWritten: false), NestBuffer(.slot(1), .int64, 1, isWritten: true)],
      registers: [.int32, .int64],
      phases: [NestPhase(axis: 0, extent: 1, grain: 1, body: [.reduce(reduction), store])], scratchBytes: 0)
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    let values = (0..<n).map { Int32(($0 * 29) % 23) }
    let output = GuardedMemory([Int64(-1)], at: .end)
    KernelHarness.run(kernel, [GuardedMemory(values, at: .end), output])
    #expect(output.values[0] == Int64(values.firstIndex(of: values.max()!)!))
  }

  /// Two passes over scratch memory, and a running sum in a register: what is stored must be read again.
  @Test(arguments: [1, 16, 19, 48]) func scratchAndRegisters(_ n: Int) throws {
    var b = ScalarBuilder()
    let (i, j, k) = (b.axis(0), b.axis(1), b.axis(2))
    let x = b.load(.input(0), .float32, at: [b.add(b.multiply(i, b.integer(n)), j)])
    let square = NestStatement.store(buffer: 2, index: j.id, value: b.multiply(x, x).id, condition: .none)
    let first = NestLoop(axis: 1, extent: n, mark: .vector(16), body: [square])
    let sum = b.row(.register, .float32, payload: 0)
    let stored = b.load(.input(2), .float32, at: [k])
    let start = NestStatement.assign(register: 0, value: b.constant(1, .float32).id)
    let second = NestLoop(
      axis: 2, extent: n, mark: .serial,
      body: [
        .assign(register: 0, value: b.add(sum, stored).id),
        .store(buffer: 2, index: k.id, value: sum.id, condition: .none),
        .store(
          buffer: 1, index: b.add(b.multiply(i, b.integer(n)), k).id, value: b.negate(stored).id, condition: .none),
      ])
    let nest = Nest(
      name: "scan", scalars: b.arena,
      buffers: [
        NestBuffer(.slot(0), .float32, 3 * n, isWritten: false), NestBuffer(.slot(1), .float32, 3 * n, isWritten: true),
        NestBuffer(.scratch(offset: 64), .float32, n, isWritten: true),
      ], registers: [.float32],
      phases: [NestPhase(axis: 0, extent: 3, grain: 1, body: [.loop(first), start, .loop(second)])],
      scratchBytes: 64 + 4 * n)
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    let values = (0..<3 * n).map { Float($0 % 9) }
    let output = GuardedMemory([Float](repeating: 0, count: 3 * n), at: .end)
    KernelHarness.run(kernel, [GuardedMemory(values, at: .end), output], pieces: 3)
    var expected: [Float] = []
    for row in 0..<3 {
      var sum: Float = 1
      for column in 0..<n {
        sum += values[row * n + column] * values[row * n + column]
        expected.append(-sum)
      }
    }
    #expect(output.values == expected)
  }
}
