import MartletCPU
import MartletLoopIR
import MartletTensors
import Testing

/// Kernels that go through each row several times fetch the next one in the first pass.
struct RowsAheadTests {
  static let rows = 5

  /// Each row less its maximum; in one pass, less its first element.
  static func nest(columns: Int, passes: Int) -> Nest {
    var b = ScalarBuilder()
    func element(_ column: Scalar) -> Scalar {
      b.load(.input(0), .float32, at: [b.add(b.multiply(b.axis(0), b.integer(columns)), column)])
    }
    let (state, other) = (b.state(0, .float32), b.other(0, .float32))
    let reduction = NestReduction(
      loops: [NestReduction.Loop(axis: 1, extent: columns)], lanes: 16, interleave: 2, registers: [0],
      initial: [b.constant(-Double.infinity, .float32).id], step: [b.maximum(element(b.axis(1)), state).id],
      merge: [b.maximum(state, other).id])
    let first = NestStatement.assign(register: 0, value: element(b.integer(0)).id)
    let place = b.add(b.multiply(b.axis(0), b.integer(columns)), b.axis(2))
    let value = b.subtract(element(b.axis(2)), b.row(.register, .float32, payload: 0))
    let store = NestStatement.store(buffer: 1, index: place.id, value: value.id, condition: .none)
    let loop = NestLoop(axis: 2, extent: columns, mark: .vector(16), body: [store])
    let buffers = [0, 1].map { NestBuffer(.slot($0), .float32, rows * columns, isWritten: $0 == 1) }
    return Nest(
      name: "rows", scalars: b.arena, buffers: buffers, registers: [.float32],
      phases: [
        NestPhase(axis: 0, extent: rows, grain: 1, body: [passes == 2 ? .reduce(reduction) : first, .loop(loop)])
      ], scratchBytes: 0)
  }

  @Test(arguments: [
    (columns: 1024, passes: 2, isAhead: true), (columns: 140, passes: 2, isAhead: true),
    // One pass waits for memory all the time; short rows come with those before them, long ones do not stay.
    (columns: 1024, passes: 1, isAhead: false), (columns: 64, passes: 2, isAhead: false),
    (columns: 1 << 16, passes: 2, isAhead: false),
  ]) func whichRows(_ columns: Int, _ passes: Int, _ isAhead: Bool) throws {
    let text = try KernelHarness.compiler.text(of: Self.nest(columns: columns, passes: passes), as: .optimized)
    #expect(text.contains("call void @llvm.prefetch") == isAhead)
  }

  /// There is no memory behind the last row.
  @Test(arguments: [128, 140, 1024, 2048]) func lastRow(_ columns: Int) throws {
    let x = (0..<Self.rows * columns).map { Float($0 * 37 % 101) }
    let kernel = try KernelHarness.compiler.compile([Self.nest(columns: columns, passes: 2)])[0]
    let result = GuardedMemory([Float](repeating: 1, count: x.count), at: .end)
    KernelHarness.run(kernel, [GuardedMemory(x, at: .end), result])
    let expected = (0..<Self.rows).flatMap { row in
      let elements = x[row * columns..<(row + 1) * columns]
      return elements.map { $0 - (elements.max() ?? 0) }
    }
    #expect(result.values == expected)
  }
}
