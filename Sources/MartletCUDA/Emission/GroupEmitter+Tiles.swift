import MartletLoopIR
import MartletTensors

extension GroupEmitter {
  /// A map that reads along axis `axis` and writes along the last: blocks of `size` × `size` elements, loaded along the one and
  /// stored along the other, so that both go from element to element.
  func tiles(axis: Int, size: Int) {
    let number = group.stages.lowerBound
    let stage = stage(number)
    guard case .map(let root) = stage.kind else { preconditionFailure("not a map") }
    let extents = stage.extents
    guard let last = extents.lastIndex(where: { $0 > 1 }) else { preconditionFailure("a tile of one element") }
    let others = extents.indices.filter { $0 != axis && $0 != last }
    let outer = others.map { extents[$0] }
    let (along, across) = ((extents[axis] + size - 1) / size, (extents[last] + size - 1) / size)
    let blocks = outer.reduce(1, *) * along * across
    let accesses = kernel.accesses
    var moved = accesses.loads([root]).filter { load in
      let offset = accesses.offset(of: load)
      return accesses.stride(of: offset, along: axis) == 1
        && (accesses.stride(of: offset, along: last)?.magnitude ?? 0) > 8
    }
    // What there is no room for is read where it lies.
    var room = kernel.device.sharedBytes
    moved = moved.filter { load in
      let bytes = size * (size + 1) * kernel.program.scalars[load].type.byteWidth
      if bytes > room { return false }
      room -= bytes
      return true
    }
    let threads = KernelEmitter.threads
    kernel.entry(blocks: blocks, threads: threads) { writer in
      let buffers = moved.map { writer.shared(kernel.program.scalars[$0].type, size * (size + 1)) }
      let type = EntryWriter.indexType(blocks)
      let (a, b) = (EntryWriter.indexType(extents[axis]), EntryWriter.indexType(extents[last]))
      writer.line("const int column = threadIdx.x % \(size);")
      writer.strided(
        "\(type) tile", from: "blockIdx.x", below: "\(blocks)", by: "gridDim.x",
        isOnce: kernel.isOnce(blocks, forBlock: 1, threads: threads)
      ) {
        writer.line("const \(type) outer = tile / \(along * across);")
        writer.line("const \(a) firstRead = (\(a))(tile / \(across) % \(along)) * \(size);")
        writer.line("const \(b) firstWritten = (\(b))(tile % \(across)) * \(size);")
        func elements(_ read: String, _ written: String, _ body: (_ axes: [Scalar]) -> Void) {
          writer.block("for (int k = threadIdx.x / \(size); k < \(size); k += \(threads / size))") {
            let (i, j) = (writer.name("i"), writer.name("j"))
            writer.line("const \(a) \(i) = firstRead + \(read);")
            writer.line("const \(b) \(j) = firstWritten + \(written);")
            writer.block("if (\(i) < \(extents[axis]) && \(j) < \(extents[last]))") {
              let around = writer.indices(writer.axis(outer.reduce(1, *), "outer"), outer)
              var axes = extents.map { _ in writer.scalars.integer(0) }
              for (position, index) in zip(others, around) { axes[position] = index }
              axes[axis] = writer.axis(extents[axis], i)
              axes[last] = writer.axis(extents[last], j)
              body(axes)
            }
          }
        }
        elements("column", "k") { axes in
          let texts = writer.texts(kernel.translate(moved, into: writer, axes: axes).map(\.id))
          for (buffer, text) in zip(buffers, texts) {
            writer.line("\(writer.buffers[buffer].name)[k * \(size + 1) + column] = \(text.texts[0]);")
          }
        }
        writer.line("__syncthreads();")
        elements("k", "column") { axes in
          var replacing: [ScalarID: Scalar] = [:]
          for (load, buffer) in zip(moved, buffers) {
            let element = "\(writer.buffers[buffer].name)[column * \(size + 1) + k]"
            replacing[load] = writer.register(writer.buffers[buffer].elementType, element)
          }
          let value = writer.text(kernel.translate([root], into: writer, axes: axes, replacing: replacing)[0])
          let offset = writer.text(writer.offset(axes, extents))
          for target in kernel.memory[number] { writer.line("\(writer.buffers[target].name)[\(offset)] = \(value);") }
        }
        writer.line("__syncthreads();")
      }
    }
  }
}
