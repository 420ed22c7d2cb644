import MartletGraph
import MartletPasses
import MartletRewriting
import Testing

/// Each case: why it exists, the arguments, the lines before, the lines after.
@Suite struct MergeProductsTests {
  private static let steps =
    "%a: float32[16, 512], %b: float32[16, 256], %c: float32[16, 512], %d: float32[16, 256], %e: float32[512, 256]"

  @Test(arguments: [
    // The gradient of a weight that two steps use is one product.
    (
      """
        %p = MatMul(%a, %b) {transpose_a: true} : float32[512, 256]
        %q = MatMul(%c, %d) {transpose_a: true} : float32[512, 256]
        %s = AddN(%p, %q) : float32[512, 256]
        return %s
      """,
      """
        %s = Const() {value: int32[] <0>} : int32[]
        %s_1 = ConcatV2(%a, %c, %s) : float32[32, 512]
        %s_2 = Const() {value: int32[] <0>} : int32[]
        %s_3 = ConcatV2(%b, %d, %s_2) : float32[32, 256]
        %s_4 = MatMul(%s_1, %s_3) {transpose_a: true, transpose_b: false} : float32[512, 256]
        return %s_4
      """
    ),
    // What is no product is still added; sums that nothing else uses are gone through.
    (
      """
        %p = MatMul(%a, %b) {transpose_a: true} : float32[512, 256]
        %q = MatMul(%c, %d) {transpose_a: true} : float32[512, 256]
        %r = AddV2(%p, %e) : float32[512, 256]
        %s = AddV2(%r, %q) : float32[512, 256]
        return %s
      """,
      """
        %s = Const() {value: int32[] <0>} : int32[]
        %s_1 = ConcatV2(%a, %c, %s) : float32[32, 512]
        %s_2 = Const() {value: int32[] <0>} : int32[]
        %s_3 = ConcatV2(%b, %d, %s_2) : float32[32, 256]
        %s_4 = MatMul(%s_1, %s_3) {transpose_a: true, transpose_b: false} : float32[512, 256]
        %s_5 = AddN(%s_4, %e) : float32[512, 256]
        return %s_5
      """
    ),
    // Factors that are stacked anyway, in whatever order, are joined once.
    (
      """
        %p = MatMul(%a, %b) {transpose_a: true} : float32[512, 256]
        %q = MatMul(%c, %d) {transpose_a: true} : float32[512, 256]
        %s = AddN(%p, %q) : float32[512, 256]
        %t = Pack(%d, %b) : float32[2, 16, 256]
        return %s, %t
      """,
      """
        %s = Const() {value: int32[] <0>} : int32[]
        %s_1 = ConcatV2(%c, %a, %s) : float32[32, 512]
        %s_2 = Const() {value: int32[] <0>} : int32[]
        %s_3 = ConcatV2(%d, %b, %s_2) : float32[32, 256]
        %s_4 = MatMul(%s_1, %s_3) {transpose_a: true, transpose_b: false} : float32[512, 256]
        %t = Const() {value: int32[3] <2, 16, 256>} : int32[3]
        %t_1 = Reshape(%s_3, %t) : float32[2, 16, 256]
        return %s_4, %t_1
      """
    ),
  ])
  func sumsOfProductsMerge(before: String, after: String) throws {
    let head = "function @main(\(Self.steps)) {\n"
    let text = try GoldenPass.run(MergeProducts(), on: head + before + "\n}\n")
    #expect(text == head + after + "\n}\n")
  }

  @Test(arguments: [
    // A product that is also wanted by itself has to be computed by itself.
    """
      %p = MatMul(%a, %b) {transpose_a: true, transpose_b: false} : float32[512, 256]
      %q = MatMul(%c, %d) {transpose_a: true, transpose_b: false} : float32[512, 256]
      %s = AddN(%p, %q) : float32[512, 256]
      return %s, %p
    """,
    // A sum with one product.
    """
      %p = MatMul(%a, %b) {transpose_a: true, transpose_b: false} : float32[512, 256]
      %s = AddV2(%p, %e) : float32[512, 256]
      return %s
    """,
    // The summed dimension is not the outermost of both factors: they would have to be moved.
    """
      %p = MatMul(%e, %b) {transpose_a: false, transpose_b: true} : float32[512, 16]
      %q = MatMul(%e, %d) {transpose_a: false, transpose_b: true} : float32[512, 16]
      %s = AddN(%p, %q) : float32[512, 16]
      return %s
    """,
    // The factors are larger than what they give.
    """
      %p = MatMul(%e, %e) {transpose_a: true, transpose_b: false} : float32[256, 256]
      %f = Neg(%e) : float32[512, 256]
      %q = MatMul(%f, %e) {transpose_a: true, transpose_b: false} : float32[256, 256]
      %s = AddN(%p, %q) : float32[256, 256]
      return %s
    """,
  ])
  func otherSumsStay(lines: String) throws {
    let text = "function @main(\(Self.steps)) {\n\(lines)\n}\n"
    #expect(try GoldenPass.run(MergeProducts(), on: text) == text)
  }
}
