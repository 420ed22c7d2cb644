import MartletCUDA
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

/// Programs that are large enough for every way of dealing work to threads, against the interpreter.
struct SampleProgramTests {
  /// For each, a word that its schedule must hold.
  static let programs: [(program: StageProgram, indexLimit: Int64, schedule: String)] = [
    // Vectors with a rest, rows that cannot be cut into vectors, broadcasts.
    (Sample.unary([40_003]) { b, x in b.tanh(x) }, 1, "elements by 4"),
    (Sample.biasAdd(300, 129), 1, "elements by 1"),
    (Sample.biasAdd(300, 128), 1, "elements by 4"),
    (Sample.biasAdd(3, 5), 1, "elements by 1"),
    (Sample.adam([70, 1000]), 1, "elements by 4"),
    (Sample.pad([30, 40, 50], before: [1, 0, 2], after: [0, 3, 2]), 1, "elements"),
    (Sample.pad([0], before: [2], after: [3]), 1, "elements"),
    // Reads along another axis.
    (Sample.transpose([190, 200], [1, 0]), 1, "tiles of 32 along axis 0"),
    (Sample.transpose([3, 70, 90, 5], [0, 3, 1, 2]), 1, "elements"),
    (Sample.transpose([3, 40, 50, 17], [0, 3, 1, 2]), 1, "tiles"),
    (Sample.transpose([5, 7], [1, 0]), 1, "elements by 1"),
    // More tiles than shared memory holds.
    (Sample.sumOfTransposed(13, 190), 1, "tiles of 32 along axis 0"),
    // Rows by parts of a warp, warps and blocks; columns; everything.
    (Sample.mean(100, 10, ofColumns: false), 1, "4 threads for rows of 1 shared axes by 2, 2 times"),
    (Sample.mean(100, 100, ofColumns: false), 1, "8 threads for rows of 1 shared axes by 4, 4 times"),
    (Sample.mean(66, 2000, ofColumns: false), 1, "128 threads for rows of 1 shared axes by 4, 4 times"),
    (Sample.mean(3, 9_000, ofColumns: false), 1, "split"),
    (Sample.mean(70, 40, ofColumns: true), 1, "256 threads for 32"),
    (Sample.sumsOfColumns(26, 70, 40), 1, "256 threads for 32"),
    (Sample.mean(5000, 40, ofColumns: true), 1, "split"),
    (Sample.mean(5003, 5, ofColumns: true), 1, "split"),
    (Sample.matrixProduct(33, 70, 35), 1, "threads for"),
    (Sample.argMax(6, 9000), 1, "split"),
    (Sample.argMax(80, 300), 1, "128 threads for rows"),
    // Stages that share rows.
    (Sample.softmax(100, 10), 1, "run s0...s3"),
    (Sample.softmax(70, 700), 1, "run s0...s3"),
    (Sample.softmax(65, 1100), 1, "run s0...s3"),
    (Sample.softmax(2, 18_000), 1, "elements"),
    (Sample.softmaxOfTwoExponentials(64, 300), 1, "run s0...s2"),
    (Sample.layerNorm(90, 768), 1, "run s0...s3: 128 threads for rows of 1 shared axes by 4, 2 times"),
    (Sample.layerNorm(300, 768), 1, "32 threads for rows of 1 shared axes by 4, 6 times"),
    (Sample.softmax(300, 102), 1, "8 threads for rows of 1 shared axes by 2, 7 times"),
    (Sample.softmax(70, 1001), 1, "128 threads for rows of 1 shared axes by 1, 8 times"),
    (Sample.softmax(64, 9_000), 1, "1024 threads for rows of 1 shared axes by 4, 3 times"),
    // Positions from data.
    (Sample.gather(rows: 50, 40, at: 300), 50, "elements"),
    (Sample.scatterAdd(rows: 50, 300, updates: 700), 50, "owners of 256 columns"),
    (Sample.scatterAdd(rows: 900, 4, updates: 700), 900, "owners of 4 columns"),
    (Sample.scatterAdd(rows: 3, 1, updates: 1500), 5, "owners of 1 columns"),
    (Sample.cumulativeSum([20, 30, 40], along: 1, reversed: true, exclusive: true), 1, "lines"),
  ]

  @Test func agree() throws {
    let cases = Self.programs.map { program, limit, schedule in
      let kernel = CUDAKernel(program, for: .h100)
      #expect("\(kernel.schedule!)".contains(schedule), "\(program)\n\(kernel.schedule!)")
      let inputs = Sample.inputs(for: program, indexLimit: limit)
      return SimulatedKernels.Case(program: program, inputs: inputs, label: program.stages[0].name)
    }
    try SimulatedKernels.check(cases) { SimulatedKernels.isClose($0, $1, tolerance: 1e-5) }
  }

