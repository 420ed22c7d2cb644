import MartletGraph
import MartletPasses
import MartletRewriting
import Testing

/// Each case: why it exists, the lines before, the lines after.
@Suite struct AlgebraRulesTests {
  @Test(arguments: [
    // A neutral element goes, on either side of a commutative operation.
    (
      """
        %one = Const() {value: float32[] <1.0>} : float32[]
        %y = Mul(%one, %x) : float32[2]
        return %y
      """,
      "  return %x"
    ),
    // x − 0 keeps −0, so it may go.
    (
      """
        %zero = Const() {value: float32[] <0.0>} : float32[]
        %y = Sub(%x, %zero) : float32[2]
        return %y
      """,
      "  return %x"
    ),
    // Two negations cancel.
    (
      """
        %a = Neg(%x) : float32[2]
        %b = Neg(%a) : float32[2]
        return %b
      """,
      "  return %x"
    ),
    // A sum with a negated value is a difference.
    (
      """
        %a = Neg(%z) : float32[2]
        %b = AddV2(%x, %a) : float32[2]
        return %b
      """,
      """
        %b = Sub(%x, %z) : float32[2]
        return %b
      """
    ),
    // A square is cheaper than a power, and has the same bits.
    (
      """
        %two = Const() {value: float32[] <2.0>} : float32[]
        %y = Pow(%x, %two) : float32[2]
        return %y
      """,
      """
        %y = Square(%x) : float32[2]
        return %y
      """
    ),
    // A division by a power of two is exact as a product.
    (
      """
        %c = Const() {value: float32[] <4.0>} : float32[]
        %y = RealDiv(%x, %c) : float32[2]
        return %y
      """,
      """
        %y = Const() {value: float32[] <0.25>} : float32[]
        %y_1 = Mul(%x, %y) : float32[2]
        return %y_1
      """
    ),
    // The gradient is done, so the barrier to it goes.
    (
      """
        %a = StopGradient(%x) : float32[2]
        %b = Identity(%a) : float32[2]
        return %b
      """,
      "  return %x"
    ),
    // A value is the greater and the smaller of it and itself, NaN and −0 too.
    (
      """
        %a = Maximum(%x, %x) : float32[2]
        %b = Minimum(%a, %a) : float32[2]
        return %b
      """,
      "  return %x"
    ),
    // A square has no sign.
    (
      """
        %s = Square(%x) : float32[2]
        %y = Abs(%s) : float32[2]
        return %y
      """,
      """
        %s = Square(%x) : float32[2]
        return %s
      """
    ),
  ])
  func ruleFires(before: String, after: String) throws {
    let head = "function @main(%x: float32[2], %z: float32[2]) {\n"
    let pass = Fixpoint("test") {
      Rewriting(.algebra); EliminateDeadNodes()
    }
    #expect(try GoldenPass.run(pass, on: head + before + "\n}\n") == head + after + "\n}\n")
  }

  @Test(arguments: [
    // −0 + 0 is 0: the sum must stay.
    """
      %zero = Const() {value: float32[] <0.0>} : float32[]
      %y = AddV2(%x, %zero) : float32[2]
      return %y
    """,
    // NaN · 0 is NaN: the product must stay.
    """
      %zero = Const() {value: float32[] <0.0>} : float32[]
      %y = Mul(%x, %zero) : float32[2]
      return %y
    """,
    // The neutral element makes the result larger by broadcasting.
    """
      %one = Const() {value: float32[3, 2] <1.0, 1.0, 1.0, 1.0, 1.0, 1.0>} : float32[3, 2]
      %y = Mul(%x, %one) : float32[3, 2]
      return %y
    """,
    // 1 − x is not x − 1: subtraction does not commute.
    """
      %zero = Const() {value: float32[] <0.0>} : float32[]
      %y = Sub(%zero, %x) : float32[2]
      return %y
    """,
    // A third is not exact in binary.
    """
      %c = Const() {value: float32[] <3.0>} : float32[]
      %y = RealDiv(%x, %c) : float32[2]
      return %y
    """,
    // Two values of one type are not one value.
    """
      %y = Maximum(%x, %z) : float32[2]
      return %y
    """,
    // The square of 50,000 wraps to a negative number.
    """
      %i = Const() {value: int32[] <50000>} : int32[]
      %s = Square(%i) : int32[]
      %y = Abs(%s) : int32[]
      return %y
    """,
  ])
  func ruleMustNotFire(body: String) throws {
    let text = "function @main(%x: float32[2], %z: float32[2]) {\n\(body)\n}\n"
    #expect(try GoldenPass.run(Rewriting(.algebra), on: text) == text)
  }
}
