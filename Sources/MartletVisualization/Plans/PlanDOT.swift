import MartletGraph
import MartletScheduling
import MartletTensors

/// Draws execution plans in DOT, for Graphviz.
///
/// The instructions of a block stand one below the other in the order of the run, in several columns if there are many.
/// Each says what it reads from outside and what it writes, and where in the arena. The bar at its foot is the arena, from
/// its first byte at the left to its last at the right: what is written now is dark, what others will still read is
/// lighter, scratch memory is orange. Edges are values that lie in the arena, from the instruction that writes one to those
/// that read it.
public struct PlanDOT: Sendable {
  /// How many instructions stand in one column at most.
  public var columnHeight: Int
  /// Into how many parts the bar divides the arena.
  public var barResolution: Int

  public init(columnHeight: Int = 40, barResolution: Int = 64) {
    (self.columnHeight, self.barResolution) = (columnHeight, barResolution)
  }

  public func text(_ plan: ExecutionPlan, title: String = "plan") -> String {
    var writer = DOTWriter(title: title)
    let kernels = plan.kernels.count
    writer.subtitle =
      "\(plan.instructionCount) instructions, \(kernels) kernel\(kernels == 1 ? "" : "s"), arena "
      + "\(AttributeText.bytes(plan.arenaBytes)), peak \(AttributeText.bytes(plan.peakBytes))"
    for number in plan.blocks.indices {
      let block = plan.blocks[number]
      let cluster = number == 0 ? writer.root : writer.root.child("block \(number) \(block.name)")
      BlockDrawing(plan, block: number, options: self).draw(in: cluster, &writer)
    }
    drawPorts(plan, &writer)
    return writer.text()
  }

  /// The feeds above the first column, each with edges to its readers, and the fetches below their writers.
  private func drawPorts(_ plan: ExecutionPlan, _ writer: inout DOTWriter) {
    guard let main = plan.blocks.first else { return }
    for (i, port) in plan.arguments.enumerated() {
      writer.root.nodes.append(
        DOTWriter.Node(
          id: "a\(i)", label: DOTLabel(port.name, [AttributeText.short(port.type)]), style: .placeholder, tooltip: ""))
      let readers = main.instructions.indices.filter { main.instructions[$0].operands.contains(port.slot) }
      for (k, reader) in readers.enumerated() {
        writer.edges.append(
          DOTWriter.Edge(from: "a\(i)", to: "b0_i\(reader)", label: "", kind: k == 0 ? .data : .far, isRanking: k == 0))
      }
    }
    for (i, port) in plan.results.enumerated() {
      writer.root.nodes.append(
        DOTWriter.Node(
          id: "r\(i)", label: DOTLabel(port.name, [AttributeText.short(port.type)]), style: .result, tooltip: ""))
      if let last = main.instructions.lastIndex(where: { $0.results.contains(port.slot) }) {
        writer.edges.append(DOTWriter.Edge(from: "b0_i\(last)", to: "r\(i)", label: "", kind: .data))
      }
    }
  }
}