  /// Rows that are too long for registers, as they would be dealt.
  @Test func longRowsAgree() throws {
    let programs = [
      Sample.mean(3, 1000, ofColumns: false), Sample.softmax(5, 1003), Sample.layerNorm(6, 900), Sample.argMax(4, 1100),
    ]
    let cases = programs.flatMap { program in
      [(32, 1), (32, 4), (128, 2), (256, 4)].compactMap { threads, lanes -> SimulatedKernels.Case? in
        guard program.inputs[0].extents[1] % lanes == 0 else { return nil }
        let shape = CUDASchedule.Shape.rows(shared: 1, threads: threads, lanes: lanes, steps: 0)
        return SimulatedKernels.Case(
          program: program, inputs: Sample.inputs(for: program), label: "\(program.stages[0].name) by \(threads)",
          kernel: CUDAKernel(
            program, for: SimulatedKernels.device,
            schedule: CUDASchedule(groups: [.init(stages: program.stages.indices, shape: shape)])))
      }
    }
    try SimulatedKernels.check(cases) { SimulatedKernels.isClose($0, $1, tolerance: 1e-5) }
  }

  @Test func aBadIndexIsReportedOnce() throws {
    let program = Sample.gather(rows: 5, 40, at: 3)
    let positions = Tensor([4, -7, 4] as [Int64])
    let inputs = [Sample.floats([5, 40], seed: 1), positions]
    let kernel = CUDAKernel(program, for: .h100)
    let found = try Simulator([kernel]).run(kernel, inputs)
    #expect(found.status == Simulator.Status(site: 7, index: -7, code: 1))
  }

  @Test func outputsThatAreInputsAreCopied() throws {
    var b = StageBuilder(inputs: [BufferType(.int64, [7])])
    let doubled = b.map("double", .int64, [7]) { b, i in
      let x = b.load(.input(0), .int64, at: i)
      return b.add(x, x)
    }
    let program = b.finish([.input(0), doubled, .input(0)])
    let input = Tensor([1, 2, 3, .max, .min, 0, -1] as [Int64])
    try SimulatedKernels.check([.init(program: program, inputs: [input], label: "copies")]) { $0.bytes == $1.bytes }
  }

  /// Maps over domains of their own, and one that needs the first of them.
  @Test func independentMapsShareALaunch() throws {
    let sizes = [70, 40_003, 1, 0, 513]
    var b = StageBuilder(inputs: sizes.map { BufferType(.float32, [$0]) })
    var outputs = sizes.enumerated().map { number, size in
      b.map("m\(number)", .float32, [size]) { b, i in
        b.multiply(b.load(.input(number), .float32, at: i), b.constant(Double(number) - 1.5, .float32))
      }
    }
    let first = outputs[0]
    outputs.append(b.map("last", .float32, [70, 2]) { b, i in b.exp(b.load(first, .float32, at: [i[0]])) })
    let program = b.finish(outputs)
    let kernel = CUDAKernel(program, for: .h100)
    #expect(kernel.launches.count == 2)
    #expect("\(kernel.schedule!)".contains("run s0...s0: elements by 1\nand s1...s1: elements by 4"))
    let inputs = Sample.inputs(for: program)
    try SimulatedKernels.check([.init(program: program, inputs: inputs, label: "maps")]) {
      SimulatedKernels.isClose($0, $1, tolerance: 1e-6)
    }
  }

  @Test func equalProgramsHaveOneSource() {
    let kernels = [Sample.biasAdd(30, 40), Sample.softmax(3, 4), Sample.biasAdd(30, 40)].map {
      CUDAKernel($0, for: .h100)
    }
    #expect(kernels[0].key == kernels[2].key && kernels[0].body == kernels[2].body && kernels[0].key != kernels[1].key)
    let source = CUDAKernel.source(kernels)
    #expect(source == CUDAKernel.source(Array(kernels.prefix(2))))
    let other = CUDAKernel(Sample.biasAdd(30, 40), for: CUDADevice(capability: 75, multiprocessors: 40))
    #expect(other.key != kernels[0].key)
  }

  @Test func inPlaceCandidates() {
    let adam = CUDAKernel(Sample.adam([70, 1000]), for: .h100)
    #expect((0..<3).map { adam.inPlaceCandidates(output: $0) } == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]])
    let square = CUDAKernel(Sample.transpose([200, 200], [1, 0]), for: .h100)
    #expect(square.inPlaceCandidates(output: 0) == [])
    let softmax = CUDAKernel(Sample.softmax(2, 18_000), for: .h100)
    #expect(softmax.inPlaceCandidates(output: 0) == [0])
  }
}
