import CMartletRuntime
import Glibc
import Testing

extension RuntimeSuite {
  @Suite(.enabled(if: martlet_blas_library().pointee.available == 1, "OpenBLAS is not installed"))
  struct MatrixProductTests {
    struct Case: CustomTestStringConvertible {
      var m, n, k: Int
      var transposeA = false
      var transposeB = false
      var beta = 0.0
      var testDescription: String { "\(m)×\(k)·\(k)×\(n), transposed \(transposeA) \(transposeB), beta \(beta)" }
    }

    static let cases = [
      Case(m: 1, n: 1, k: 1), Case(m: 3, n: 4, k: 5), Case(m: 64, n: 48, k: 100), Case(m: 200, n: 130, k: 70),
      Case(m: 7, n: 9, k: 11, transposeA: true), Case(m: 7, n: 9, k: 11, transposeB: true, beta: 0.5),
      Case(m: 65, n: 33, k: 129, transposeA: true, transposeB: true, beta: -2),
    ]

    /// Small integers, so that every product and sum is exact in both types.
    static func matrix(_ count: Int, seed: Int) -> [Double] {
      (0..<count).map { Double(($0 * 7 + seed * 13) % 11 - 5) }
    }

    static func product(_ c: Case, _ a: [Double], _ b: [Double], _ old: [Double]) -> [Double] {
      (0..<c.m * c.n).map { index in
        let (i, j) = (index / c.n, index % c.n)
        let sum = (0..<c.k).reduce(0.0) { sum, p in
          sum + a[c.transposeA ? p * c.m + i : i * c.k + p] * b[c.transposeB ? j * c.k + p : p * c.n + j]
        }
        return 2 * sum + c.beta * old[index]
      }
    }

    @Test(arguments: cases) func productsInBothPrecisions(c: Case) {
      let (a, b) = (Self.matrix(c.m * c.k, seed: 1), Self.matrix(c.k * c.n, seed: 2))
      let old = Self.matrix(c.m * c.n, seed: 3)
      let expected = Self.product(c, a, b, old)
      let (lda, ldb) = (Int64(c.transposeA ? c.m : c.k), Int64(c.transposeB ? c.k : c.n))
      let (m, n, k) = (Int64(c.m), Int64(c.n), Int64(c.k))

      var double = c.beta == 0 ? [Double](repeating: .nan, count: old.count) : old
      martlet_blas_dgemm(
        c.transposeA ? 1 : 0, c.transposeB ? 1 : 0, m, n, k, 2, a, lda, b, ldb, c.beta, &double, n)
      #expect(double == expected)

      var single = double.map { _ in Float.nan }
      if c.beta != 0 { single = old.map(Float.init) }
      martlet_blas_sgemm(
        c.transposeA ? 1 : 0, c.transposeB ? 1 : 0, m, n, k, 2, a.map(Float.init), lda, b.map(Float.init), ldb,
        Float(c.beta), &single, n)
      #expect(single.map(Double.init) == expected)
    }

    @Test(arguments: [false, true]) func matrixTimesVector(transposed: Bool) {
      let a: [Float] = [1, 2, 3, 4, 5, 6]
      var y: [Float] = [1, 1, 1]
      martlet_blas_sgemv(transposed ? 1 : 0, 2, 3, 1, a, 3, [1, 10, 100], 1, &y)
      #expect(y == (transposed ? [42, 53, 64] : [322, 655, 1]))
    }

    @Test func loadingLeavesTheEnvironmentAsItWas() throws {
      let blas = martlet_blas_library().pointee
      #expect(String(cString: blas.configuration).contains("OpenBLAS"))
      #expect(!String(cString: blas.core).isEmpty)
      // The kernel keeps the environment that the process started with.
      let file = try #require(fopen("/proc/self/environ", "r"))
      defer { fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 1 << 20)
      let count = fread(&bytes, 1, bytes.count, file)
      let start = bytes.prefix(count).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      for name in ["OPENBLAS_CORETYPE", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"] {
        let before = start.first { $0.hasPrefix(name + "=") }?.dropFirst(name.count + 1)
        #expect(getenv(name).map { String(cString: $0) } == before.map(String.init))
      }
    }
  }
}
