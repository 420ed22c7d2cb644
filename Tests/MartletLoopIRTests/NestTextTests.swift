import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletLoopIR

/// Whole nests as text: what lowering does with the usual patterns.
@Suite struct NestTextTests {
  private func check(_ program: StageProgram, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let schedule = Schedule.default(for: program)
    #expect("\(schedule)\(lower(program, schedule))" == expected, sourceLocation: sourceLocation)
  }

  /// Axes that every load passes through as one are one loop, in blocks that divide it.
  @Test func flatMap() {
    check(
      Sample.unary([300, 1000]) { b, x in b.maximum(x, b.constant(0, .float32)) },
      """
      run s0...s0 over 2 shared axes, vector(16) along shared 0 by 4000, grain 5
      nest kernel
        b0: float32[300000] in slot 0
        b1: float32[300000] in slot 1, written
        phase i0 < 75, grain 5
          vector(16) i1 < 4000
            t0 = (i1 + (i0 * 4000))
            b1[t0] = maximum(b0[t0], 0.0)

      """)
  }

  /// A row vector keeps the axes apart; its loads have stride 1 along the lanes and stay where they are over the rows.
  @Test func broadcast() {
    check(
      Sample.biasAdd(5, 7),
      """
      run s0...s0 over 2 shared axes, vector(8) along shared 1 by 7, grain 5
      nest kernel
        b0: float32[35] in slot 0
        b1: float32[7] in slot 1
        b2: float32[35] in slot 2, written
        phase i0 < 5, grain 5
          vector(8) i1 < 7
            t0 = (i1 + (i0 * 7))
            b2[t0] = (b0[t0] + b1[i1])

      """)
  }

  /// Few columns: lanes along the rows, what passes from stage to stage in registers and in scratch memory with a place for
  /// each lane.
  @Test func softmaxOfShortRows() {
    check(
      Sample.softmax(32, 10),
      """
      run s0...s3 over 1 shared axes, vector(32) along shared 0 by 32, grain 1
      nest kernel
        b0: float32[320] in slot 0
        b1: float32[320] in slot 1, written
        b2: float32[320] in scratch at 0, written
        phase i0 < 1, grain 1
          vector(32) i1 < 32
            reduce i2 < 10 into r0, 1 lanes × 1
              initial0 = -inf
              step0 = maximum(b0[(i2 + (i1 * 10))], state0)
              merge0 = maximum(state0, other0)
            r1 = r0
            loop i3 < 10
              b2[(i1 + (i3 * 32))] = exp((b0[((i1 * 10) + i3)] - r1))
            reduce i4 < 10 into r2, 1 lanes × 1
              initial0 = 0.0
              step0 = (state0 + b2[(i1 + (i4 * 32))])
              merge0 = (state0 + other0)
            r3 = r2
            loop i5 < 10
              b1[((i1 * 10) + i5)] = (b2[(i1 + (i5 * 32))] / r3)

      """)
  }

  /// Long rows: lanes inside each row, with several states in flight.
  @Test func softmaxOfLongRows() {
    check(
      Sample.softmax(64, 1000),
      """
      run s0...s3 over 1 shared axes, vector(16) inside, grain 3
      nest kernel
        b0: float32[64000] in slot 0
        b1: float32[64000] in slot 1, written
        b2: float32[1000] in scratch at 0, written
        phase i0 < 64, grain 3
          reduce i1 < 1000 into r0, 16 lanes × 4
            initial0 = -inf
            step0 = maximum(b0[(i1 + (i0 * 1000))], state0)
            merge0 = maximum(state0, other0)
          r1 = r0
          vector(16) i2 < 1000
            b2[i2] = exp((b0[((i0 * 1000) + i2)] - r1))
          reduce i3 < 1000 into r2, 16 lanes × 4
            initial0 = 0.0
            step0 = (state0 + b2[i3])
            merge0 = (state0 + other0)
          r3 = r2
          vector(16) i4 < 1000
            b1[((i0 * 1000) + i4)] = (b2[i4] / r3)

      """)
  }

  /// Column sums: lanes along the columns, several registers wide.
  @Test func columnMeans() {
    check(
      Sample.mean(8, 64, ofColumns: true),
      """
      run s0...s0 over 1 shared axes, vector(64) along shared 0 by 64, grain 1
      nest kernel
        b0: float32[512] in slot 0
        b1: float32[64] in slot 1, written
        phase i0 < 1, grain 1
          vector(64) i1 < 64
            reduce i2 < 8 into r0, 1 lanes × 1
              initial0 = 0.0
              step0 = (state0 + b0[(i1 + (i2 * 64))])
              merge0 = (state0 + other0)
            b1[i1] = (r0 * 0.125)

      """)
  }

