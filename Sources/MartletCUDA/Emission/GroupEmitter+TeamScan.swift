import MartletGraph
import MartletLoopIR
import MartletTensors

extension GroupEmitter {
  /// A scan whose steps can be taken in any grouping: a warp or a block goes along each line, a tile at a time.
  ///
  /// In a tile each thread has `lanes` neighbouring elements. It combines its own, shuffles combine those of the threads of a
  /// warp, and shared memory those of the warps; what comes before the tile is carried along. A line may be cut into
  /// chunks for blocks of their own: then a launch before leaves what each chunk comes to in `totals`. Elements beyond the
  /// line's end repeat its last ones, and nothing that is stored depends on them.
  func teamScan(threads: Int, lanes: Int, chunks: Int, totals: Int?) {
    let number = group.stages.lowerBound
    guard case .scan(let scan) = stage(number).kind, stage(number).result.elementCount > 0 else { return }
    precondition(chunks == 1 || threads > CUDADevice.warp, "a warp goes along a whole line")
    if chunks > 1 { TeamScan(self, scan, threads, lanes, chunks, totals, isTotalling: true).run() }
    TeamScan(self, scan, threads, lanes, chunks, totals, isTotalling: false).run()
  }
}

/// Writes one launch of a scan by teams.
private struct TeamScan {
  private let emitter: GroupEmitter
  private let kernel: KernelEmitter
  private let stage: Stage
  private let scan: Scan
  private let combination: (operation: ScalarOperation, update: ScalarID)
  private let threads: Int
  private let lanes: Int
  private let chunks: Int
  /// The array with what each chunk of each line comes to.
  private let totals: Int?
  /// Whether the launch writes these instead of the result.
  private let isTotalling: Bool

  private var type: ElementType { stage.result.elementType }
  private var name: String { type.cudaType }
  private var warps: Int { threads / CUDADevice.warp }

  init(
    _ emitter: GroupEmitter, _ scan: Scan, _ threads: Int, _ lanes: Int, _ chunks: Int, _ totals: Int?,
    isTotalling: Bool
  ) {
    self.emitter = emitter
    (kernel, stage) = (emitter.kernel, emitter.stages[0])
    (self.scan, self.threads, self.lanes) = (scan, threads, lanes)
    (self.chunks, self.totals, self.isTotalling) = (chunks, totals, isTotalling)
    guard let combination = scan.combination(kernel.program.scalars) else {
      preconditionFailure("a scan whose steps must be taken one after the other")
    }
    self.combination = combination
  }

  func run() {
    var others = stage.extents
    let length = others.remove(at: scan.axis)
    let count = others.reduce(1, *) * chunks
    let teams = warps > 1 ? 1 : 4
    kernel.entry(blocks: (count + teams - 1) / teams, threads: threads * teams) { writer in
      let exchange = warps > 1 ? writer.shared(type, warps) : nil
      let states = exchange.map { writer.buffers[$0].name }
      writer.line("const int thread = threadIdx.x % \(threads);")
      let index = EntryWriter.indexType(count)
      let first = teams > 1 ? "(\(index))blockIdx.x * \(teams) + threadIdx.x / \(threads)" : "blockIdx.x"
      writer.strided(
        "\(index) job", from: first, below: "\(count)", by: "(\(index))gridDim.x * \(teams)",
        isOnce: kernel.isOnce(count, forBlock: teams, threads: threads * teams)
      ) {
        let job = writer.axis(count, "job")
        let line = writer.scalars.floorDivide(job, writer.scalars.integer(chunks))
        scan(writer, at: writer.indices(line, others), length: length, states)
      }
    }
  }

  /// The statements for one line, or one of its chunks.
  private func scan(_ writer: EntryWriter, at others: [Scalar], length: Int, _ states: String?) {
    let vectors = length / lanes
    let tiles = (vectors + threads - 1) / threads
    let perChunk = (tiles + chunks - 1) / chunks
    let index = EntryWriter.indexType(length)
    let start = kernel.translate([scan.initial], into: writer, axes: [])[0]
    writer.line("\(name) before = \(writer.text(start));")
    if chunks > 1 {
      writer.line("const int chunk = (int)(job % \(chunks));")
      if let totals, !isTotalling {
        writer.block("for (int k = 0; k < chunk; k++)") {
          combine(writer, "before", with: "\(writer.buffers[totals].name)[job - chunk + k]")
        }
      }
    }
    let begin = chunks > 1 ? "chunk * \(perChunk)" : "0"
    writer.line("const \(index) first = \(begin);")
    if chunks > 1 {
      writer.line("const \(index) last = first + \(perChunk) < \(tiles) ? first + \(perChunk) : \(tiles);")
    }
    writer.line("#pragma unroll 1")
    writer.block("for (\(index) tile = first; tile < \(chunks > 1 ? "last" : "\(tiles)"); tile++)") {
      tile(writer, at: others, length: length, states)
    }
    if let totals, isTotalling {
      writer.line("if (thread == 0) \(writer.buffers[totals].name)[job] = before;")
    }
  }

