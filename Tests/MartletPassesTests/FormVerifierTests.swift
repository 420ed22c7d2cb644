import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors
import Testing

/// What the verifier finds that a pass has left undone.
@Suite struct FormVerifierTests {
  /// An operation for a library or for others has been written in others where no library does it.
  @Test func whatNoLibraryDoes() throws {
    let graph = Graph()
    let shapes = [[2, 1, 3], [1, 2, 3], [1, 2, 2], [1, 2, 2], [1, 1, 2]]
    let operands = shapes.map { graph.placeholder(.float32, shape: Shape($0)) }
    let y = graph.add(RecurrentLayer(.tanh), operands)[0]
    let main = GraphFunction(
      name: "main", body: graph.storage, arguments: operands.map(\.id), results: [y.id], targets: [])
    let program = Program(main: main, library: FunctionLibrary())
    try FormVerifier.verify(program, is: .typed, for: RecordedTarget())
    let error = try #require(throws: Diagnostic.self) {
      try FormVerifier.verify(program, is: .typed, for: RecordedTarget(claimsContracts: false))
    }
    #expect(error.message.contains("should have been expanded"))
    #expect(error.operation?.contains("_RecurrentLayer") == true)
  }
}
