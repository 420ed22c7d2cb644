import MartletGraph
import MartletLoopIR
import MartletTensors

extension GroupEmitter {
  /// A scatter: a launch writes the initial elements, another combines the updates.
  ///
  /// Each block owns a range of the result's leading positions. It goes through all updates in their order, 256 at a time: its
  /// threads compute a position each, the updates that fall into the range are put into a list without changing their order, and
  /// then every thread combines those of its own position and column. So the order is that of the definition.
  func owners(ranges: Int, width columns: Int) {
    let number = group.stages.lowerBound
    let stage = stage(number)
    guard case .scatter(let scatter) = stage.kind else { preconditionFailure("not a scatter") }
    if stage.result.elementCount == 0 { return }
    initial(scatter, number)
    if scatter.updateExtents.contains(0) { return }
    let trailing = Array(scatter.passing(stage, kernel.program.scalars))
    let width = trailing.reduce(1, *)
    let tiles = (width + columns - 1) / columns
    let threads = KernelEmitter.threads
    kernel.entry(blocks: tiles * ranges, threads: threads, isExact: true) { writer in
      owners(writer, scatter, number, trailing: trailing, columns: columns, tiles: tiles, ranges: ranges)
    }
  }

  /// The launch that writes the elements before any update.
  private func initial(_ scatter: Scatter, _ number: Int) {
    let stage = stage(number)
    let count = stage.result.elementCount
    let threads = KernelEmitter.threads
    kernel.entry(blocks: (count + threads - 1) / threads, threads: threads) { writer in
      gridLoop(writer, count, threads: threads) { flat in
        let axes = writer.indices(flat, stage.extents)
        let value = writer.text(kernel.translate([scatter.initial], into: writer, axes: axes)[0])
        for buffer in kernel.memory[number] {
          writer.line("\(writer.buffers[buffer].name)[\(writer.text(flat))] = \(value);")
        }
      }
    }
  }

  /// A scatter: a launch writes the initial elements, in another a thread combines each update as soon as it has it.
  func atomics() {
    let number = group.stages.lowerBound
    let stage = stage(number)
    guard case .scatter(let scatter) = stage.kind,
      let (operation, update) = scatter.atomic(stage, kernel.program.scalars)
    else { preconditionFailure("not a scatter by atomic operations") }
    if stage.result.elementCount == 0 { return }
    initial(scatter, number)
    let count = scatter.updateExtents.reduce(1, *)
    if count == 0 { return }
    let threads = KernelEmitter.threads
    kernel.entry(blocks: (count + threads - 1) / threads, threads: threads) { writer in
      gridLoop(writer, count, threads: threads) { flat in
        let axes = writer.indices(flat, scatter.updateExtents)
        let position = kernel.translate(scatter.position, into: writer, axes: axes)
        let isInside = self.isInside(writer, position, stage.extents)
        let texts = writer.texts([isInside.id, writer.offset(position, stage.extents).id])
        writer.block("if (\(texts[0].texts[0]))") {
          let value = writer.text(kernel.translate([update], into: writer, axes: axes)[0])
          for buffer in kernel.memory[number] {
            writer.line("m_atomic_\(operation)(\(writer.buffers[buffer].name) + \(texts[1].texts[0]), \(value));")
          }
        }
      }
    }
  }

  /// Whether a position is one of an array's.
  private func isInside(_ writer: EntryWriter, _ position: [Scalar], _ extents: [Int]) -> Scalar {
    zip(position, extents).reduce(writer.scalars.boolean(true)) { isInside, item in
      let isLow = writer.scalars.lessEqual(writer.scalars.integer(0), item.0)
      let isHigh = writer.scalars.less(item.0, writer.scalars.integer(item.1))
      return writer.scalars.and(isInside, writer.scalars.and(isLow, isHigh))
    }
  }

