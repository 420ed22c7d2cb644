import MartletDiagnostics
import Testing

@Suite struct DiagnosticRendererTests {
  private let site = BuildSite(file: "/home/u/MyApp/Sources/MyApp/main.swift", line: 17)

  @Test func aFullDiagnostic() {
    let diagnostic = Diagnostic(
      "must have 784 rows to match 'a' [?, 784]", operation: "MatMul 'dense/matmul'", operand: "b",
      found: "float32[512, 10]", site: site, hint: "transpose 'b'",
      notes: [.init("'a' was built here", site: BuildSite(file: "MyApp/Model.swift", line: 3)), .init("see the guide")])
    #expect(
      diagnostic.description == """
        error: MatMul 'dense/matmul': operand 'b' must have 784 rows to match 'a' [?, 784]; found float32[512, 10]
          at Sources/MyApp/main.swift:17
          hint: transpose 'b'
          note: 'a' was built here
            at MyApp/Model.swift:3
          note: see the guide
        """)
  }

  static let headlines: [(Diagnostic, String)] = [
    (Diagnostic("the graph has no node 'x'"), "error: the graph has no node 'x'"),
    (Diagnostic("the file is cut off", found: "12 bytes"), "error: the file is cut off; found 12 bytes"),
    (
      Diagnostic("", operation: "Tanh 't'", operand: "x", required: "a floating-point type", found: "int32[3]"),
      "error: Tanh 't': operand 'x' requires a floating-point type; found int32[3]"
    ),
    (
      Diagnostic("the inner dimensions differ", operation: "MatMul 'm'", operand: "b", required: "784 rows"),
      "error: MatMul 'm': the inner dimensions differ; operand 'b' requires 784 rows"
    ),
    (Diagnostic("is missing", operand: "b"), "error: operand 'b': is missing"),
    (Diagnostic("", operation: "Add 'a'", required: "two operands"), "error: Add 'a': requires two operands"),
  ]

  @Test(arguments: headlines) func headlinesReadAsSentences(diagnostic: Diagnostic, expected: String) {
    #expect(diagnostic.description == expected)
  }

  @Test func aListIsCounted() {
    let list = DiagnosticList([Diagnostic("one"), Diagnostic("two", site: site)])
    #expect(
      list.description == """
        error: one
        error: two
          at Sources/MyApp/main.swift:17
        2 errors
        """)
    #expect(DiagnosticList([Diagnostic("one")]).description == "error: one")
  }

  @Test func sitesCanBeLeftOut() {
    #expect(DiagnosticRenderer(showsSites: false).render(Diagnostic("two", site: site)) == "error: two")
  }

  @Test func aListThrowsWhenItHoldsSomething() throws {
    try DiagnosticList().throwIfAny()
    #expect(throws: DiagnosticList([Diagnostic("one")])) { try DiagnosticList([Diagnostic("one")]).throwIfAny() }
  }
}
