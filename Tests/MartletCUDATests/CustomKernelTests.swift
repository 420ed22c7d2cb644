import Martlet
import MartletCUDA
import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletLoopIR
import MartletTensors
import Testing

/// CUDA C that users bring along.
struct CustomKernelTests {
  static let device = CUDADevice.h100

  /// Squares, then the squares backwards, by two launches.
  static func backwards(_ count: Int, of type: ElementType = .int32, bound: String = "i < n") -> CUDASource {
    CUDASource(
      """
      static __device__ float squared(\(type.cudaType) x) { return float(x) * x; }
      extern "C" __global__ void square(
        const \(type.cudaType)* x, float* y, float* squares, const long long* run, martlet_status* status) {
        const int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < \(count)) squares[i] = squared(x[i]);
      }
      extern "C" __global__ void backwards(
        const \(type.cudaType)* x, float* y, float* squares, const long long* run, martlet_status* status) {
        const int n = \(count), i = blockIdx.x * blockDim.x + threadIdx.x;
        if (\(bound)) y[i] = squares[n - 1 - i] + run[0];
        if (i == 0 && x[0] < 0) martlet_fail(status, x[0]);
      }
      """,
      launches: [
        .init("square", blocks: (count + 63) / 64, threads: 64),
        .init("backwards", blocks: (count + 127) / 128, threads: 128, sharedBytes: 512),
      ], temporaries: [TensorType(.float32, [count])])
  }
  static func kernel(_ source: CUDASource) throws -> CUDAKernel {
    try CUDAKernel(source, inputs: [BufferType(.int32, [70])], outputs: [BufferType(.float32, [70])], for: device)
  }

  @Test func runs() throws {
    let kernel = try Self.kernel(Self.backwards(70))
    #expect(kernel.program == nil && kernel.inPlaceCandidates(output: 0).isEmpty)
    let simulator = try Simulator([kernel])
    let found = try simulator.run(kernel, [Tensor((0..<70).map { Int32($0) })], parameters: [5, 0, 0, 0])
    let expected = (0..<70).map { (i: Int) in Double((69 - i) * (69 - i) + 5) }
    #expect(found.outputs[0].doubles() == expected)
    #expect(found.status == Simulator.Status())
    let failed = try simulator.run(kernel, [Tensor((0..<70).map { Int32($0 - 3) })])
    #expect(failed.status.code == 1 && failed.status.index == -3)
  }

  @Test func impossibleLaunchesAreRefused() {
    func expectRefusal(_ launch: CUDASource.Launch, _ words: String...) {
      let error = #expect(throws: Diagnostic.self) {
        _ = try Self.kernel(CUDASource("", launches: [launch], file: "Roll.swift", line: 7))
      }
      for word in words + ["Roll.swift:7"] { #expect("\(error!)".contains(word), "\(error!)") }
    }
    expectRefusal(.init("f", blocks: 0, threads: 32), "blocks of 'f'")
    expectRefusal(.init("f", blocks: 1, threads: 1025), "1 to 1024", "1025")
    expectRefusal(.init("f", blocks: 1, threads: 32, sharedBytes: 232_449), "232448", "232449")
    expectRefusal(.init("2f", blocks: 1, threads: 32), "a name in C", "'2f'")
    expectRefusal(.init("", blocks: 1, threads: 32), "a name in C")
    #expect(throws: Diagnostic.self) { _ = try Self.kernel(CUDASource("", launches: [])) }
    #expect(throws: Diagnostic.self) {
      _ = try Self.kernel(
        CUDASource("", launches: [.init("f", blocks: 1, threads: 1)], temporaries: [TensorType(.float32, .unknown)]))
    }
  }

  @Test func theKeyHoldsEverything() throws {
    let source = Self.backwards(70)
    var keys = [try Self.kernel(source).key]
    for change: (inout CUDASource) -> Void in [
      { $0.text += "\n" }, { $0.launches[0].threads = 32 }, { $0.launches[0].blocks += 1 },
      { $0.launches[1].sharedBytes = 0 }, { $0.options = ["--use_fast_math"] },
    ] {
      var changed = source
      change(&changed)
      keys.append(try Self.kernel(changed).key)
    }
    let older = CUDADevice(capability: 75, multiprocessors: 40)
    keys.append(
      try CUDAKernel(
        source, inputs: [BufferType(.int32, [70])], outputs: [BufferType(.float32, [70])], for: older
      ).key)
    #expect(Set(keys).count == keys.count)
    #expect(try Self.kernel(source).key == keys[0])
  }

  /// An operation with code for both kinds of device, as a graph has it.
  struct Backwards: Operation {
    static let schema = Schema(
      "BackwardSquares", inputs: ["x": "T"], outputs: ["y": "T"], types: ["T": .init([.float32])])
    var differentiation: Differentiation { .none("it is a test") }
    func infer(_ operands: [Operand], _ context: InferenceContext) -> [Inference] {
      [Inference(.float32, operands[0].shape)]
    }
    func lowering(_ l: inout LoweringContext) -> Lowering {
      .host(
        HostFunction(cuda: backwards(l.operandShape(0)[0], of: .float32)) { operands in
          let x = operands[0].scalars(as: Float.self)
          return [Tensor(x.reversed().map { $0 * $0 })]
        })
    }
  }

  @Test func anOperationBringsIt() throws {
    let graph = Graph()
    let x = graph.constant(Tensor([1, 2, 3] as [Float]))
    let y = graph.addOne(Backwards(), [x])
    let session = try Session(graph)
    #expect(try session.run(y).doubles() == [9, 4, 1])
    var context = LoweringContext(
      operands: [Operand(.tensor(.float32, [3]))], results: [TensorType(.float32, [3])], name: "y")
    guard case .host(let function) = Backwards().lowering(&context), let source = function.cuda else {
      Issue.record("no CUDA code")
      return
    }
    let types = [BufferType(.float32, [3])]
    let kernel = try CUDAKernel(source, inputs: types, outputs: types, for: Self.device)
    #expect(kernel.launches.map(\.entry) == ["square", "backwards"])
  }
}

