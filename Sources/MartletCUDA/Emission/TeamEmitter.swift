import MartletGraph
import MartletLoopIR
import MartletTensors

/// Writes a group whose stages share leading axes: teams of threads that work on `width` neighbouring indices over these
/// axes at a time, unit after unit, with what one unit leaves for another in registers or shared memory.
///
/// Thread t of a team has index t mod width, and part t / width of the team's `parts` for each index.
final class TeamEmitter {
  let emitter: GroupEmitter
  let shared: Int
  let width: Int
  let threads: Int
  let kernel: KernelEmitter

  /// Teams in a block.
  let teams: Int
  /// The threads that share the work of one index.
  let parts: Int
  /// The indices over the shared axes.
  let count: Int
  private let isLarge: Bool

  /// The shared buffer of a stage that later units read and that has more than one element an index.
  private(set) var scratch: [Int: Int] = [:]
  /// The register of each stage that has one element an index.
  private var kept: [Int: Scalar] = [:]
  /// How the elements of rows are dealt to threads, where the group's stages have rows of one length.
  let layout: RowLayout?
  /// The index in a row, of which there is one variable in every loop over elements.
  var rowAxis: Scalar?
  /// The element of each stage that is in a thread's registers, in loops over elements.
  var held: [Int: Scalar] = [:]
  /// Arrays through which the warps of a block exchange states, by element type and component.
  private var exchanges: [String: Int] = [:]

  init(_ emitter: GroupEmitter, shared: Int, width: Int, threads: Int, layout: RowLayout? = nil) {
    self.emitter = emitter
    self.layout = layout
    (self.shared, self.width, self.threads) = (shared, width, threads)
    kernel = emitter.kernel
    isLarge = threads > CUDADevice.warp
    teams = isLarge || width > 1 ? 1 : 128 / threads
    parts = threads / width
    count = emitter.stages[0].extents.prefix(shared).reduce(1, *)
  }

  var blockThreads: Int { teams * threads }
  /// Whether the threads of a team are in one warp.
  var isInWarp: Bool { threads <= CUDADevice.warp }
  var mask: String { threads == CUDADevice.warp ? "0xffffffffu" : "mask" }
  var sync: String { isInWarp && width == 1 ? "__syncwarp(\(mask));" : "__syncthreads();" }

  // MARK: Memory

  /// The elements of a stage for one index.
  func ownCount(_ number: Int) -> Int { emitter.stage(number).extents.dropFirst(shared).reduce(1, *) }

  private func needsScratch(_ number: Int) -> Bool {
    ownCount(number) != 1 && kernel.memory[number].isEmpty && emitter.isReadLater(number) && !isHeld(number)
  }

  /// Intermediates for which there is no room in shared memory, with some left for exchanges.
  func stagesWithoutRoom() -> [Int] {
    var left = kernel.device.sharedBytes - CUDAScheduler.exchangeBytes
    return emitter.group.stages.filter { number in
      guard needsScratch(number) else { return false }
      let bytes = multipliedSaturating(
        ownCount(number) * emitter.stage(number).result.elementType.byteWidth, width * teams)
      if bytes > left { return true }
      left -= bytes
      return false
    }
  }

  // MARK: Launch

  func run() {
    if count == 0 { return }
    let blocks = (count + width * teams - 1) / (width * teams)
    kernel.entry(blocks: blocks, threads: blockThreads) { writer in
      for number in emitter.group.stages where needsScratch(number) {
        let elements = ownCount(number) * width * teams
        scratch[number] = writer.shared(emitter.stage(number).result.elementType, max(1, elements))
      }
      let type = EntryWriter.indexType(count)
      writer.line("const int thread = threadIdx.x % \(threads);")
      if teams > 1 { writer.line("const int team = threadIdx.x / \(threads);") }
      if isInWarp, threads < CUDADevice.warp {
        let all = (1 << threads) - 1
        writer.line("const unsigned mask = \(all)u << threadIdx.x % 32 / \(threads) * \(threads);")
      }
      if width > 1 { writer.line("const int x = thread % \(width);") }
      writer.line("const int part = thread / \(width);")
      if width > 1 {
        let blocks = (count + width - 1) / width
        writer.strided(
          "\(type) tile", from: "blockIdx.x", below: "\(blocks)", by: "gridDim.x",
          isOnce: kernel.isOnce(blocks, forBlock: 1, threads: blockThreads)
        ) {
          // Threads beyond the last index repeat it, and store nothing.
          writer.line("const bool isInside = tile * \(width) + x < \(count);")
          writer.line("const \(type) row = isInside ? tile * \(width) + x : \(count - 1);")
          row(writer)
        }
      } else {
        let first = teams > 1 ? "(\(type))blockIdx.x * \(teams) + team" : "blockIdx.x"
        writer.strided(
          "\(type) row", from: first, below: "\(count)", by: "(\(type))gridDim.x * \(teams)",
          isOnce: kernel.isOnce(count, forBlock: teams, threads: blockThreads)
        ) { row(writer) }
      }
    }
  }

