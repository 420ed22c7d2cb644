import MartletGraph
import MartletPasses
import MartletRewriting
import Testing

@Suite struct CanonicalPassesTests {
  // The operands of a commutative operation are not ordered.
  @Test func equalExpressionsMerge() throws {
    let head = "function @main(%x: float32[2], %z: float32[2]) {\n"
    let before = """
        %a = AddV2(%x, %z) : float32[2]
        %b = AddV2(%z, %x) : float32[2]
        %c = Sub(%x, %z) : float32[2]
        %d = Sub(%z, %x) : float32[2]
        %e = Mul(%a, %b) : float32[2]
        return %e, %c, %d
      """
    let after = """
        %a = AddV2(%x, %z) : float32[2]
        %c = Sub(%x, %z) : float32[2]
        %d = Sub(%z, %x) : float32[2]
        %e = Mul(%a, %a) : float32[2]
        return %e, %c, %d
      """
    #expect(
      try GoldenPass.run(EliminateCommonSubexpressions(), on: head + before + "\n}\n") == head + after + "\n}\n")
  }

  // What merges is seen by what uses it, in the same sweep.
  @Test func equalChainsMerge() throws {
    let text = """
      function @main(%x: float32[4]) {
        %axis = Const() {value: int32[] <0>} : int32[]
        %a = Split(%axis, %x) {num_split: 2} : float32[2], float32[2]
        %b = Split(%axis, %x) {num_split: 2} : float32[2], float32[2]
        %c = Exp(%a:1) : float32[2]
        %d = Exp(%b:1) : float32[2]
        %e = Mul(%c, %d) : float32[2]
        return %e, %d
      }

      """
    let program = try GoldenPass.parse(text)
    var context = PassContext(target: RecordedTarget())
    let merged = try EliminateCommonSubexpressions().run(program, &context).main.body
    #expect(merged.nodes.count { merged.schema(of: $0).name == "Exp" } == 1)
    #expect(merged.nodes.count { merged.schema(of: $0).name == "Split" } == 1)
    #expect(context.firings(of: "merge-common-subexpressions") == 2)
  }

  // Two draws of random numbers are two, whatever their attributes.
  @Test func randomOperationsDoNotMerge() throws {
    let text = """
      function @main() {
        %s = Const() {value: int32[1] <3>} : int32[1]
        %a = RandomUniform(%s) {dtype: float32, seed: 1, seed2: 2} : float32[3]
        %b = RandomUniform(%s) {dtype: float32, seed: 1, seed2: 2} : float32[3]
        return %a, %b
      }

      """
    #expect(try GoldenPass.run(EliminateCommonSubexpressions(), on: text) == text)
  }

  // 2 · 3 + 4, computed before the run.
  @Test func constantsFold() throws {
    let text = """
      function @main(%x: float32[]) {
        %a = Const() {value: float32[] <2.0>} : float32[]
        %b = Const() {value: float32[] <3.0>} : float32[]
        %c = Const() {value: float32[] <4.0>} : float32[]
        %d = Mul(%a, %b) : float32[]
        %e = AddV2(%d, %c) : float32[]
        %f = Mul(%x, %e) : float32[]
        return %f
      }

      """
    let after = """
      function @main(%x: float32[]) {
        %e = Const() {value: float32[] <10.0>} : float32[]
        %f = Mul(%x, %e) : float32[]
        return %f
      }

      """
    #expect(
      try GoldenPass.run(
        Fixpoint("test") {
          FoldConstants(); EliminateDeadNodes()
        }, on: text) == after)
  }

  // The shape of a feed of known type is known, and so is what is computed from it.
  @Test func shapesFold() throws {
    let text = """
      function @main(%x: float32[2, 3]) {
        %s = Shape(%x) {out_type: int32} : int32[2]
        %y = Reshape(%x, %s) : float32[2, 3]
        return %s, %y
      }

      """
    let after = """
      function @main(%x: float32[2, 3]) {
        %s = Const() {value: int32[2] <2, 3>} : int32[2]
        return %s, %x
      }

      """
    let pass = Fixpoint("test") {
      FoldConstants(); Rewriting(.transposes); EliminateDeadNodes()
    }
    #expect(try GoldenPass.run(pass, on: text) == after)
  }

  // A large filled array is cheaper computed than loaded.
  @Test func filledArraysAreNotFolded() throws {
    let text = """
      function @main() {
        %s = Const() {value: int32[1] <4000>} : int32[1]
        %v = Const() {value: float32[] <1.0>} : float32[]
        %f = Fill(%s, %v) : float32[4000]
        return %f
      }

      """
    #expect(try GoldenPass.run(FoldConstants(), on: text) == text)
  }
}
