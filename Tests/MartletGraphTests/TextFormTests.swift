import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors
import Testing

@Suite struct TextFormTests {
  private func parse(_ text: String) throws -> Graph {
    try Graph(parsing: text, file: "test.mtg") { (name, attributes) throws(Diagnostic) in
      Catalog.standard.type(named: name) == nil
        ? nil : try Catalog.standard.operation(named: name, attributes: attributes)
    }
  }

  @Test func aGraphIsPrinted() {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 2], name: "x")
    _ = matMul(x, graph.constant([1, 2, 3, 4] as [Double], shape: [2, 2], name: "w"), transposeB: true, name: "y")
    #expect(
      GraphPrinter().print(graph) == """
        graph {
          %x = Placeholder() {dtype: float32, shape: shape[?, 2]} : float32[?, 2]
          %w = Const() {value: float32[2, 2] <1.0, 2.0, 3.0, 4.0>} : float32[2, 2]
          %y = MatMul(%x, %w) {transpose_a: false, transpose_b: true} : float32[?, 2]
        }

        """)
  }

  @Test(arguments: [
    // Bits of floats survive: NaN with its payload, −0, infinities, the smallest denormal.
    "%c = Const() {value: float32[5] <float(0x7fc00001), -0.0, inf, -inf, 1e-45>} : float32[5]",
    "%c = Const() {value: float16[5] <float(0x7e01), -0.0, inf, 0.1, 6e-08>} : float16[5]",
    "%c = Const() {value: bfloat16[4] <float(0x7fc1), -inf, 0.100097656, 9.1835e-41>} : bfloat16[4]",
    "%c = Const() {value: bool[2] <true, false>} : bool[2]",
    "%c = Const() {value: int64[0] <>} : int64[0]",
    // A name that is not made of plain characters is quoted.
    "%\"odd name\" = Placeholder() {dtype: int32, shape: shape[*]} : int32[*]",
    // An unknown operation keeps its attributes.
    "%f = ?Mystery() {text: \"a\\\"b\\x00\", list: [1, 2], deep: [[true]], f: @g, raw: bytes \"\\xff\"} : foreign, foreign",
    "%a = NoOp()\n  %b = NoOp() after %a on \"/cpu:0\"",
  ]) func textComesBackAsItWas(line: String) throws {
    let text = "graph {\n  \(line)\n}\n"
    #expect(GraphPrinter().print(try parse(text)) == text)
  }

  @Test func functionsAreReadBeforeTheirUsers() throws {
    let text = """
      graph {
        %x = Placeholder() {dtype: float32, shape: shape[2]} : float32[2]
      }

      function @f(%a: float32[2], %v: variable<float32[2]>) {
        %n = Neg(%a) : float32[2]
        return %n, %a
      }

      """
    #expect(GraphPrinter().print(try parse(text)) == text)
  }

  @Test(arguments: [
    ("graph {", "a block does not end"),
    ("graph { %x = Neg(%y) : float32[2] }", "'y' is used before it is defined"),
    ("graph { %x = NoOp() %x = NoOp() }", "two nodes are named 'x'"),
    ("graph { %c = Const() {value: float32[3] <1.0>} : float32[3] }", "an array of shape [3] has 1 elements"),
    ("graph { %c = Const() {value: float32[1152921504606846976, 16] <1.0>} : float32[1] }", "an array needs a shape"),
    ("graph { %c = Const() {value: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]} }", "nested too deep"),
    (
      "graph { %x = Placeholder() {dtype: float32, shape: shape[2]} : float32[3] }", "'x' is float32[2], not float32[3]"
    ),
    ("nonsense", "does not go on as it should"),
  ]) func badTextIsRefused(text: String, message: String) {
    do {
      _ = try parse(text)
      Issue.record("the text was accepted")
    } catch {
      #expect("\(error)".contains(message))
    }
  }
}
