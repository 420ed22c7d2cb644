import MartletGraph
import MartletLoopIR
import MartletTensors

extension GroupEmitter {
  /// A scan: a thread for each line, which goes along it.
  func lines() {
    let number = group.stages.lowerBound
    let extents = stage(number).extents
    guard case .scan(let scan) = stage(number).kind else { preconditionFailure("not a scan") }
    if extents.contains(0) { return }
    var others = extents
    others.remove(at: scan.axis)
    let length = extents[scan.axis]
    let count = others.reduce(1, *)
    let threads = 64
    kernel.entry(blocks: (count + threads - 1) / threads, threads: threads) { writer in
      gridLoop(writer, count, threads: threads) { line in
        let type = stage(number).result.elementType
        let state = writer.name("t")
        let start = kernel.translate([scan.initial], into: writer, axes: [])[0]
        writer.line("\(type.kernelType) \(state) = \(writer.text(start));")
        let step = writer.name("k")
        let stepType = EntryWriter.indexType(length)
        let axis = writer.axis(length, step)
        writer.block("for (\(stepType) \(step) = 0; \(step) < \(length); \(step)++)") {
          let position = scan.isReversed ? writer.scalars.subtract(writer.scalars.integer(length - 1), axis) : axis
          var axes = writer.indices(line, others)
          axes.insert(position, at: scan.axis)
          let soFar = writer.register(type, state)
          let next = kernel.translate([scan.step], into: writer, axes: axes, states: [soFar])[0]
          let offset = writer.offset(axes, extents)
          func write() {
            for buffer in kernel.memory[number] {
              writer.line("\(writer.buffers[buffer].name)[\(writer.text(offset))] = \(state);")
            }
          }
          let value = writer.text(next)
          if scan.isExclusive { write() }
          writer.line("\(state) = \(value);")
          if !scan.isExclusive { write() }
        }
      }
    }
  }
}
