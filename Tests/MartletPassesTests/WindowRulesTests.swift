import MartletGraph
import MartletPasses
import MartletRewriting
import Testing

@Suite struct WindowRulesTests {
  private let head = "function @main(%x: float32[1, 4, 5, 2], %f: float32[3, 3, 2, 2], %g: float32[1, 5, 6, 2]) {\n"

  private func rewritten(_ lines: String) throws -> String {
    let pass = Fixpoint("test") {
      FoldConstants(); Rewriting(.windows); EliminateCommonSubexpressions(); EliminateDeadNodes()
    }
    return try GoldenPass.run(pass, on: head + lines + "\n}\n")
  }

  /// A pad of one row above and two below, and of one column at each side.
  private func pad(_ value: String, _ rows: Int, _ columns: Int, paddings: String = "0, 0, 1, 2, 1, 1, 0, 0") -> String
  {
    """
      %w = Const() {value: int32[4, 2] <\(paddings)>} : int32[4, 2]
      %p = Pad(%\(value), %w) : float32[1, \(rows), \(columns), 2]

    """
  }

  // A convolution pads by itself.
  @Test func paddingGoesIntoConvolutions() throws {
    let text = try rewritten(
      pad("x", 7, 7) + """
          %y = Conv2D(%p, %f) {padding: "VALID", strides: [1, 1, 1, 1]} : float32[1, 5, 5, 2]
          return %y
        """)
    #expect(!text.contains("Pad"))
    #expect(text.contains("padding: \"EXPLICIT\""))
    #expect(text.contains("explicit_paddings: [0, 0, 1, 2, 1, 1, 0, 0]"))
  }

  // Paddings add up.
  @Test func explicitPaddingGrows() throws {
    let text = try rewritten(
      pad("x", 7, 7) + """
          %y = Conv2D(%p, %f) {padding: "EXPLICIT", explicit_paddings: [0, 0, 0, 1, 1, 0, 0, 0], strides: [1, 1, 1, 1]} : float32[1, 6, 6, 2]
          return %y
        """)
    #expect(text.contains("explicit_paddings: [0, 0, 1, 3, 2, 1, 0, 0]"))
  }

  // The gradient of the filter reads the same images.
  @Test func paddingGoesIntoGradientsOfFilters() throws {
    let text = try rewritten(
      pad("x", 7, 8, paddings: "0, 0, 1, 2, 1, 2, 0, 0") + """
          %s = Const() {value: int32[4] <3, 3, 2, 2>} : int32[4]
          %y = Conv2DBackpropFilter(%p, %s, %g) {padding: "VALID", strides: [1, 1, 1, 1]} : float32[3, 3, 2, 2]
          return %y
        """)
    #expect(!text.contains("Pad("))
    #expect(text.contains("explicit_paddings: [0, 0, 1, 2, 1, 2, 0, 0]"))
  }

  // Under a maximum zeros count, padding does not: the same where nothing is negative.
  @Test func paddingGoesIntoMaximaOfRectified() throws {
    let pooling = """
        %y = MaxPool(%p) {ksize: [1, 3, 3, 1], padding: "VALID", strides: [1, 2, 2, 1]} : float32[1, 3, 3, 2]
        return %y
      """
    let text = try rewritten("  %r = Relu(%x) : float32[1, 4, 5, 2]\n" + pad("r", 7, 7) + pooling)
    #expect(!text.contains("Pad("))
    #expect(try rewritten(pad("x", 7, 7) + pooling).contains("Pad("))
  }

  // SAME asks for padding that depends on the padded extent; padded channels are channels; windows of zeros alone have a
  // maximum of zero.
  @Test(arguments: [
    (
      "x", "0, 0, 1, 2, 1, 1, 0, 0",
      "%y = Conv2D(%p, %f) {padding: \"SAME\", strides: [1, 1, 1, 1]} : float32[1, 7, 7, 2]"
    ),
    (
      "r", "0, 0, 1, 2, 1, 1, 0, 0",
      "%y = MaxPool(%p) {ksize: [1, 2, 2, 1], padding: \"VALID\", strides: [1, 1, 1, 1]} : float32[1, 6, 6, 2]"
    ),
  ])
  func keepsOtherPadding(value: String, paddings: String, line: String) throws {
    let text = try rewritten(
      "  %r = Relu(%x) : float32[1, 4, 5, 2]\n" + pad(value, 7, 7, paddings: paddings) + "  \(line)\n  return %y")
    #expect(text.contains("Pad("))
  }
}
