import Foundation
import MartletCPU
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

/// The vector functions in double precision, against correctly rounded values of a library of multiple precision.
struct DoubleMathTests {
  struct Points: Sendable {
    var operands: [[Double]] = []
    var results: [Double] = []
  }

  /// Read from Tests/Fixtures/Mathematics/double-functions.txt.
  static let points: [String: Points] = {
    let fixtures = packageFolder.appending(path: "Tests/Fixtures/Mathematics/double-functions.txt")
    guard let text = try? String(contentsOf: fixtures, encoding: .utf8) else { return [:] }
    var points: [String: Points] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      let numbers = words.dropFirst().compactMap { UInt64($0, radix: 16) }.map { Double(bitPattern: $0) }
      points[String(words[0]), default: Points()].operands.append(numbers.dropLast())
      points[String(words[0])]!.results.append(numbers.last!)
    }
    return points
  }()

  @Test(arguments: [
    ScalarOperation.exp, .expm1, .log, .log1p, .sin, .cos, .tan, .tanh, .sigmoid, .erf, .power, .atan,
  ]) func values(_ operation: ScalarOperation) throws {
    let points = try #require(Self.points["\(operation)"])
    let count = points.results.count
    #expect(count >= 100)
    let arity = points.operands[0].count
    for lanes in [1, 8] {
      let types = Array(repeating: ElementType.float64, count: arity)
      let nest = KernelHarness.elementwise(types, .float64, counts: [count], lanes: [lanes]) { b, x in
        b.intern(ScalarRow(operation, .float64, x.map(\.id)))
      }
      let kernel = try KernelHarness.compiler.compile([nest])[0]
      let inputs = (0..<arity).map { number in GuardedMemory(points.operands.map { $0[number] }, at: .end) }
      let output = GuardedMemory([Double](repeating: 0, count: count), at: .end)
      KernelHarness.run(kernel, inputs + [output])
      for (i, (found, wanted)) in zip(output.values, points.results).enumerated() {
        let (a, b) = (found.magnitude.bitPattern, wanted.magnitude.bitPattern)
        let isClose = found.sign == wanted.sign && (a > b ? a - b : b - a) <= 2
        let isSame = wanted.isNaN ? found.isNaN : isClose && (wanted != 0 || found == 0)
        #expect(isSame, "\(operation)\(points.operands[i]) is \(found), not \(wanted)")
      }
    }
  }
}
