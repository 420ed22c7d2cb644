import Martlet
import MartletTestSupport
import Testing

/// What TensorFlow computes for single operations and their gradients, on a stand-in machine: the generated kernels, the stand-ins
/// of the libraries, and everything between.
struct GoldenStubTests {
  static let cases = ["arrays.json", "mathematics.json", "networks.json", "recurrent.json"].flatMap {
    GoldenCase.load($0)
  }

  @Test(arguments: cases) func agrees(_ golden: GoldenCase) throws {
    let stub = try StubSession()
    for (i, (found, expected)) in try golden.run(in: { try stub($0) }).enumerated() {
      expectClose(found, expected, relative: golden.relative ?? 1e-6, absolute: 1e-6, "fetch \(i)")
    }
    stub.machine.expectClean()
  }
}