  private func tile(_ writer: EntryWriter, at others: [Scalar], length: Int, _ states: String?) {
    let vectors = length / lanes
    let index = EntryWriter.indexType(length)
    writer.line("const \(index) own = tile * \(threads) + thread;")
    writer.line("const bool isInside = own < \(vectors);")
    writer.line("const \(index) vector = isInside ? own : \(vectors - 1);")
    let axis = writer.axis(vectors, "vector")
    let place = writer.scalars.sum([(axis, lanes), (writer.laneAxis(lanes), 1)])
    let position = scan.isReversed ? writer.scalars.subtract(writer.scalars.integer(length - 1), place) : place
    var axes = others
    axes.insert(position, at: scan.axis)
    let updates = writer.texts(kernel.translate([combination.update], into: writer, axes: axes).map(\.id))[0]
    let own = (0..<lanes).map { _ in writer.name("t") }
    for lane in 0..<lanes {
      let update = updates.isNarrow ? "(\(name))\(updates.text(lane))" : updates.text(lane)
      let value = lane == 0 ? update : combined(writer, own[lane - 1], update)
      writer.line("const \(name) \(own[lane]) = \(value);")
    }
    writer.line("\(name) sum = \(own[lanes - 1]);")
    writer.line("#pragma unroll")
    writer.block("for (int distance = 1; distance < 32; distance *= 2)") {
      writer.line("const \(name) earlier = m_earlier(sum, distance);")
      writer.line("if (thread % 32 >= distance) sum = \(combined(writer, "earlier", "sum"));")
    }
    if !isTotalling { writer.line("const \(name) left = m_earlier(sum, 1);") }
    if let states {
      writer.line("if (thread % 32 == 31) \(states)[thread / 32] = sum;")
      writer.line("__syncthreads();")
    }
    if !isTotalling { stores(writer, axes: axes, own: own, states) }
    carry(writer, states)
  }

  private func stores(_ writer: EntryWriter, axes: [Scalar], own: [String], _ states: String?) {
    writer.line("\(name) prefix = before;")
    if let states {
      writer.line("#pragma unroll 1")
      writer.block("for (int k = 0; k < thread / 32; k++)") { combine(writer, "prefix", with: "\(states)[k]") }
    }
    writer.block("if (thread % 32 > 0)") { combine(writer, "prefix", with: "left") }
    let results = (0..<lanes).map { lane in
      let last = scan.isExclusive ? lane - 1 : lane
      return last < 0 ? "prefix" : combined(writer, "prefix", own[last])
    }
    let offset = writer.offset(axes, stage.extents)
    let value = EntryWriter.Value(texts: results, isNarrow: false)
    writer.block("if (isInside)") {
      for buffer in kernel.memory[emitter.group.stages.lowerBound] {
        emitter.store(writer, buffer, at: offset, value, lanes: lanes)
      }
    }
  }

  /// What comes before the next tile; where a chunk is added up, before the first tile there is nothing.
  private func carry(_ writer: EntryWriter, _ states: String?) {
    guard let states else {
      writer.line("const \(name) whole = m_last(sum);")
      return combine(writer, "before", with: "whole")
    }
    let head = isTotalling ? "for (int k = tile == first; k < \(warps); k++)" : "for (int k = 0; k < \(warps); k++)"
    if isTotalling { writer.line("if (tile == first) before = \(states)[0];") }
    writer.line("#pragma unroll 1")
    writer.block(head) { combine(writer, "before", with: "\(states)[k]") }
    writer.line("__syncthreads();")
  }

  /// Combines what comes later with the state in a variable.
  private func combine(_ writer: EntryWriter, _ variable: String, with later: String) {
    writer.line("\(variable) = \(combined(writer, variable, later));")
  }

  private func combined(_ writer: EntryWriter, _ earlier: String, _ later: String) -> String {
    let (earlier, later) = (writer.register(type, earlier), writer.register(type, later))
    return writer.text(writer.scalars.row(combination.operation, type, earlier, later))
  }
}
