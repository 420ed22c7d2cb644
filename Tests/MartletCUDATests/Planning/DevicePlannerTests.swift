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
        segment
          [0] stream 1: upload argument 0 0..<16
          [1] stream 0 after [0]: kernel 0 of instruction 0
          [2] stream 2 after [1]: download arena 0..<16
        host: instruction 1
        segment
          [0] stream 1: upload arena 64..<80
          [1] stream 0 after [0]: kernel 2 of instruction 2
          [2] stream 2 after [1]: download result 0 0..<16
      """
    #expect(DevicePlanner.plan(plan, for: .h100).description == expected)
  }

  /// Small kernels are one launch: those that something needs as soon as it needs them, the others at the end.
  @Test func smallKernelsAreLaunchedTogether() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4, 6], name: "x")
    let y = graph.placeholder(.float32, shape: [6, 5], name: "y")
    let v = graph.variableHandle(.float32, shape: [4, 5], name: "v")
    let w = graph.variableHandle(.float32, shape: [4, 3], name: "w")
    let p = matMul(tanh(x), exp(y))
    let q = matMul(p, graph.constant(randomTensor([5, 3], seed: 1)))
    let updates = [assign(v, readVariable(v) * tanh(p)), assign(w, readVariable(w) * tanh(q))]
    let feeds = [x: TensorType(.float32, [4, 6]), y: TensorType(.float32, [6, 5])]
    let plan = try StubSession()(graph).plan(for: [], targets: updates, feeds: feeds)
    let work = DevicePlanner.plan(plan, for: .h100)
    // The last launch has both updates, though the first could have been made long before.
    let expected = """
      device memory 66816 bytes, host image 512 bytes, 2 streams
      block 0
        segment
          [0] stream 1: upload argument 0 0..<96
          [1] stream 1: upload argument 1 0..<120
          [2] stream 0 after [1]: joined kernels 0 of instructions 0, 1
          [3] stream 0: library 0 of instruction 2
          [4] stream 0: library 1 of instruction 3
          [5] stream 0: joined kernels 1 of instructions 4, 5
      """
    #expect(work.description == expected)
    #expect(work.joined == [[0, 1], [2, 3]] && work.singleKernels == [])
  }
}
