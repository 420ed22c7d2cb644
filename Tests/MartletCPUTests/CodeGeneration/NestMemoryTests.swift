import MartletCPU
import MartletLoopIR
import MartletTensors
import Testing

/// Loads and stores of all shapes, with memory around the buffers that must not be touched.
struct NestMemoryTests {
  static let extents = [1, 2, 15, 16, 17, 33, 64]
  static let widths = [1, 4, 16]

  /// A nest with one loop over `extent`, whose body a closure gives, and as many buffers as `types`; the last is written.
  static func nest(
    _ types: [ElementType], counts: [Int], extent: Int, lanes: Int,
    _ body: (inout ScalarBuilder, Scalar) -> (index: Scalar, value: Scalar, condition: Scalar?)
  ) -> Nest {
    var b = ScalarBuilder()
    let (index, value, condition) = body(&b, b.axis(1))
    let store = NestStatement.store(
      buffer: types.count - 1, index: index.id, value: value.id, condition: condition?.id ?? .none)
    let loop = NestLoop(axis: 1, extent: extent, mark: lanes == 1 ? .serial : .vector(lanes), body: [store])
    let buffers = types.indices.map {
      NestBuffer(.slot($0), types[$0], counts[$0], isWritten: $0 == types.count - 1)
    }
    return Nest(
      name: "memory", scalars: b.arena, buffers: buffers, registers: [],
      phases: [NestPhase(axis: 0, extent: 1, grain: 1, body: [.loop(loop)])], scratchBytes: 0)
  }

  static func run<X: BitwiseCopyable, Y: BitwiseCopyable>(
    _ nest: Nest, _ inputs: [GuardedMemory<X>], _ output: GuardedMemory<Y>
  ) throws {
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    let status = KernelHarness.run(kernel, inputs + [output])
    #expect(status.code == 0)
  }

  @Test(arguments: extents, widths) func neighboursWithGuards(_ n: Int, _ lanes: Int) throws {
    let nest = Self.nest([.float32, .float32], counts: [n, n], extent: n, lanes: lanes) { b, i in
      let (one, last) = (b.integer(1), b.integer(n - 1))
      let left = b.load(.input(0), .float32, at: [b.subtract(i, one)], if: b.lessEqual(one, i))
      let right = b.load(.input(0), .float32, at: [b.add(i, one)], if: b.less(i, last))
      return (i, b.subtract(left, right), nil)
    }
    let x = (0..<n).map { Float($0 * $0 + 1) }
    let expected = (0..<n).map { ($0 > 0 ? x[$0 - 1] : 0) - ($0 + 1 < n ? x[$0 + 1] : 0) }
    for edge in GuardedMemory<Float>.Edge.allCases {
      let result = GuardedMemory([Float](repeating: -1, count: n), at: edge)
      try Self.run(nest, [GuardedMemory(x, at: edge)], result)
      #expect(result.values == expected)
    }
  }

  /// Past the caches where the address is aligned, as usual where it is not; nothing else changes.
  @Test(arguments: extents, widths) func streamedStores(_ n: Int, _ lanes: Int) throws {
    for offset in [0, 1, 4] {
      var nest = Self.nest([.float32, .float32], counts: [n, n + offset], extent: n, lanes: lanes) { b, i in
        (b.add(i, b.integer(offset)), b.load(.input(0), .float32, at: [i]), nil)
      }
      nest.buffers[1].isStreamed = true
      let x = (0..<n).map { Float($0 * 3 + 1) }
      for edge in GuardedMemory<Float>.Edge.allCases {
        let result = GuardedMemory([Float](repeating: -1, count: n + offset), at: edge)
        try Self.run(nest, [GuardedMemory(x, at: edge)], result)
        #expect(result.values == [Float](repeating: -1, count: offset) + x)
      }
    }
  }

  @Test(arguments: extents, widths) func reversedAndStrided(_ n: Int, _ lanes: Int) throws {
    for (stride, offset) in [(-1, n - 1), (2, 0), (3, 1), (-2, 2 * (n - 1))] {
      let count = max(1, abs(stride) * (n - 1) + 1 + (stride == 3 ? 1 : 0))
      let nest = Self.nest([.int32, .int32], counts: [count, n], extent: n, lanes: lanes) { b, i in
        let index = b.add(b.multiply(i, b.integer(stride)), b.integer(offset))
        return (i, b.load(.input(0), .int32, at: [index]), nil)
      }
      let x = (0..<count).map { Int32($0 * 7 - 3) }
      for edge in GuardedMemory<Int32>.Edge.allCases {
        let result = GuardedMemory([Int32](repeating: -1, count: n), at: edge)
        try Self.run(nest, [GuardedMemory(x, at: edge)], result)
        #expect(result.values == (0..<n).map { x[$0 * stride + offset] }, "stride \(stride)")
      }
    }
  }

  @Test(arguments: extents, widths) func guardForAllLanes(_ n: Int, _ lanes: Int) throws {
    // Parameter 0 is 0: the guard is false in every lane, and the address wild.
    let nest = Self.nest([.float64, .float64], counts: [1, n], extent: n, lanes: lanes) { b, i in
      let never = b.less(b.integer(0), b.parameter(0))
      let far = b.add(i, b.integer(1 << 40))
      let still = b.load(.input(0), .float64, at: [b.integer(1 << 40)], if: b.less(i, b.integer(0)))
      return (i, b.add(b.load(.input(0), .float64, at: [far], if: never), still), nil)
    }
    let result = GuardedMemory([Double](repeating: -1, count: n), at: .end)
    try Self.run(nest, [GuardedMemory([5.0], at: .end)], result)
    #expect(result.values == Array(repeating: 0, count: n))
  }