/// What NVRTC says of them.
@Suite(.enabled(if: CompilationTests.isThere, "NVRTC is not installed: run 'make setup-cuda-test'"))
struct CustomCompilationTests {
  private func compile(_ sources: CUDASource...) throws -> [CUDAImage] {
    let kernels = try sources.map { try CustomKernelTests.kernel($0) }
    return try CompilationTests.compiler.get().compile(kernels, for: CustomKernelTests.device, cache: .off)
  }

  private func expectRefusal(_ source: CUDASource, _ words: String...) {
    let error = #expect(throws: Diagnostic.self) { _ = try compile(source) }
    for word in words { #expect("\(error!)".contains(word), "\(error!)") }
  }

  @Test func codeWithEqualNamesIsKeptApart() throws {
    let images = try compile(CustomKernelTests.backwards(70), CustomKernelTests.backwards(70, bound: "i < 69"))
    #expect(images.count == 2 && images.allSatisfy { $0.keys.count == 1 })
  }

  @Test func mistakesCarryTheUsersLine() {
    let line = #line + 4
    expectRefusal(
      CUDASource(
        """
        extern "C" __global__ void f(const int* x, float* y, const long long* run, martlet_status* status) {
          y[threadIdx.x] = missing;
        }
        """, launches: [.init("f", blocks: 1, threads: 32)]),
      "CustomKernelTests.swift(\(line + 1))", "identifier \"missing\" is undefined", "CustomKernelTests.swift:\(line)")
    expectRefusal(
      CUDASource("not C", launches: [.init("f", blocks: 1, threads: 32)], file: "A \"b\"\\c.swift", line: 77),
      "A 'b'/c.swift(77)")
  }

  @Test func wrongDeclarationsAreTold() {
    let launches = [CUDASource.Launch("f", blocks: 1, threads: 32)]
    expectRefusal(
      CUDASource(
        "extern \"C\" __global__ void f(int* x, float* y, const long long* run, martlet_status* status) {}",
        launches: launches),
      "f must be declared as", "void f(const int*, float*, const long long*, martlet_status*)")
    expectRefusal(
      CUDASource(
        "__global__ void f(const int* x, float* y, const long long* run, martlet_status* status) {}",
        launches: launches),
      "there is no entry point 'f'", "extern \"C\" __global__")
    expectRefusal(CUDASource("static int g;", launches: launches), "\"f\"")
  }

  @Test func sharedMemoryThatIsTooMuchIsTold() {
    expectRefusal(
      CUDASource(
        """
        extern "C" __global__ void f(const int* x, float* y, const long long* run, martlet_status* status) {
          __shared__ volatile float all[8192];
          all[threadIdx.x] = x[0];
          y[0] = all[x[1]];
        }
        """, launches: [.init("f", blocks: 1, threads: 32, sharedBytes: 200_000)]),
      "takes too much shared memory", "32768 declared and 200000 dynamic")
  }
}
