import MartletGraph
import MartletLoopIR
import MartletTensors

/// Writes the entry points of a program under a schedule.
///
/// Every entry point takes the same arguments: the addresses of inputs, outputs and temporaries, the run's parameters, and
/// the status. Each group of the schedule is one entry, a scatter two.
final class KernelEmitter {
  let program: StageProgram
  let schedule: CUDASchedule
  let device: CUDADevice
  let accesses: StageAccesses
  /// The arguments: inputs, outputs, temporaries.
  private(set) var arguments: [EntryWriter.Buffer] = []
  private(set) var temporaries: [BufferType] = []
  /// For each stage, the arguments that hold its result; the first is the one to read.
  private(set) var memory: [[Int]]
  /// For each scan in chunks, by its stage, the argument with what they come to.
  private(set) var totals: [Int: Int] = [:]
  private(set) var entries: [Entry] = []

  /// An entry point and how it is launched; it has no name yet.
  struct Entry {
    var blocks: Int
    var threads: Int
    var parameters: String
    var body: String

    func text(name: String) -> String {
      // Without a number of blocks the assembler aims at fewer than 64 registers, and spills where no more threads would run
      // for it.
      "extern \"C\" __global__ void __launch_bounds__(\(threads), \(min(16, 1024 / threads))) \(name)(\(parameters)) {\n\(body)\n}\n"
    }
  }

  /// Threads of a block where nothing else decides.
  static let threads = 256

  /// - Parameter program: After the schedule's splits; its outputs are stages.
  init(_ program: StageProgram, _ schedule: CUDASchedule, _ device: CUDADevice) {
    self.program = program
    self.schedule = schedule
    self.device = device
    accesses = StageAccesses(program)
    memory = Array(repeating: [], count: program.stages.count)
    for input in program.inputs { argument(input) }
    for output in program.outputs {
      guard case .stage(let stage) = output else { preconditionFailure("an output that is no stage") }
      memory[stage].append(argument(program.stages[stage].result))
    }
  }

  @discardableResult
  private func argument(_ type: BufferType) -> Int {
    arguments.append(
      EntryWriter.Buffer(
        name: "a\(arguments.count)", elementType: type.elementType, elementCount: type.elementCount, isGlobal: true))
    return arguments.count - 1
  }

  private func temporary(_ stage: Int) {
    guard memory[stage].isEmpty else { return }
    temporaries.append(program.stages[stage].result)
    memory[stage] = [argument(program.stages[stage].result)]
  }

  func run() {
    for stage in accesses.stagesAcross(schedule.groups.map(\.stages)) { temporary(stage) }
    let groups = schedule.groups.map { GroupEmitter(self, $0) }
    for group in groups { for stage in group.stagesWithoutRoom() { temporary(stage) } }
    for group in groups {
      guard let type = group.chunkTotals else { continue }
      temporaries.append(type)
      totals[group.group.stages.lowerBound] = argument(type)
    }
    var next = 0
    while next < groups.count {
      let end = groups[(next + 1)...].firstIndex { !$0.group.joinsLaunch } ?? groups.count
      if end == next + 1 { groups[next].run() } else { runTogether(Array(groups[next..<end])) }
      next = end
    }
  }

  /// Blocks that keep the device busy for a while each.
  func mostBlocks(of threads: Int) -> Int { device.multiprocessors * 2048 / threads * 4 }

  /// Whether enough blocks are launched to do all of `count` iterations, `forBlock` of them by a block, at once.
  func isOnce(_ count: Int, forBlock: Int, threads: Int) -> Bool {
    (count + forBlock - 1) / forBlock <= mostBlocks(of: threads)
  }

  // MARK: Entries

  /// Adds an entry point and its launch.
  ///
  /// - Parameter blocks: How many blocks would do all of the work; more than keep the device busy are not launched, so the
  ///   body must be a loop over `blockIdx.x` in steps of `gridDim.x` unless `isExact`.
  func entry(blocks: Int, threads: Int, isExact: Bool = false, _ body: (EntryWriter) -> Void) {
    let writer = EntryWriter(arguments: arguments)
    body(writer)
    let parameters = arguments.indices.map { i in
      let isConstant = i < program.inputs.count
      return "\(isConstant ? "const " : "")\(arguments[i].elementType.kernelType)* \(arguments[i].name)"
    }
    let signature = (parameters + ["const m_long* params", "m_status* status"]).joined(separator: ", ")
    entries.append(
      Entry(
        blocks: isExact ? blocks : min(blocks, mostBlocks(of: threads)), threads: threads, parameters: signature,
        body: writer.body.joined(separator: "\n")))
  }

  // MARK: Scalars

  /// Copies rows into an entry; `intermediate` says what stands for loads of stages that are not in memory.
  func translate(
    _ roots: [ScalarID], into writer: EntryWriter, axes: [Scalar], states: [Scalar] = [], others: [Scalar] = [],
    replacing: [ScalarID: Scalar] = [:],
    intermediate: (Int, [Scalar], Scalar?) -> Scalar? = { _, _, _ in nil }
  ) -> [Scalar] {
    // The builder is taken out while rows are added, for the closure needs the writer as a whole.
    var scalars = writer.scalars
    writer.scalars = ScalarBuilder()
    defer { writer.scalars = scalars }
    return scalars.copy(roots, from: program.scalars, axes: axes, states: states, others: others, replacing: replacing)
    {
      b, row, indices, condition in
      swap(&b, &writer.scalars)
      defer { swap(&b, &writer.scalars) }
      let source = Source(payload: row.payload)
      if case .stage(let stage) = source, let value = intermediate(stage, indices, condition) { return value }
      let buffer: Int =
        switch source {
        case .input(let i): i
        case .stage(let i): memory[i][0]
        }
      return writer.load(buffer, at: writer.offset(indices, program.type(of: source).extents), if: condition)
    }
  }
}