  @Test(arguments: extents, widths) func gatherWithGuard(_ n: Int, _ lanes: Int) throws {
    for type in [ElementType.float32, .uint8] {
      let nest = Self.nest([type, type], counts: [n, n], extent: n, lanes: lanes) { b, i in
        // A permutation computed lane by lane, far outside where the guard is false.
        let position = b.floorModulo(b.multiply(i, b.integer(7)), b.integer(n))
        let isOdd = b.equal(b.floorModulo(i, b.integer(2)), b.integer(1))
        let index = b.select(isOdd, position, b.integer(1 << 50))
        return (i, b.load(.input(0), type, at: [index], if: isOdd), nil)
      }
      for edge in GuardedMemory<Float>.Edge.allCases {
        if type == .float32 {
          let x = (0..<n).map { Float($0) + 0.5 }
          let result = GuardedMemory([Float](repeating: -1, count: n), at: edge)
          try Self.run(nest, [GuardedMemory(x, at: edge)], result)
          #expect(result.values == (0..<n).map { $0 % 2 == 1 ? x[$0 * 7 % n] : 0 })
        } else {
          let x = (0..<n).map { UInt8($0 + 100) }
          let result = GuardedMemory([UInt8](repeating: 1, count: n), at: edge == .start ? .start : .end)
          try Self.run(nest, [GuardedMemory(x, at: .end)], result)
          #expect(result.values == (0..<n).map { $0 % 2 == 1 ? x[$0 * 7 % n] : 0 })
        }
      }
    }
  }

  @Test(arguments: extents, widths) func conditionalAndScatteredStores(_ n: Int, _ lanes: Int) throws {
    let nest = Self.nest([.int64], counts: [2 * n], extent: n, lanes: lanes) { b, i in
      (b.multiply(i, b.integer(2)), b.add(i, b.integer(10)), b.notEqual(i, b.integer(2)))
    }
    let result = GuardedMemory([Int64](repeating: -1, count: 2 * n), at: .end)
    try Self.run(nest, [GuardedMemory<Int64>](), result)
    var expected = [Int64](repeating: -1, count: 2 * n)
    for i in 0..<n where i != 2 { expected[2 * i] = Int64(i + 10) }
    #expect(result.values == expected)

    let dense = Self.nest([.bool], counts: [n], extent: n, lanes: lanes) { b, i in
      (i, b.equal(b.floorModulo(i, b.integer(3)), b.integer(0)), b.less(i, b.integer(n - 1)))
    }
    let bits = GuardedMemory([UInt8](repeating: 7, count: n), at: .end)
    try Self.run(dense, [GuardedMemory<UInt8>](), bits)
    var pattern = [UInt8](repeating: 7, count: n)
    for i in 0..<n - 1 { pattern[i] = i % 3 == 0 ? 1 : 0 }
    #expect(bits.values == pattern)
  }

  @Test(arguments: extents, widths) func quotientsOfTheLanesIndex(_ n: Int, _ lanes: Int) throws {
    for divisor in [1, 3, 4, 16, 48, 1000] {
      let nest = Self.nest([.int64], counts: [n], extent: n, lanes: lanes) { b, i in
        let shifted = b.add(b.multiply(b.parameter(0), b.integer(16)), i)
        let row = b.floorDivide(shifted, b.integer(divisor))
        let column = b.floorModulo(shifted, b.integer(divisor))
        return (i, b.add(b.multiply(row, b.integer(10_000)), column), nil)
      }
      let result = GuardedMemory([Int64](repeating: -1, count: n), at: .end)
      try Self.run(nest, [GuardedMemory<Int64>](), result)
      #expect(result.values == (0..<n).map { Int64($0 / divisor * 10_000 + $0 % divisor) }, "divisor \(divisor)")
    }
  }

  @Test(arguments: widths) func indicesThatAreChecked(_ lanes: Int) throws {
    let n = 37
    let nest = Self.nest([.int64, .float32, .float32], counts: [n, 5, n], extent: n, lanes: lanes) { b, i in
      let index = b.checkIndex(b.load(.input(0), .int64, at: [i]), extent: 5, code: 42)
      return (i, b.load(.input(1), .float32, at: [index]), nil)
    }
    let kernel = try KernelHarness.compiler.compile([nest])[0]
    let table: [Float] = [1, 2, 4, 8, 16]
    func run(_ indices: [Int64]) -> (values: [Float], code: Int32, site: Int64, index: Int64) {
      let memory = (
        GuardedMemory(indices, at: .end), GuardedMemory(table, at: .end),
        GuardedMemory([Float](repeating: 0, count: n), at: .end)
      )
      let status = KernelHarness.run(kernel, [memory.0, memory.1, memory.2])
      return (memory.2.values, status.code, status.site, status.index)
    }
    let good = (0..<n).map { Int64($0 % 5) }
    let fine = run(good)
    #expect(fine.code == 0)
    #expect(fine.values == good.map { table[Int($0)] })
    for (at, wrong) in [(0, Int64(5)), (20, -1), (36, .max), (7, .min)] {
      var indices = good
      indices[at] = wrong
      // A later fault in the same group of lanes does not win.
      if at == 20 { indices[22] = 99 }
      let result = run(indices)
      #expect(result.code == KernelFault.indexOutOfBounds)
      #expect(result.site == 42)
      #expect(result.index == wrong)
      #expect(result.values == indices.map { table[Int(max(0, min(4, $0)))] })
    }
  }
}