  /// The statements for one index of each thread.
  private func row(_ writer: EntryWriter) {
    let flat = writer.axis(count, "row")
    let extents = emitter.stages[0].extents
    let runs = kernel.accesses.collapsedShared(shared, of: emitter.stages)
    let sizes = runs.map { extents[$0].reduce(1, *) }
    let axes = emitter.spread(writer, writer.indices(flat, sizes), runs, extents)
    for unit in emitter.units {
      unit.kind == .maps ? maps(writer, unit, axes) : reductions(writer, unit, axes)
      // What threads leave in memory for others of the team.
      let isRead = unit.stages.contains { kept[$0] == nil && held[$0] == nil && emitter.isReadLater($0) }
      if isRead { writer.line(sync) }
    }
    if !scratch.isEmpty { writer.line(sync) }
  }

  // MARK: Values

  /// What stands for a load of a stage of this group: a value of the same unit, a register, or shared memory.
  func intermediate(
    _ writer: EntryWriter, _ number: Int, _ indices: [Scalar], _ condition: Scalar?, _ values: [Int: Scalar]
  ) -> Scalar? {
    if let value = values[number] ?? kept[number] ?? held[number] { return writer.guarded(value, condition) }
    guard let buffer = scratch[number] else { return nil }
    return writer.load(
      buffer, at: scratchOffset(writer, number, Array(indices.dropFirst(shared))), if: condition)
  }

  func scratchOffset(_ writer: EntryWriter, _ number: Int, _ own: [Scalar]) -> Scalar {
    let strides = rowMajorStrides(Array(emitter.stage(number).extents.dropFirst(shared)))
    var terms = zip(own, strides).map { (scalar: $0, factor: $1 * width) }
    if width > 1 { terms.append((writer.axis(width, "x"), 1)) }
    if teams > 1 { terms.append((writer.axis(teams, "team"), ownCount(number) * width)) }
    return writer.scalars.sum(terms)
  }

  /// Leaves values of stages at one place of their own axes where they are read.
  ///
  /// - Parameter isSingle: Whether every part of the team has the value, of which one is to store it.
  private func keep(_ writer: EntryWriter, _ values: [(stage: Int, value: Scalar)], axes: [Scalar], isSingle: Bool) {
    let texts = writer.texts(values.map(\.value.id))
    for ((number, value), text) in zip(values, texts) where ownCount(number) == 1 && isSingle {
      let variable = writer.name("r")
      let type = value.type == .int64 ? "m_long" : value.type.kernelType
      writer.line("const \(type) \(variable) = \(text.texts[0]);")
      kept[number] = writer.register(value.type, variable)
    }
    var stores: [String] = []
    for ((number, _), text) in zip(values, texts) {
      if let buffer = scratch[number] {
        let offset = writer.text(scratchOffset(writer, number, Array(axes.dropFirst(shared))))
        stores.append("\(writer.buffers[buffer].name)[\(offset)] = \(text.texts[0]);")
      }
      if kernel.memory[number].isEmpty { continue }
      let offset = writer.text(writer.offset(axes, emitter.stage(number).extents))
      for buffer in kernel.memory[number] {
        let condition = width > 1 ? "if (isInside) " : ""
        stores.append("\(condition)\(writer.buffers[buffer].name)[\(offset)] = \(text.texts[0]);")
      }
    }
    if stores.isEmpty { return }
    if isSingle, parts > 1 {
      writer.block("if (part == 0)") { for store in stores { writer.line(store) } }
    } else {
      for store in stores { writer.line(store) }
    }
  }

  /// A loop over `extent` in which this thread takes every `step`-th, beginning with `first`.
  func loop(_ writer: EntryWriter, _ extent: Int, from first: String, by step: Int, _ body: (Scalar) -> Void) {
    let variable = writer.name("k")
    let type = EntryWriter.indexType(extent)
    let axis = writer.axis(extent, variable)
    writer.block("for (\(type) \(variable) = \(first); \(variable) < \(extent); \(variable) += \(step))") { body(axis) }
  }

