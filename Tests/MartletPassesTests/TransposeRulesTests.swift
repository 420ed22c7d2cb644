import MartletGraph
import MartletPasses
import MartletRewriting
import Testing

@Suite struct TransposeRulesTests {
  private let head = "function @main(%a: float32[3, 2], %b: float32[3, 4]) {\n"

  @Test(arguments: [
    // A product can read its left operand transposed.
    (
      """
        %p = Const() {value: int32[2] <1, 0>} : int32[2]
        %t = Transpose(%a, %p) : float32[2, 3]
        %y = MatMul(%t, %b) {transpose_a: false, transpose_b: false} : float32[2, 4]
        return %y
      """,
      """
        %y = MatMul(%a, %b) {transpose_a: true, transpose_b: false} : float32[2, 4]
        return %y
      """
    ),
    // A transpose of what is read transposed cancels.
    (
      """
        %p = Const() {value: int32[2] <1, 0>} : int32[2]
        %t = Transpose(%b, %p) : float32[4, 3]
        %y = MatMul(%a, %t) {transpose_a: true, transpose_b: true} : float32[2, 4]
        return %y
      """,
      """
        %y = MatMul(%a, %b) {transpose_a: true, transpose_b: false} : float32[2, 4]
        return %y
      """
    ),
    // Two transposes are one, and that one is nothing.
    (
      """
        %p = Const() {value: int32[2] <1, 0>} : int32[2]
        %t = Transpose(%a, %p) : float32[2, 3]
        %u = Transpose(%t, %p) : float32[3, 2]
        return %u
      """,
      "  return %a"
    ),
  ])
  func ruleFires(before: String, after: String) throws {
    let pass = Fixpoint("test") {
      FoldConstants(); Rewriting(.transposes); EliminateDeadNodes()
    }
    #expect(try GoldenPass.run(pass, on: head + before + "\n}\n") == head + after + "\n}\n")
  }
}
