import Martlet
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Whole models in small sizes, with products and convolutions by the stand-ins of cuBLASLt and cuDNN.
@Suite struct ModelTests {
  @Test(arguments: Model.allCases) func models(model: Model) throws {
    let (graph, fed, fetches, targets) = try model.graph()
    var feeds: [Output: Tensor] = [:]
    for (i, placeholder) in fed.enumerated() {
      let shape = placeholder.shape.known ?? []
      feeds[placeholder] =
        placeholder.elementType == .int32
        ? Tensor((0..<shape.reduce(1, *)).map { Int32($0 * 7 % 10) }, shape: shape)
        : randomTensor(shape, seed: UInt64(i))
    }
    let interpreter = try Session(graph, options: SessionOptions(device: .interpreter))
    let stub = try StubSession(seed: 5)
    try { () throws in
      let session = try stub(graph)
      for session in [interpreter, session] { try session.run(graph.initializer) }
      for variable in interpreter.variables.all where variable.type.elementType == .float32 {
        let start = randomTensor(variable.type.shape.known ?? [], seed: UInt64(100 + variable.number))
        try variable.assign(start)
        try #require(session.variables[variable.name]).assign(start)
      }
      for _ in 0..<3 {
        let expected = try interpreter.run(fetches, feeds: feeds, targets: targets)
        let found = try session.run(fetches, feeds: feeds, targets: targets)
        for (found, expected) in zip(found, expected) { expectClose(found, expected, relative: 2e-4, absolute: 1e-5) }
      }
      for variable in interpreter.variables.all {
        let found = try #require(try session.variables[variable.name]?.value)
        expectClose(found, try #require(try variable.value), relative: 1e-3, absolute: 1e-4, variable.name)
      }
    }()
    stub.machine.expectClean()
  }

  /// An operation that brings CUDA C runs it; without a GPU its host code runs.
  @Test func customKernels() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [70], name: "x")
    let y = graph.add(Reversed(), [exp(x)])[0] + 1
    let feeds = [x: randomTensor([70], seed: 1)]
    let stub = try StubSession()
    let session = try stub(graph)
    let plan = try session.plan(for: [y], feeds: feeds.mapValues(\.type))
    #expect(plan.blocks[0].instructions.allSatisfy { !$0.isOnHost })
    let expected = try Session(graph, options: SessionOptions(device: .cpu)).run([y], feeds: feeds)[0]
    expectClose(try session.run([y], feeds: feeds)[0], expected)
  }
}

/// The elements in the opposite order.
private struct Reversed: Martlet.Operation {
  static let schema = Schema(unary: "_TestReversed", types: .floating)
  var differentiation: Differentiation { .none("for a test") }

  func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(.float32, operands[0].shape)]
  }

  func lowering(_ context: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let count = context.resultShape(0)[0]
    let source = CUDASource(
      """
      extern "C" __global__ void reversed(
        const float* x, float* y, const long long* run, martlet_status* status) {
        const int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < \(count)) y[i] = x[\(count - 1) - i];
      }
      """, launches: [.init("reversed", blocks: (count + 31) / 32, threads: 32, sharedBytes: 100_000)])
    return .host(
      HostFunction(cuda: source) { operands in
        [Tensor(Array(operands[0].scalars(as: Float.self).reversed()), shape: operands[0].shape)]
      })
  }
}