  /// A sum of everything in parts, then of the parts.
  @Test func longSum() {
    check(
      Sample.mean(1, 1 << 20, ofColumns: false),
      """
      split s0 axis 0 into 32
      run s0...s0 over 2 shared axes, vector(16) inside, grain 1
      run s1...s1 over 1 shared axes, vector(16) inside, grain 1
      nest kernel
        b0: float32[1048576] in slot 0
        b1: float32[1] in slot 1, written
        b2: float32[32] in temporary 2, written
        phase i0 < 32, grain 1
          reduce i1 < 32768 by 4096 into r0, 16 lanes × 4
            initial0 = 0.0
            step0 = (state0 + b0[(i1 + (i0 * 32768))])
            merge0 = (state0 + other0)
          b2[i0] = r0
        phase i2 < 1, grain 1
          reduce i3 < 32 into r1, 16 lanes × 2
            initial0 = 0.0
            step0 = (state0 + b2[i3])
            merge0 = (state0 + other0)
          b1[0] = (r1 * 9.536743e-07)

      """)
  }

  /// Reads along one axis and writes along another go in tiles.
  @Test func transposition() {
    check(
      Sample.transpose([128, 64], [1, 0]),
      """
      run s0...s0 over 2 shared axes, vector(16) along shared 1 by 16, tiles of 16 along shared 0, grain 32
      nest kernel
        b0: float32[8192] in slot 0
        b1: float32[8192] in slot 1, written
        phase i0 < 32, grain 32
          loop i1 < 16
            vector(16) i2 < 16
              t0 = (i0 div 8)
              t1 = (i0 mod 8)
              b1[(i2 + (((t1 * 16) + (t0 * 2048)) + (i1 * 128)))] = b0[((i1 + ((t0 * 16) + (t1 * 1024))) + (i2 * 64))]

      """)
  }

  /// All results of an optimizer's step are computed before the first is stored.
  @Test func severalResults() {
    check(
      Sample.adam([20]),
      """
      run s0...s2 over 1 shared axes, vector(16) along shared 0 by 20, grain 1
      nest kernel
        b0: float32[20] in slot 0
        b1: float32[20] in slot 1
        b2: float32[20] in slot 2
        b3: float32[20] in slot 3
        b4: float32[20] in slot 4, written
        b5: float32[20] in slot 5, written
        b6: float32[20] in slot 6, written
        phase i0 < 1, grain 1
          vector(16) i1 < 20
            r0 = ((b2[i1] * 0.9) + (b0[i1] * 0.1))
            t0 = b0[i1]
            r1 = ((b3[i1] * 0.999) + ((t0 * t0) * 0.001))
            t1 = b0[i1]
            t2 = ((((b2[i1] * 0.9) + (t1 * 0.1)) * 0.01) / (sqrt(((b3[i1] * 0.999) + ((t1 * t1) * 0.001))) + 1e-07))
            r2 = (b1[i1] - t2)
            b5[i1] = r0
            b6[i1] = r1
            b4[i1] = r2

      """)
  }

  /// Updates in order, trailing axes in lanes, positions out of bounds dropped.
  @Test func scatter() {
    check(
      Sample.scatterAdd(rows: 3, 8, updates: 4),
      """
      run s0...s0 over 2 shared axes, vector(16) inside, grain 1
      nest kernel
        b0: float32[24] in slot 0
        b1: int64[4] in slot 1
        b2: float32[32] in slot 2
        b3: float32[24] in slot 3, written
        phase i0 < 1, grain 1
          vector(16) i1 < 24
            b3[i1] = b0[i1]
        phase i2 < 1, grain 1
          loop i3 < 4
            vector(16) i4 < 8
              t0 = b1[i3]
              t1 = ((0 <= t0) & (t0 < 3))
              t2 = (i4 + (t0 * 8))
              b3[t2] = ((t1 ? b3[t2] : 0) + b2[(i4 + (i3 * 8))]) if t1

      """)
  }

  /// A running sum steps before it stores, so that the result may take the operand's memory.
  @Test func scan() {
    check(
      Sample.cumulativeSum([2, 6], along: 1, reversed: true, exclusive: true),
      """
      run s0...s0 over 2 shared axes, vector(16) inside, grain 1
      nest kernel
        b0: float32[12] in slot 0
        b1: float32[12] in slot 1, written
        phase i0 < 2, grain 2
          r0 = 0.0
          loop i2 < 6
            r1 = (r0 + b0[(((i2 * -1) + (i0 * 6)) + 5)])
            b1[(((i2 * -1) + (i0 * 6)) + 5)] = r0
            r0 = r1

      """)
  }
}
