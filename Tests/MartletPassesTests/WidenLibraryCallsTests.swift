import Foundation
import MartletGraph
import MartletPasses
import MartletRewriting
import MartletTensors
import Testing

@Suite struct WidenLibraryCallsTests {
  /// A target whose libraries know some element types.
  private struct Libraries: Target {
    var name = "cpu"
    var types: [ElementType]
    var machine = TargetMachine()
    func claims(_ contract: LibraryContract) -> Bool { types.contains(contract.elementType) }
  }

  private static let text = """
    function @main(%a: bfloat16[4, 8], %b: bfloat16[8, 8]) {
      %c = Const() {value: bfloat16[8, 2] <1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16>} : bfloat16[8, 2]
      %p = MatMul(%a, %b) {transpose_a: false, transpose_b: false} : bfloat16[4, 8]
      %q = MatMul(%a, %c) {transpose_a: false, transpose_b: false} : bfloat16[4, 2]
      %r = Relu(%q) : bfloat16[4, 2]
      return %p, %r
    }
    """

  /// Each operand is cast once, a constant beforehand.
  @Test func castsStandAroundCalls() throws {
    let lines = try GoldenPass.run(WidenLibraryCalls(), on: Self.text, target: Libraries(types: [.float32]))
      .split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    #expect(lines.count { $0.contains(" = Cast(%a)") } == 1)
    #expect(lines.count { $0.contains(" = Cast(%b)") } == 1)
    #expect(lines.contains { $0.contains("= Const() {value: float32[8, 2] <1.0, 2.0") })
    #expect(lines.count { $0.contains(" = MatMul(") && $0.hasSuffix(": float32[4, 8]") } == 1)
    #expect(lines.count { $0.contains(" = MatMul(") && $0.hasSuffix(": float32[4, 2]") } == 1)
    #expect(lines.count { $0.contains("_relaxed: true") && $0.contains(": bfloat16[4, ") } == 2)
    #expect(lines.contains { $0.contains(" = Relu(") && $0.hasSuffix(": bfloat16[4, 2]") })
  }

  /// Nothing changes where the target knows the type, or where it would not do the call in `float32` either.
  @Test(arguments: [[ElementType.float32, .bfloat16], []]) func othersStay(_ types: [ElementType]) throws {
    let text = try GoldenPass.run(WidenLibraryCalls(), on: Self.text, target: Libraries(types: types))
    #expect(!text.contains("Cast"))
  }
}
