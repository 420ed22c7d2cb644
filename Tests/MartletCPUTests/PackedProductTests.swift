import Foundation
import Martlet
import MartletTestSupport
import Testing

/// Products with constant matrices, which are laid out ahead, against sums in double precision.
@Suite struct PackedProductTests {
  struct Size: CustomTestStringConvertible, Sendable {
    var m: Int
    var n: Int
    var k: Int
    var testDescription: String { "\(m)×\(k) · \(k)×\(n)" }
  }

  /// Whole tiles and parts of them; one row, one column; sums of one block and of several; fewer panels than workers.
  static let sizes = [
    Size(m: 1, n: 300, k: 1000), Size(m: 7, n: 129, k: 415), Size(m: 8, n: 48, k: 768), Size(m: 130, n: 50, k: 64),
    Size(m: 301, n: 1, k: 1000), Size(m: 150, n: 64, k: 33), Size(m: 6, n: 33, k: 1700), Size(m: 33, n: 333, k: 33),
  ]

  /// a · b + bias + residual in double precision, of matrices that may be stored transposed.
  private func product(
    _ size: Size, _ a: [Float], _ b: [Float], bias: [Float], residual: [Float], transposeA: Bool, transposeB: Bool
  ) -> [Double] {
    var result = residual.map { Double($0) }
    for i in 0..<size.m {
      for j in 0..<size.n {
        var sum = Double(bias[j])
        for l in 0..<size.k {
          sum +=
            Double(a[transposeA ? l * size.m + i : i * size.k + l])
            * Double(b[transposeB ? j * size.k + l : l * size.n + j])
        }
        result[i * size.n + j] += sum
      }
    }
    return result
  }

  @Test(arguments: sizes, [(false, false), (true, false), (false, true)])
  func agreesWithSumsInDoublePrecision(size: Size, transposed: (a: Bool, b: Bool)) throws {
    let (m, n, k) = (size.m, size.n, size.k)
    let (a, b) = (randomNumbers(m * k, seed: 1), randomNumbers(k * n, seed: 2))
    let (bias, residual) = (randomNumbers(n, seed: 3), randomNumbers(m * n, seed: 4))
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: transposed.a ? [k, m] : [m, k], name: "x")
    let r = graph.placeholder(.float32, shape: [m, n], name: "r")
    let w = graph.constant(Tensor(b, shape: transposed.b ? [n, k] : [k, n]))
    let plain = matMul(x, w, transposeA: transposed.a, transposeB: transposed.b)
    let full = gelu(plain + graph.constant(Tensor(bias)) + r)
    let session = try Session(graph, options: .cpu)
    let feeds = [x: Tensor(a, shape: transposed.a ? [k, m] : [m, k]), r: Tensor(residual, shape: [m, n])]
    let sums = product(
      size, a, b, bias: bias, residual: residual, transposeA: transposed.a, transposeB: transposed.b)
    let activated = sums.map { 0.5 * $0 * (1 + Foundation.erf($0 / 2.0.squareRoot())) }
    let products = sums.indices.map { sums[$0] - Double(residual[$0]) - Double(bias[$0 % n]) }
    for (fetch, expected) in [(plain, products), (full, activated)] {
      for _ in 0..<2 {
        let found = try session.run([fetch], feeds: feeds)[0].scalars(as: Float.self)
        #expect(found.count == expected.count)
        let bound = 4e-6 * Double(k).squareRoot()
        #expect(zip(found, expected).allSatisfy { abs(Double($0) - $1) < bound })
      }
    }
  }

  /// x · Φ(x)
  private func gelu(_ x: Output) -> Output { 0.5 * x * (1 + erf(x * (1 / 2.0.squareRoot()))) }

  /// GELU of numbers from −12 to 12, which a product with the identity matrix leaves as they are.
  @Test func activationIsPrecise() throws {
    let (rows, columns) = (512, 64)
    var identity = [Float](repeating: 0, count: columns * columns)
    for i in 0..<columns { identity[i * columns + i] = 1 }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [rows, columns], name: "x")
    let y = gelu(matMul(x, graph.constant(Tensor(identity, shape: [columns, columns]))))
    var numbers = (0..<rows * columns).map { Float($0 - rows * columns / 2) / 1365 }
    numbers[0] = -1e30
    numbers[1] = 1e30
    let found = try Session(graph, options: .cpu)
      .run([y], feeds: [x: Tensor(numbers, shape: [rows, columns])])[0].scalars(as: Float.self)
    for (x, y) in zip(numbers.map { Double($0) }, found) {
      let expected = 0.5 * x * Foundation.erfc(-x / 2.0.squareRoot())
      #expect(abs(Double(y) - expected) <= 1.5e-7 * (x < -9 ? 1e-10 : max(abs(x), 0.5)), "of \(x)")
    }
  }

  /// A residual that dies is written over, although the sum takes several blocks.
  @Test func addsToWhatItWritesOver() throws {
    let size = Size(m: 12, n: 30, k: 1600)
    let (a, b) = (randomNumbers(size.m * size.k, seed: 1), randomNumbers(size.k * size.n, seed: 2))
    let residual = randomNumbers(size.m * size.n, seed: 4)
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [size.m, size.k], name: "x")
    let r = graph.placeholder(.float32, shape: [size.m, size.n], name: "r")
    let y = matMul(x, graph.constant(Tensor(b, shape: [size.k, size.n]))) + 2 * r
    let found = try Session(graph).run(
      [y], feeds: [x: Tensor(a, shape: [size.m, size.k]), r: Tensor(residual, shape: [size.m, size.n])])
    let expected = product(
      size, a, b, bias: Array(repeating: 0, count: size.n), residual: residual.map { 2 * $0 }, transposeA: false,
      transposeB: false)
    #expect(found[0].elementCount == expected.count)
    #expect(zip(found[0].scalars(as: Float.self), expected).allSatisfy { abs(Double($0) - $1) < 2e-4 })
  }

  /// Sums that overflow, to either side, and what activations make of them.
  @Test func activatesWhatOverflows() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [32, 64], name: "x")
    let y = matMul(x, graph.constant(Tensor([Float](repeating: 1e38, count: 64 * 160), shape: [64, 160])))
    var rows = [Float](repeating: 0, count: 32 * 64)
    for i in 0..<32 { for j in 0..<64 { rows[i * 64 + j] = i % 3 == 0 ? -1 : i % 3 == 1 ? 1 : 0 } }
    let feeds = [x: Tensor(rows, shape: [32, 64])]
    for (fetch, values) in [(relu(y), [0, Float.infinity, 0]), (maximum(y, y.scalar(0)), [0, .infinity, 0])] {
      let found = try Session(graph).run([fetch], feeds: feeds)[0].scalars(as: Float.self)
      #expect(found.enumerated().allSatisfy { $0.element == values[$0.offset / 160 % 3] })
    }
    let found = try Session(graph).run([tanh(y)], feeds: feeds)[0].scalars(as: Float.self)
    #expect(found.enumerated().allSatisfy { $0.element == [-1, 1, 0][$0.offset / 160 % 3] })
  }
}
