import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletPasses
import MartletRewriting

/// Runs passes on graphs written in the text form, for golden tests.
enum GoldenPass {
  /// The text of function `main` in `text` after `pass`, verified, without the surrounding lines.
  static func run(_ pass: any Pass, on text: String, target: any Target = RecordedTarget()) throws -> String {
    let program = try parse(text)
    var context = PassContext(target: target)
    let result = try pass.run(program, &context)
    try FormVerifier.verifyStructure(result, after: pass.name)
    return GraphPrinter().print(result.main)
  }

  /// The program whose main function is `@main` of the text.
  static func parse(_ text: String) throws -> Program {
    let graph = try Graph(parsing: text, file: "golden") { (name, attributes) throws(Diagnostic) in
      Catalog.standard.type(named: name) == nil
        ? nil : try Catalog.standard.operation(named: name, attributes: attributes)
    }
    guard let main = graph.library[FunctionName("main")] else { throw Diagnostic("the text has no function @main") }
    return Program(main: main, library: graph.library)
  }
}

/// A target that claims what it is told to.
struct RecordedTarget: Target {
  var name = "cpu"
  var claimsContracts = true
  var machine = TargetMachine()
  func claims(_ contract: LibraryContract) -> Bool { claimsContracts }
}