  private func owners(
    _ writer: EntryWriter, _ scatter: Scatter, _ number: Int, trailing: [Int], columns: Int, tiles: Int, ranges: Int
  ) {
    let stage = stage(number)
    let threads = KernelEmitter.threads
    let width = trailing.reduce(1, *)
    let targets = Array(stage.extents.dropLast(trailing.count))
    let leading = Array(scatter.updateExtents.dropLast(trailing.count))
    let (rows, updates) = (targets.reduce(1, *), leading.reduce(1, *))
    let each = (rows + ranges - 1) / ranges
    let (row, update) = (EntryWriter.indexType(rows), EntryWriter.indexType(updates))
    let column = EntryWriter.indexType(width)
    writer.declare("__shared__ \(update) list[\(threads)];")
    writer.declare("__shared__ \(row) rows[\(threads)];")
    writer.declare("__shared__ int counts[\(threads / CUDADevice.warp)];")
    writer.line("const \(row) low = (\(row))(blockIdx.x / \(tiles)) * \(each);")
    writer.line("const \(row) high = low + \(each) < \(rows) ? low + \(each) : \(rows);")
    writer.line("const \(column) x = (\(column))(blockIdx.x % \(tiles)) * \(columns) + threadIdx.x % \(columns);")
    writer.line("const int warp = threadIdx.x / 32, share = threadIdx.x / \(columns);")
    writer.block("for (\(update) first = 0; first < \(updates); first += \(threads))") {
      writer.line("const \(update) mine = first + threadIdx.x;")
      writer.line("\(row) target = -1;")
      writer.block("if (mine < \(updates))") {
        let axes = writer.indices(writer.axis(updates, "mine"), leading)
        // The trailing positions are the axes themselves, and no other depends on them.
        let all = axes + trailing.map { _ in writer.scalars.integer(0) }
        let position = kernel.translate(Array(scatter.position.prefix(targets.count)), into: writer, axes: all)
        let isInside = self.isInside(writer, position, targets)
        let texts = writer.texts([isInside.id, writer.offset(position, targets).id])
        writer.line("if (\(texts[0].texts[0])) target = (\(row))\(texts[1].texts[0]);")
      }
      writer.line("const bool isMine = target >= low && target < high;")
      writer.line("const unsigned votes = __ballot_sync(0xffffffffu, isMine);")
      writer.line("if (threadIdx.x % 32 == 0) counts[warp] = __popc(votes);")
      writer.line("__syncthreads();")
      writer.line("int place = __popc(votes & ((1u << threadIdx.x % 32) - 1)), found = 0;")
      writer.block("for (int w = 0; w < \(threads / CUDADevice.warp); w++)") {
        writer.line("if (w < warp) place += counts[w];")
        writer.line("found += counts[w];")
      }
      writer.block("if (isMine)") {
        writer.line("list[place] = mine;")
        writer.line("rows[place] = target;")
      }
      writer.line("__syncthreads();")
      writer.block("for (int j = 0; j < found && x < \(width); j++)") {
        let isShared = columns < threads
        writer.line("const \(row) at = rows[j];")
        if isShared { writer.line("if (at % \(threads / columns) != share) continue;") }
        writer.line("const \(update) u = list[j];")
        let axes =
          writer.indices(writer.axis(updates, "u"), leading) + writer.indices(writer.axis(width, "x"), trailing)
        let place = writer.scalars.sum([(writer.axis(rows, "at"), width), (writer.axis(width, "x"), 1)])
        let offset = writer.text(place)
        let buffers = kernel.memory[number].map { writer.buffers[$0].name }
        writer.line("const \(stage.result.elementType.kernelType) old = \(buffers[0])[\(offset)];")
        let old = writer.register(stage.result.elementType, "old")
        let value = writer.text(kernel.translate([scatter.combine], into: writer, axes: axes, states: [old])[0])
        for buffer in buffers { writer.line("\(buffer)[\(offset)] = \(value);") }
      }
      writer.line("__syncthreads();")
    }
  }
}
