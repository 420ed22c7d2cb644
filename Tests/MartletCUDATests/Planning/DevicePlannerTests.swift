import Martlet
import MartletTestSupport
import Testing

@testable import MartletCUDA

@Suite struct DevicePlannerTests {
  /// A value that both sides compute with crosses once in each direction, as late as it can.
  @Test func copiesBetweenTheSides() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let a = exp(x)
    let b = graph.withDevice("cpu") { tanh(a) }
    let c = a * b
    let plan = try StubSession()(graph).plan(for: [c], feeds: [x: TensorType(.float32, [4])])
    // Each memory has 256 bytes for the feed, for a and b together, and for the fetch; the device has a still when it needs it.
    let expected = """
      device memory 768 bytes, host image 768 bytes, 3 streams
      block 0
        segment with parameters
          [0] stream 1: upload argument 0 0..<16
          [1] stream 0 after [0]: kernel 0 of instruction 0
          [2] stream 2 after [1]: download arena 0..<16
        host: instruction 1
        segment
          [0] stream 1: upload arena 64..<80
          [1] stream 0 after [0]: kernel 2 of instruction 2
          [2] stream 2 after [1]: download result 0 0..<16
      """
    #expect(DevicePlanner.plan(plan).description == expected)
  }
}