  // MARK: Maps

  private func maps(_ writer: EntryWriter, _ unit: StageUnit, _ outer: [Scalar]) {
    let extents = emitter.stage(unit.stages[0]).extents
    let runs = kernel.accesses.ownRuns(unit.stages.map { emitter.stage($0) }, shared: shared).map(\.run)
    let sizes = runs.map { extents[$0].reduce(1, *) }
    let own = sizes.reduce(1, *)
    if own == 0 { return }
    func values(_ axes: [Scalar]) -> [(stage: Int, value: Scalar)] {
      var values: [Int: Scalar] = [:]
      for number in unit.stages {
        guard case .map(let root) = emitter.stage(number).kind else { preconditionFailure("not a map") }
        values[number] =
          kernel.translate([root], into: writer, axes: axes) {
            intermediate(writer, $0, $1, $2, values)
          }[0]
      }
      return unit.stages.map { ($0, values[$0]!) }
    }
    func axes(_ flat: Scalar) -> [Scalar] {
      outer + emitter.spread(writer, writer.indices(flat, sizes), runs, extents)
    }
    if own == 1 {
      let zeros = extents.dropFirst(shared).map { _ in writer.scalars.integer(0) }
      keep(writer, values(outer + zeros), axes: outer + zeros, isSingle: true)
    } else if let layout {
      rowMaps(writer, layout, unit.stages, axes) { values(axes($0)) }
    } else {
      loop(writer, own, from: "part", by: parts) { keep(writer, values(axes($0)), axes: axes($0), isSingle: false) }
    }
  }

  // MARK: Reductions

  private func reductions(_ writer: EntryWriter, _ unit: StageUnit, _ outer: [Scalar]) {
    let stages = unit.stages.map { emitter.stage($0) }
    let domain = kernel.accesses.domain(of: stages[0])
    let runs = kernel.accesses.ownRuns(stages, shared: shared)
    let kept = runs.filter { !$0.isReduced }.map(\.run)
    let reduced = runs.filter(\.isReduced).map(\.run)
    let keptSizes = kept.map { domain[$0].reduce(1, *) }
    let own = keptSizes.reduce(1, *)
    if own == 0 { return }
    func body(_ own: [Scalar], isTogether: Bool) {
      var reduction = TeamReduction(self, writer, unit, outer + own, reduced, domain, isTogether: isTogether)
      keep(writer, reduction.run(), axes: outer + own, isSingle: isTogether)
    }
    func axes(_ flat: Scalar) -> [Scalar] {
      emitter.spread(writer, writer.indices(flat, keptSizes), kept, domain)
    }
    if own == 1 {
      body(stages[0].extents.dropFirst(shared).map { _ in writer.scalars.integer(0) }, isTogether: true)
    } else if width == 1, isAlongKept(stages, domain), own >= parts / 2 || isInWarp {
      // Neighbouring threads have neighbouring results, each with a reduction of its own.
      writer.line("#pragma unroll 1")
      loop(writer, own, from: "part", by: parts) { body(axes($0), isTogether: false) }
    } else {
      // All threads go through the results together.
      writer.line("#pragma unroll 1")
      loop(writer, own, from: "0", by: 1) { body(axes($0), isTogether: true) }
    }
  }

  /// Whether more loads go from element to element along the kept axes than along reduced ones.
  private func isAlongKept(_ stages: [Stage], _ domain: [Int]) -> Bool {
    let accesses = kernel.accesses
    let rank = stages[0].extents.count
    guard let kept = (shared..<rank).last(where: { domain[$0] > 1 }) else { return false }
    var votes = 0
    for load in accesses.loads(stages.flatMap { accesses.body(of: $0) }) {
      let offset = accesses.offset(of: load)
      if accesses.stride(of: offset, along: kept)?.magnitude == 1 { votes += 1 }
      if (rank..<domain.count).contains(where: {
        domain[$0] > 1 && accesses.stride(of: offset, along: $0)?.magnitude == 1
      }) {
        votes -= 1
      }
    }
    return votes > 0
  }

  /// An array for the states of a component of all threads or warps of the block.
  func exchange(_ writer: EntryWriter, _ type: ElementType, component: Int) -> String {
    let key = "\(type.kernelType) \(component)"
    let buffer =
      exchanges[key] ?? writer.shared(type, width > 1 ? threads : max(1, threads / CUDADevice.warp))
    exchanges[key] = buffer
    return writer.buffers[buffer].name
  }
}
