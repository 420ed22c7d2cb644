import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

/// Random numbers against Philox itself, and their distributions.
@Suite struct RandomTests {
  /// Element i of run r has the block of counter (i, 0, r, 0) under the key that the seeds give.
  @Test(arguments: [0, 3, 1 << 33]) func uniformIsPhilox(run: Int) throws {
    let graph = Graph()
    let x = graph.randomUniform([3, 5], seed: 42)
    let found = try evaluate([x], run: Int64(run))[0].scalars(as: Float.self)
    let key = Self.key(87_654_321, 42)
    for (i, value) in found.enumerated() {
      let counter = (UInt32(i), UInt32(0), UInt32(truncatingIfNeeded: run), UInt32(run >> 32))
      let block = Philox.block(counter: counter, key: key)
      #expect(value == Float(block.0 >> 8) / 16_777_216)
    }
  }

  @Test func doublesTakeTwoWords() throws {
    let graph = Graph()
    let x = graph.randomUniform([4], type: .float64, seed: 1)
    let found = try evaluate([x])[0].scalars(as: Double.self)
    for (i, value) in found.enumerated() {
      let block = Philox.block(counter: (UInt32(i), 0, 0, 0), key: Self.key(87_654_321, 1))
      let bits = (UInt64(block.0) << 32 | UInt64(block.1)) >> 11
      #expect(value == Double(bits) / 0x1p53)
    }
  }

  @Test func integersStayInTheirRange() throws {
    let graph = Graph()
    func draw(_ low: Output, _ high: Output) throws -> Tensor {
      try evaluate([randomUniform(graph.constant([4000]), from: low, to: high, seed: 5)])[0]
    }
    let small = try draw(graph.constant(-2), graph.constant(3)).scalars(as: Int32.self)
    for value in -2...2 { #expect((700...900).contains(small.count { $0 == Int32(value) })) }
    let large = try draw(graph.constant(Int64.min / 2), graph.constant(Int64.max / 2)).scalars(as: Int64.self)
    #expect(large.allSatisfy { $0 >= .min / 2 && $0 < .max / 2 })
    #expect((1800...2200).contains(large.count { $0 < 0 }))
    let wide = try draw(graph.constant(Int(Int32.min), .int32), graph.constant(Int(Int32.max), .int32))
    #expect((1800...2200).contains(wide.scalars(as: Int32.self).count { $0 < 0 }))
  }

  /// Mean, deviation and the share within one deviation, from the distributions' own formulas.
  @Test(arguments: [ElementType.float32, .float64]) func distributions(_ type: ElementType) throws {
    let graph = Graph()
    let count = 20_000
    func moments(_ x: Output) throws -> (mean: Double, deviation: Double, within: Double, extreme: Double) {
      let values = try evaluate([x])[0].doubles()
      let mean = values.reduce(0, +) / Double(count)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
      let within = Double(values.count { abs($0) < 1 }) / Double(count)
      return (mean, variance.squareRoot(), within, values.map(abs).max() ?? 0)
    }
    let uniform = try moments(graph.randomUniform([count], type: type, seed: 7))
    #expect(abs(uniform.mean - 0.5) < 0.01)
    #expect(abs(uniform.deviation - 0.288675) < 0.005)
    let normal = try moments(graph.randomNormal([count], type: type, seed: 8))
    #expect(abs(normal.mean) < 0.03)
    #expect(abs(normal.deviation - 1) < 0.02)
    #expect(abs(normal.within - 0.682689) < 0.012)
    #expect(normal.extreme > 3.3)
    let truncated = try moments(graph.truncatedNormal([count], type: type, seed: 9))
    #expect(abs(truncated.mean) < 0.03)
    #expect(abs(truncated.deviation - 0.879626) < 0.015)
    #expect(abs(truncated.within - 0.682689 / 0.954500) < 0.012)
    #expect(truncated.extreme <= 2)
    #expect(truncated.extreme > 1.95)
  }

  /// The inverse of the normal distribution's function at the uniform number of the same block.
  @Test func truncatedNormalIsTheInverse() throws {
    let graph = Graph()
    let singles = graph.truncatedNormal([64], seed: 3)
    let doubles = graph.truncatedNormal([64], type: .float64, seed: 3)
    // erf by the rule of Simpson over its integrand: what is inverted is found again.
    func erf(_ x: Double) -> Double {
      let n = 400
      let h = x / Double(n)
      let sum = (0...n).reduce(0.0) { sum, i in
        let weight: Double = i == 0 || i == n ? 1 : i % 2 == 1 ? 4 : 2
        let t = Double(i) * h
        return sum + weight * Self.exponential(-t * t)
      }
      return 2 / Double.pi.squareRoot() * sum * h / 3
    }
    let scale = erf(2.0.squareRoot())
    for (x, bits) in zip([singles, doubles], [23, 52]) {
      let found = try evaluate([x])[0].doubles()
      for (i, value) in found.enumerated() {
        let block = Philox.block(counter: (UInt32(i), 0, 0, 0), key: Self.key(87_654_321, 3))
        let word = UInt64(block.0) << 32 | UInt64(block.1)
        let u = (Double(word >> UInt64(64 - bits)) + 0.5) / Double(1 << bits)
        let error = abs(erf(value / 2.0.squareRoot()) - scale * (2 * u - 1))
        #expect(error < (bits == 23 ? 3e-7 : 1e-11))
      }
    }
  }

  /// e^x by its series, for x from -4 to 0.
  private static func exponential(_ x: Double) -> Double {
    var (sum, term) = (1.0, 1.0)
    for n in 1..<60 {
      term *= x / Double(n)
      sum += term
    }
    return sum
  }

  @Test func streams() throws {
    let graph = Graph()
    let (a, b) = (graph.randomUniform([8]), graph.randomUniform([8]))
    let (c, d) = (graph.randomUniform([8], seed: 1), graph.randomUniform([8], seed: 1))
    let values = try evaluate([a, b, c, d])
    #expect(values[0] != values[1])
    #expect(values[0] != values[2])
    #expect(values[2] == values[3])
    #expect(try evaluate([a], run: 1)[0] != values[0])
    // The same program gives the same numbers.
    let again = Graph()
    #expect(try evaluate([again.randomUniform([8])])[0] == values[0])
    // Reshaping the result does not reorder the stream.
    #expect(try evaluate([graph.randomUniform([2, 4], seed: 1)])[0].reshaped([8]) == values[2])
  }

  @Test func withoutSeedsTheNameCounts() throws {
    let graph = Graph()
    let extents = graph.constant([4])
    let names = ["a", "b"]
    let values = try names.map { name in
      try evaluate([graph.addOne(RandomUniform(), [extents], name: name)])[0]
    }
    #expect(values[0] != values[1])
    let other = Graph()
    let same = other.addOne(RandomUniform(), [other.constant([4])], name: "a")
    #expect(try evaluate([same])[0] == values[0])
  }

  /// The key of two seeds, written down a second time: SplitMix64's finisher of the first, plus the second, once more.
  private static func key(_ seed: UInt64, _ seed2: UInt64) -> (UInt32, UInt32) {
    func finish(_ x: UInt64) -> UInt64 {
      var z = x &+ 0x9E37_79B9_7F4A_7C15
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    let hash = finish(finish(seed) &+ seed2)
    return (UInt32(truncatingIfNeeded: hash), UInt32(hash >> 32))
  }
}
