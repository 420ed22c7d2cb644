import Foundation
import Martlet
import Testing

@testable import MartletScheduling
@testable import MartletVisualization

@Suite struct PlanDOTTests {
  /// Three copies through the arena: from the feed to bytes 0 to 64, on to bytes 64 to 128, and to the fetch.
  static var plan: ExecutionPlan {
    var plan = ExecutionPlan()
    let type = TensorType(.float32, [16])
    plan.slots = [
      PlanSlot(place: .argument(0), byteCount: 64, type: type, name: "x"),
      PlanSlot(place: .arena(0), byteCount: 64, type: type, name: "a"),
      PlanSlot(place: .arena(64), byteCount: 64, type: type, name: "b"),
      PlanSlot(place: .result(0), byteCount: 64, type: type, name: "y"),
    ]
    plan.arguments = [PlanPort(name: "x", type: type, slot: 0)]
    plan.results = [PlanPort(name: "y", type: type, slot: 3)]
    plan.origins = ["a", "b", "y"].map { PlanOrigin(operation: "Identity", name: $0, site: .unknown) }
    plan.arenaBytes = 128
    plan.blocks = [PlanBlock(name: "main", instructions: (0..<3).map { copy(from: $0, to: $0 + 1, origin: $0) })]
    return plan
  }

  static func copy(from operand: Int, to result: Int, origin: Int) -> PlanInstruction {
    PlanInstruction(action: .copy, operands: [operand], results: [result], scratch: [], origin: origin, isWide: false)
  }

  @Test("Instructions, ports, order and values")
  func text() {
    let bar = "<table border=\"0\" cellborder=\"0\" cellspacing=\"0\" cellpadding=\"0\"><tr>"
    func cell(_ width: Int, _ color: String) -> String {
      "<td fixedsize=\"true\" width=\"\(width)\" height=\"7\" bgcolor=\"\(color)\"></td>"
    }
    func node(_ number: Int, _ name: String, _ details: String, _ cells: String) -> String {
      let small = "<font point-size=\"8\" color=\"#3e4c59\">"
      return "  b0_i\(number) [label=<<table border=\"0\" cellborder=\"0\" cellspacing=\"0\" cellpadding=\"2\"><tr><td>"
        + "<b>\(number)  Identity</b><br/>\(small)\(name)</font><br/>\(small)\(details)</font></td></tr>"
        + "<tr><td>\(bar)\(cells)</tr></table></td></tr></table>>, fillcolor=\"#e9ecef\", tooltip=\"\(name)\"]"
    }
    let expected = [
      // The second half of the arena is free, then the first is read and the second written, then the second is read.
      node(0, "a", "→ 16, 64 B at 0 B", cell(6, "#243b53") + cell(6, "#ffffff")),
      node(1, "b", "→ 16, 64 B at 64 B", cell(6, "#627d98") + cell(6, "#243b53")),
      node(2, "y", "→ result y", cell(6, "#ffffff") + cell(6, "#627d98")),
      "  a0 [label=<<b>x</b><br/><font point-size=\"8\" color=\"#3e4c59\">16</font>>, shape=cds, style=filled, "
        + "margin=\"0.22,0.1\", fillcolor=\"#cdebcf\"]",
      "  r0 [label=<<b>y</b><br/><font point-size=\"8\" color=\"#3e4c59\">16</font>>, shape=cds, style=filled, "
        + "margin=\"0.22,0.1\", fillcolor=\"#b5ded6\"]",
      "  b0_i0 -> b0_i1 [label=\"16\", weight=50]",
      "  b0_i1 -> b0_i2 [label=\"16\", weight=50]",
      "  a0 -> b0_i0",
      "  b0_i2 -> r0",
      "}", "",
    ]
    let text = PlanDOT(barResolution: 4).text(Self.plan)
    #expect(text.contains("3 instructions, 0 kernels, arena 128 B, peak 192 B"))
    #expect(GraphDOTTests.body(text) == expected.joined(separator: "\n"))
  }

  @Test("A value lives from its writer to its last reader")
  func lifetimes() {
    var plan = Self.plan
    // The first value is read again at the end.
    plan.blocks[0].instructions[2].operands = [2, 1]
    let memory = ArenaLifetimes(plan, plan.blocks[0].instructions)
    #expect(memory.cells(at: 0, resolution: 2) == [.written, .free])
    #expect(memory.cells(at: 1, resolution: 2) == [.read, .written])
    #expect(memory.cells(at: 2, resolution: 2) == [.read, .read])
    plan.blocks[0].instructions[1].operands = [0]
    #expect(ArenaLifetimes(plan, plan.blocks[0].instructions).cells(at: 1, resolution: 2) == [.live, .written])
  }

  @Test("Many instructions stand in columns of about the same length")
  func columns() {
    var plan = Self.plan
    plan.blocks[0].instructions = (0..<10).map { _ in Self.copy(from: 0, to: 3, origin: 0) }
    let text = PlanDOT(columnHeight: 4).text(plan)
    #expect(text.contains("{ rank=same; b0_i0; b0_i4; b0_i8 }"))
    #expect(text.contains("b0_i0 -> b0_i4 [style=invis"))
    #expect(!text.contains("b0_i3 -> b0_i4"))
  }

  @Test("Branches are blocks of their own")
  func branches() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let isTrue = graph.placeholder(.bool, shape: [], name: "isTrue")
    let y = cond(isTrue, name: "choice", then: { tanh(x) }, else: { exp(x) })
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    let plan = try session.plan(
      for: [y], feeds: [x: TensorType(.float32, [4]), isTrue: TensorType(.bool, [])])
    let text = PlanDOT().text(plan)
    #expect(text.contains("label=\"block 1 choice_true\""))
    #expect(text.contains("label=\"block 2 choice_false\""))
    #expect(text.contains("b0_i0 -> b1_i0 [label=\"then\", style=dotted, penwidth=1.2]"))
    #expect(text.contains("b0_i0 -> b2_i0 [label=\"else\", style=dotted, penwidth=1.2]"))
  }
}
