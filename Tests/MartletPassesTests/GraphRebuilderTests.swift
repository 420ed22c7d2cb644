import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors
import Testing

@Suite struct GraphRebuilderTests {
  private static let text = """
    function @main(%x: float32[2, 3], %n: int32[2]) {
      %s = Shape(%x) {out_type: int32} : int32[2]
      %c = Const() {value: float32[] <2.0>} : float32[]
      %y = Mul(%x, %c) : float32[2, 3]
      %r = Reshape(%y, %n) : float32[?, ?]
      %e = Exp(%r) : float32[?, ?]
      %z = Shape(%e) {out_type: int32} : int32[2]
      return %s, %z
    }

    """

  private static func rebuilder() throws -> GraphRebuilder {
    let program = try GoldenPass.parse(text)
    return GraphRebuilder(program.main, library: program.library)
  }

  @Test func aCopyIsWhatItWas() throws {
    var rebuilder = try Self.rebuilder()
    let copy = try rebuilder.run()
    #expect(GraphPrinter().print(copy) == Self.text)
    // What is known of elements is not in the text.
    #expect(copy.body.known(copy.results[0])?.integers == [2, 3])
    #expect(copy.body.node(named: "e").map { copy.body.name(of: $0) } == "e")
  }

  @Test func otherArgumentsAreInferredFrom() throws {
    var rebuilder = try Self.rebuilder()
    let types: [ValueType] = [.tensor(TensorType(.float32, [5, 3])), .tensor(TensorType(.int32, [2]))]
    let copy = try rebuilder.run(argumentTypes: types)
    #expect(copy.body.known(copy.results[0])?.integers == [5, 3])
    let product = try #require(copy.body.node(named: "y"))
    #expect(copy.body.type(of: copy.body.results(of: product)[0]).shape == [5, 3])
  }

  // A constant in the place of an argument tells more about what depends on it, and on what depends on that.
  @Test func whatIsReplacedIsInferredFrom() throws {
    var rebuilder = try Self.rebuilder()
    let copy = try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
      guard rebuilder.source.body.name(of: node) == "r" else { return nil }
      let extents = rebuilder.graph.add(Const(Tensor([3, 2] as [Int32], shape: [2])), [])
      return rebuilder.graph.add(Reshape(), [operands[0]] + extents, name: "r")
    }
    #expect(copy.body.known(copy.results[1])?.integers == [3, 2])
    let exp = try #require(copy.body.node(named: "e"))
    #expect(copy.body.type(of: copy.body.results(of: exp)[0]).shape == [3, 2])
  }
}
