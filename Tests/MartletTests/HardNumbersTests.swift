import Foundation
import Martlet
import Testing

/// Empty arrays, scalars, small integers, signed zeros and NaN, in whole programs.
@Suite struct HardNumbersTests {
  static let devices = SessionOptions.Device.tested

  private func session(_ graph: Graph, _ device: SessionOptions.Device) throws -> Session {
    try Session(graph, options: SessionOptions(device: device, instruments: [VerifyInstrument()]))
  }

  private func floats(_ tensor: Tensor) -> [Float] { tensor.scalars() }

  // MARK: Moments

  /// A channel whose mean is large beside its deviation: the difference of the squares' mean and the mean's square would
  /// have no digit right. The first element is far from the others, too.
  @Test(arguments: devices) func momentsOfFarAwayNumbers(_ device: SessionOptions.Device) throws {
    var elements: [Float] = []
    for i in 0..<2 * 40 * 40 * 3 {
      let start: Float = i < 3 ? 1003 : 1000
      let step: Int = i < 3 ? 0 : (i / 3 * 7919) % 101
      elements.append(start + Float(i % 3) + Float(step) / 256)
    }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, 40, 40, 3])
    let one = graph.constant([1, 1, 1] as [Float])
    let normal = fusedBatchNorm(x, scale: one, offset: one, epsilon: 0)
    let found = try session(graph, device).run(
      [normal.mean, normal.variance], feeds: [x: Tensor(elements, shape: [2, 40, 40, 3])])
    for channel in 0..<3 {
      let own: [Double] = stride(from: channel, to: elements.count, by: 3).map { Double(elements[$0]) }
      let mean = own.reduce(0, +) / Double(own.count)
      let squares: [Double] = own.map { ($0 - mean) * ($0 - mean) }
      let variance = squares.reduce(0, +) / Double(own.count - 1)
      let foundMean = Double(floats(found[0])[channel])
      let foundVariance = Double(floats(found[1])[channel])
      #expect(abs(foundMean - mean) < 1e-3)
      #expect(abs(foundVariance / variance - 1) < 1e-3)
    }
  }

  /// A corner that is black, the first element of each channel, lies far from all others.
  @Test(arguments: devices) func momentsBesideAnOutlier(_ device: SessionOptions.Device) throws {
    let count = 8 * 56 * 56
    let elements: [Float] = (0..<count).map { $0 == 0 ? 0 : 298 + Float(($0 * 7919) % 1009) / 256 }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [8, 56, 56, 1])
    let one = graph.constant([1] as [Float])
    let normal = fusedBatchNorm(x, scale: one, offset: one, epsilon: 0)
    let found = try session(graph, device).run([normal.variance], feeds: [x: Tensor(elements, shape: [8, 56, 56, 1])])
    let mean = elements.reduce(0) { $0 + Double($1) } / Double(count)
    let variance = elements.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(count - 1)
    #expect(abs(Double(floats(found[0])[0]) / variance - 1) < 1e-4)
  }

  // MARK: Empty arrays

  @Test(arguments: devices) func emptyArraysGoThroughEverything(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 3], name: "x")
    let v = graph.variableHandle(.float32, shape: [0, 3], name: "v")
    let w = graph.constant([1, 2, 3, 4, 5, 6] as [Float], shape: [3, 2])
    let step = assign(v, reverse(readVariable(v), axes: [0]) + 1)
    let session = try session(graph, device)
    try session.assign(v, Tensor([Float](), shape: [0, 3]))
    let scores = matMul(x, w)
    let fetches = [
      x, relu(x) + 1, scores, sum(x), sum(x, axes: [0]), sum(x, axes: [1]), l2Loss(x),
      max(x, axes: [0]), min(x), mean(x), all(x .> 0), any(x .> 0), concat([x, x + 1], axis: 0), softmax(x),
      matMul(x, x, transposeA: true), transpose(x), cumulativeSum(x, axis: 0), readVariable(v), argMax(x, axis: 1),
      tile(x, multiples: [2, 1]), pad(x, [(1, 1), (0, 0)]), stack([x, x], axis: 1),
      gather(w, cast(sum(x, axes: [1]), to: .int32)),
      product(x, axes: [0]),
    ]
    let results = try session.run(fetches, feeds: [x: Tensor([Float](), shape: [0, 3])], targets: [step])
    let infinity = Float.infinity
    let expected: [([Int], [Float])] = [
      ([0, 3], []), ([0, 3], []), ([0, 2], []), ([], [0]), ([3], [0, 0, 0]), ([0], []), ([], [0]),
      ([3], [-infinity, -infinity, -infinity]), ([], [infinity]), ([], [.nan]), ([], [1]), ([], [0]), ([0, 3], []),
      ([0, 3], []), ([3, 3], [Float](repeating: 0, count: 9)), ([3, 0], []), ([0, 3], []), ([0, 3], []), ([0], []),
      ([0, 3], []), ([2, 3], [0, 0, 0, 0, 0, 0]), ([0, 2, 3], []), ([0, 2], []), ([3], [1, 1, 1]),
    ]
    #expect(results.count == expected.count)
    for (i, (result, (shape, elements))) in zip(results, expected).enumerated() {
      #expect(result.shape == shape, "fetch \(i)")
      let found = result.doubles().map(Float.init)
      #expect(zip(found, elements).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }, "fetch \(i): \(found)")
      #expect(found.count == elements.count)
    }
    #expect(try session.value(of: v).shape == [0, 3])
  }

  @Test(arguments: devices) func noImagesArePooled(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 5, 4, 2], name: "x")
    let pooled = [maxPool(x, size: 2), avgPool(x, size: 2, padding: .same)]
    let slopes = try pooled.map { try gradient(of: sum($0), withRespectTo: x) }
    let session = try session(graph, device)
    let results = try session.run(pooled + slopes, feeds: [x: Tensor([Float](), shape: [0, 5, 4, 2])])
    #expect(results.map(\.shape) == [[0, 2, 2, 2], [0, 3, 2, 2], [0, 5, 4, 2], [0, 5, 4, 2]])
  }

  @Test(arguments: devices) func emptyLoopsBranchesAndProducts(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil], name: "x")
    let p = graph.placeholder(.bool, shape: [], name: "p")
    let loop = whileLoop([graph.constant(0 as Int32), x]) {
      $0[0] .< graph.constant(3 as Int32)
    } body: { s in
      [s[0] + graph.constant(1 as Int32), s[1] * 2]
    }
    let branch = cond(p) {
      x + 1
    } else: {
      x
    }
    let a = graph.placeholder(.float32, shape: [2, nil], name: "a")
    let products = [matMul(a, a, transposeB: true), matMul(a, a, transposeA: true)]
    let session = try session(graph, device)
    let results = try session.run(
      [loop[0], loop[1], branch] + products,
      feeds: [x: Tensor([Float]()), p: Tensor(true), a: Tensor([Float](), shape: [2, 0])])
    #expect(results[0].item() == 3 as Int32)
    #expect(results[1].shape == [0] && results[2].shape == [0])
    #expect(floats(results[3]) == [0, 0, 0, 0] && results[3].shape == [2, 2])
    #expect(results[4].shape == [0, 0])
  }

  // MARK: Means of integers

  @Test(arguments: devices) func meansOfIntegersDoNotWrap(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let bytes = graph.placeholder(.uint8, shape: [nil, 2], name: "bytes")
    let words = graph.placeholder(.int32, shape: [nil], name: "words")
    let session = try session(graph, device)
    let results = try session.run(
      [mean(bytes, axes: [0]), mean(bytes, axes: []), mean(words)],
      feeds: [
        bytes: Tensor((0..<600).map { UInt8($0 % 2 == 0 ? 255 : 7) }, shape: [300, 2]),
        words: Tensor([.max, .max - 1, .max - 5] as [Int32]),
      ])
    #expect(results[0].scalars() == [255, 7] as [UInt8])
    #expect(results[1].shape == [300, 2])
    #expect(results[2].item(as: Int32.self) == Int32.max - 2)
  }

  // MARK: Numbers

  @Test(arguments: devices) func smallIntegersWrap(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.uint8, shape: [nil], name: "x")
    let y = graph.placeholder(.uint8, shape: [nil], name: "y")
    let i = graph.placeholder(.int32, shape: [nil], name: "i")
    let l = graph.placeholder(.int64, shape: [nil], name: "l")
    let session = try session(graph, device)
    // More than one vector, with a rest.
    let count = 67
    let a = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + 200) }
    let b = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 91 + 3) }
    let edges32: [Int32] = [.min, .max, -1, 0, 1, 7, -7, 1 << 30]
    let edges64: [Int64] = [.min, .max, -1, 0, 1, 7, -7, 1 << 62]
    let c = (0..<count).map { edges32[$0 % 8] }
    let d = (0..<count).map { edges64[($0 * 3) % 8] }
    let three = graph.constant(3 as Int32)
    let fetches = [
      x + y, x - y, x * y, x * x, maximum(x, y), cast(x, to: .int32), cast(cast(x, to: .float32) * 2, to: .uint8),
      cast(x .> y, to: .uint8), floorDivide(x, y),
      i + i, i * i, -i, abs(i), floorDivide(i, three), floorModulo(i, three), cast(i, to: .uint8), cast(i, to: .int64),
      l + l, l * l, cast(l, to: .int32), floorModulo(l, graph.constant(-3 as Int64)),
    ]
    let results = try session.run(fetches, feeds: [x: Tensor(a), y: Tensor(b), i: Tensor(c), l: Tensor(d)])
    func modulo<T: SignedInteger & FixedWidthInteger>(_ x: T, _ y: T) -> T {
      let rest = x % y
      return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest
    }
    #expect(results[0].scalars() == zip(a, b).map { $0 &+ $1 })
    #expect(results[1].scalars() == zip(a, b).map { $0 &- $1 })
    #expect(results[2].scalars() == zip(a, b).map { $0 &* $1 })
    #expect(results[3].scalars() == a.map { $0 &* $0 })
    #expect(results[4].scalars() == zip(a, b).map { Swift.max($0, $1) })
    #expect(results[5].scalars() == a.map { Int32($0) })
    // A float out of range saturates.
    #expect(results[6].scalars() == a.map { UInt8(Swift.min(255, Int($0) * 2)) })
    #expect(results[7].scalars() == zip(a, b).map { $0 > $1 ? 1 : 0 as UInt8 })
    #expect(results[8].scalars() == zip(a, b).map { $1 == 0 ? 0 : $0 / $1 })
    #expect(results[9].scalars() == c.map { $0 &+ $0 })
    #expect(results[10].scalars() == c.map { $0 &* $0 })
    #expect(results[11].scalars() == c.map { 0 &- $0 })
    #expect(results[12].scalars() == c.map { $0 < 0 ? 0 &- $0 : $0 })
    #expect(results[13].scalars() == c.map { Int32((Int64($0) - Int64(modulo($0, 3))) / 3) })
    #expect(results[14].scalars() == c.map { modulo($0, 3) })
    #expect(results[15].scalars() == c.map { UInt8(truncatingIfNeeded: $0) })
    #expect(results[16].scalars() == c.map { Int64($0) })
    #expect(results[17].scalars() == d.map { $0 &+ $0 })
    #expect(results[18].scalars() == d.map { $0 &* $0 })
    #expect(results[19].scalars() == d.map { Int32(truncatingIfNeeded: $0) })
    #expect(results[20].scalars() == d.map { modulo($0, -3) })
  }

  /// Arithmetic on known integers is followed while the graph is built; it must not differ from what a run would do.
  @Test(arguments: devices) func knownIntegersWrapAsRunsDo(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let big = graph.constant([1 << 30, 5] as [Int32])
    let four = graph.constant(4 as Int32)
    let wide = graph.constant([(1 << 32) + 5, -1, 1 << 62] as [Int64])
    let huge = wide * graph.constant(4 as Int64)
    let fetches = [
      floorDivide(big * four, four), cast(cast(wide, to: .int32), to: .int64),
      floorDivide(huge, graph.constant(4 as Int64)),
      sum(huge, axes: [0]), product(wide, axes: [0]), -graph.constant([Int64.min]),
      sum(big * graph.constant(2 as Int32)),
    ]
    let session = try session(graph, device)
    let results = try session.run(fetches)
    #expect(results[0].scalars() == [0, 5] as [Int32])
    #expect(results[1].scalars() == [Int32(truncatingIfNeeded: (1 << 32) + 5), -1, 0].map { Int64($0) })
    let w: [Int64] = [(1 << 32) + 5, -1, 1 << 62]
    // 2^34 + 20 and −4 stay; 2^62 · 4 wraps to 0.
    #expect(results[2].scalars() == [(1 << 32) + 5, -1, 0] as [Int64])
    #expect(results[3].item() == w.reduce(0) { $0 &+ $1 &* 4 })
    #expect(results[4].item() == w.reduce(1) { $0 &* $1 })
    #expect(results[5].scalars() == [Int64.min])
    #expect(results[6].item() == Int32.min &+ 10)
  }

  @Test(arguments: devices) func signedZerosAndNaNSurviveRewriting(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [6], name: "x")
    let values: [Float] = [-0.0, 0.0, .nan, -.infinity, .leastNonzeroMagnitude, -3]
    let session = try session(graph, device)
    func bits(_ y: Output) throws -> [UInt32] {
      floats(try session.run(y, feeds: [x: Tensor(values)])).map { $0.isNaN ? 1 : $0.bitPattern }
    }
    func expected(_ f: (Float) -> Float) -> [UInt32] { values.map(f).map { $0.isNaN ? 1 : $0.bitPattern } }
    #expect(try bits(x + 0) == expected { $0 + 0 })
    #expect(try bits(x + graph.constant(-0.0 as Float)) == expected { $0 })
    #expect(try bits(x - 0) == expected { $0 })
    #expect(try bits(0 - x) == expected { 0 - $0 })
    #expect(try bits(-(-x)) == expected { $0 })
    #expect(try bits(x * 0) == expected { $0 * 0 })
    #expect(try bits(x * 1) == expected { $0 })
    #expect(try bits(x - x) == expected { $0 - $0 })
    #expect(try bits(x / x) == expected { $0 / $0 })
    #expect(try bits(x / 4) == expected { $0 / 4 })
    #expect(try bits(x / -0.0) == expected { $0 / -0.0 })
    #expect(try bits(abs(-x)) == expected { Swift.abs($0) })
    #expect(try bits(pow(x, 1)) == expected { $0 })
    #expect(try bits(pow(x, 2)) == expected { $0 * $0 })
    #expect(try bits(pow(x, 0)) == expected { _ in 1 })
    #expect(try bits(select(x .== x, x, x * 2)) == expected { $0 })
    #expect(try bits(maximum(x, graph.constant(1 as Float))) == expected { $0.isNaN ? $0 : Swift.max($0, 1) })
    #expect(try bits(cast((x .< 0) .| (x .>= 0), to: .float32)) == expected { $0.isNaN ? 0 : 1 })
    // Two constants that compare equal are not one.
    let zeros = graph.constant([0.0, -0.0] as [Float])
    let other = graph.constant([-0.0, 0.0] as [Float])
    #expect(try session.run([zeros, other]).map { floats($0).map(\.bitPattern) } == [[0, 1 << 31], [1 << 31, 0]])
  }

  /// Over all magnitudes, where squares overflow or vanish too.
  @Test(arguments: devices) func inverseHyperbolicsAreAccurate(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil], name: "x")
    let session = try session(graph, device)
    let magnitudes = (-126...127).flatMap { exponent in
      [1, 1.37, 1.99].map { Float(sign: .plus, exponent: exponent, significand: $0) }
    }
    func check(_ output: Output, _ values: [Float], _ exact: (Double) -> Double) throws {
      for (value, found) in zip(values, floats(try session.run(output, feeds: [x: Tensor(values)]))) {
        let expected = exact(Double(value))
        #expect(
          Swift.abs(Double(found) - expected) <= 5e-7 * Swift.abs(expected), "\(output.name)(\(value)) is \(found)")
        #expect(found.sign == value.sign, "\(output.name)(\(value))")
      }
    }
    let signed = magnitudes + magnitudes.map { -$0 } + [0, -0.0]
    try check(asinh(x, name: "asinh"), signed, Foundation.asinh)
    try check(acosh(x, name: "acosh"), magnitudes.filter { $0 >= 1 }, Foundation.acosh)
    let nearOne = (1...24).flatMap { k in [1, -1].map { $0 * (1 - Float(sign: .plus, exponent: -k, significand: 1)) } }
    try check(atanh(x, name: "atanh"), signed.filter { Swift.abs($0) < 1 } + nearOne, Foundation.atanh)
  }

  /// 1 − e⁰ is 0, not −0, though it is computed by way of `expm1`.
  @Test(arguments: devices) func oneLessOneHasNoSign(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2])
    let found = try session(graph, device).run(1 - exp(x), feeds: [x: Tensor([0, -0.0] as [Float])])
    #expect(floats(found).map(\.bitPattern) == [0, 0])
  }

  /// An infinite logit spoils its own probability, as it does in eˣ / Σ eˣ, and no other in the row. TensorFlow 2.21
  /// gives the same.
  @Test(arguments: devices) func softmaxBesideInfinity(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 3])
    let session = try session(graph, device)
    let rows: [Float] = [1, .infinity, 2, -.infinity, 0, -.infinity, 3e38, .infinity, -3e38]
    let parts = exp(x) / sum(exp(x), axes: [1], keepDims: true)
    for output in [softmax(x), parts] {
      let found = floats(try session.run(output, feeds: [x: Tensor(rows, shape: [3, 3])]))
      #expect(found[1].isNaN && found[7].isNaN)
      #expect([0, 2, 3, 4, 5, 6, 8].map { found[$0] } == [0, 0, 0, 1, 0, 0, 0])
    }
  }

  @Test(arguments: devices) func extremesTakeTheFirstAndKeepNaN(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, nil], name: "x")
    let session = try session(graph, device)
    for columns in [3, 40] {
      var rows = [[Float]](repeating: [Float](repeating: 1, count: columns), count: 4)
      rows[1][columns - 1] = 2
      rows[2] = [Float](repeating: -.infinity, count: columns)
      rows[3][1] = -5
      let results = try session.run(
        [argMax(x, axis: 1), argMin(x, axis: 1), max(x, axes: [1]), argMax(x, axis: 0, outputType: .int32)],
        feeds: [x: Tensor(rows.flatMap { $0 }, shape: [4, columns])])
      #expect(results[0].scalars() == [0, Int64(columns - 1), 0, 0])
      #expect(results[1].scalars() == [0, 0, 0, 1] as [Int64])
      #expect(floats(results[2]) == [1, 2, -.infinity, 1])
      #expect(results[3].scalars() == [Int32](repeating: 0, count: columns - 1) + [1])
    }
    let nan = try session.run(
      [max(x), min(x, axes: [1])], feeds: [x: Tensor([1, .nan, 3, 4] as [Float], shape: [2, 2])])
    #expect(floats(nan[0])[0].isNaN)
    #expect(floats(nan[1])[0].isNaN && floats(nan[1])[1] == 3)
  }

  @Test(arguments: devices) func scalarsBroadcastEverywhere(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let s = graph.placeholder(.float32, shape: [], name: "s")
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let one = reshape(s, [1, 1])
    let m = graph.constant([1, 2, 3, 4] as [Float], shape: [2, 2])
    let step = assign(v, sum(m * s) + readVariable(v))
    let fetches = [
      m * s, s - m, one + m, one + one, sum(s), max(one), matMul(one, one), broadcast(s, to: [2, 3]), transpose(one),
      stack([s, s + 1]), reshape(s * 2, []), tile(reshape(s, [1]), multiples: [3]), squeeze(one),
    ]
    let session = try session(graph, device)
    try session.assign(v, Tensor(1 as Float))
    let results = try session.run(fetches, feeds: [s: Tensor(5 as Float)], targets: [step])
    #expect(
      results.map(floats) == [
        [5, 10, 15, 20], [4, 3, 2, 1], [6, 7, 8, 9], [10], [5], [5], [25], [5, 5, 5, 5, 5, 5], [5], [5, 6], [10],
        [5, 5, 5],
        [5],
      ])
    #expect(try session.value(of: v).item() == 51 as Float)
  }

  /// Lowerings whose kernel hands an input on as it is.
  @Test(arguments: devices) func operationsThatDoNothing(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [1, 4], name: "x")
    let fetches = [
      split(x, into: 1, axis: 1)[0], concat([x], axis: 0), transpose(x, permutation: [0, 1]), stack([x])[0],
      unstack(x)[0], reverse(x, axes: []), sum(x, axes: []), mean(x, axes: [0]), max(x, axes: [0]), x[0..<1],
      cumulativeSum(x, axis: 0), addN([x]), gather(x, graph.constant([0] as [Int32])), select(x .== x, x, x),
    ]
    let settings = [
      SessionOptions(device: device), SessionOptions(device: device, isFusing: false),
    ]
    for options in settings {
      let session = try Session(graph, options: options)
      let results = try session.run(fetches, feeds: [x: Tensor([1, 2, 3, 4] as [Float], shape: [1, 4])])
      for (i, result) in results.enumerated() { #expect(floats(result) == [1, 2, 3, 4], "fetch \(i)") }
    }
  }
}
