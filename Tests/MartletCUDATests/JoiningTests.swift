import MartletCUDA
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

/// Small kernels in one launch.
struct JoiningTests {
  /// Updates of variables of several sizes, with and without vectors and rests, and other maps between them.
  static func joined(for device: CUDADevice) -> CUDAKernel {
    let sizes = [3, 70, 1000, 40_003, 1, 40_000, 513, 64, 36_000, 7]
    var programs = sizes.map { Sample.adam([$0]) }
    programs.insert(Sample.biasAdd(3, 5), at: 4)
    programs.insert(Sample.unary([90]) { b, x in b.tanh(x) }, at: 7)
    return CUDAKernel(joining: programs.map { CUDAKernel($0, for: device) }, for: device)
  }

  @Test func theyAgree() throws {
    let kernel = Self.joined(for: .h100)
    #expect(kernel.launches.count == 1 && kernel.inputs.count == 43 && kernel.outputs.count == 32)
    // Code for updates by vectors, of four lanes; by vectors with a rest; by elements; of one element. Not for each size.
    let roots = kernel.body.components(separatedBy: "m_sqrt").count - 1
    #expect(roots == 4 + 5 + 1 + 1, "\(kernel.body)")
    try Self.check(kernel)
  }

  /// Kernels with groups of several stages, and others over the domains of stages of the former.
  @Test func kernelsOfSeveralDomainsAgree() throws {
    var builder = StageBuilder(inputs: [BufferType(.float32, [3, 3]), BufferType(.float32, [4, 5])])
    let small = builder.map("small", .float32, [3, 3]) { b, i in b.tanh(b.load(.input(0), .float32, at: i)) }
    let large = builder.map("large", .float32, [4, 5]) { b, i in b.exp(b.load(.input(1), .float32, at: i)) }
    let other = builder.map("other", .float32, [4, 5]) { b, i in b.negate(b.load(.input(1), .float32, at: i)) }
    let several = builder.finish([small, large, other])
    let programs = [
      several, Sample.unary([9]) { b, x in b.negate(x) }, Sample.unary([3, 3]) { b, x in b.sqrt(x) }, several,
    ]
    let kernel = CUDAKernel(joining: programs.map { CUDAKernel($0, for: .h100) }, for: .h100)
    #expect(kernel.launches.count == 1)
    try Self.check(kernel)
  }

  static func check(_ kernel: CUDAKernel) throws {
    let program = try #require(kernel.program)
    let one = SimulatedKernels.Case(
      program: program, inputs: Sample.inputs(for: program), label: "joined", kernel: kernel)
    try SimulatedKernels.check([one]) { SimulatedKernels.isClose($0, $1, tolerance: 1e-5) }
  }

  @Test func aThousandSmallOnesAreShort() throws {
    let small = CUDAKernel(Sample.unary([100]) { b, x in b.tanh(x) }, for: .h100)
    let kernel = CUDAKernel(joining: Array(repeating: small, count: 1000), for: .h100)
    #expect(kernel.launches.map(\.blocks) == [1000])
    #expect(kernel.body.components(separatedBy: "m_tanh").count == 2)
  }

  @Test func whatHasSeveralLaunchesStaysAlone() {
    #expect(CUDAKernel(Sample.adam([100]), for: .h100).isJoinable)
    #expect(!CUDAKernel(Sample.softmax(3, 4), for: .h100).isJoinable)
    #expect(!CUDAKernel(Sample.transpose([190, 200], [1, 0]), for: .h100).isJoinable)
    #expect(!CUDAKernel(Sample.scatterAdd(rows: 5, 3, updates: 7), for: .h100).isJoinable)
  }
}
