import MartletDiagnostics
import MartletGraph
import MartletTensors

/// Checks what holds of every program, and what holds of each form.
///
/// Of every program:
/// 1. Operands precede their users, once forwarding is resolved.
/// 2. The operands of each node satisfy its schema.
/// 3. What inference gives for a node agrees with the types that its results have.
/// 4. Each sub-graph that a node names is in the library.
///
/// Of `typed` and later forms also:
/// 5. Every dimension of every tensor is known.
/// 6. No value is a variable, and no node reads or writes one.
/// 7. No node's lowering is composite, nor one that is composite where its library does not do it.
///
/// Of `fused` also:
/// 8. Each node has a lowering that the scheduler takes.
public enum FormVerifier {
  public static func verifyStructure(_ program: Program, after pass: String) throws {
    for function in functions(of: program) {
      try verifyStructure(function, program.library, after: pass)
    }
  }

  private static func verifyStructure(
    _ function: GraphFunction, _ library: FunctionLibrary, after pass: String
  ) throws {
    let body = function.body
    var isDefined = [Bool](repeating: false, count: body.nodeCount)
    for argument in function.arguments { isDefined[Int(body.producer(of: argument).index)] = true }
    for node in body.topologicalOrder(results: function.results, targets: function.targets) {
      func fail(_ message: String) -> Diagnostic {
        Diagnostic(
          "after \(pass), \(message)", operation: "\(body.schema(of: node).name) '\(body.name(of: node))'",
          site: body.site(of: node), hint: "this is a fault of the pass, not of the graph")
      }
      let operands = body.operands(of: node)
      for operand in operands where !isDefined[Int(body.producer(of: operand).index)] {
        throw fail("operand \(body.name(of: operand)) is used before it is defined")
      }
      isDefined[Int(node.index)] = true
      let operation = body.operation(of: node)
      for name in operation.functions where library[name] == nil {
        throw fail("the sub-graph \(name) is missing")
      }
      let facts = operands.map { body.operand($0) }
      do throws(Diagnostic) {
        try body.schema(of: node).check(facts)
        let inferred = try operation.infer(facts, InferenceContext { library[$0]?.signature })
        for (result, inference) in zip(body.results(of: node), inferred) {
          let type = body.type(of: result)
          guard type.elementType == inference.type.elementType, type.shape.isCompatible(with: inference.type.shape)
          else { throw fail("result \(body.name(of: result)) is \(type), but inference says \(inference.type)") }
        }
      } catch {
        throw fail(error.message)
      }
    }
  }

  /// - Parameter target: the device that the program is compiled for.
  /// - Throws: a diagnostic that names the node and the broken promise.
  public static func verify(_ program: Program, is form: Form, for target: any Target) throws {
    guard form >= .typed else { return }
    for function in functions(of: program) {
      let body = function.body
      for node in body.topologicalOrder(results: function.results, targets: function.targets) {
        func fail(_ message: String) -> Diagnostic {
          Diagnostic(
            "the \(form.rawValue) form is broken: \(message)",
            operation: "\(body.schema(of: node).name) '\(body.name(of: node))'", site: body.site(of: node))
        }
        guard body.stateRole(of: node) == .none || body.stateRole(of: node) == .control else {
          throw fail("it still works on a variable")
        }
        for result in body.results(of: node) {
          guard let type = body.type(of: result).tensor else { throw fail("a result is not a tensor") }
          guard type.shape.isFullyKnown else { throw fail("a result has the shape \(type.shape)") }
        }
        switch try body.lowering(of: node) {
        case .composite: throw fail("it should have been expanded")
        case .libraryOrComposite(let contract, _):
          let device = body.isOnHost(node, beside: target) ? target.host : target
          guard device?.claims(contract) == true else { throw fail("it should have been expanded") }
        default: break
        }
      }
    }
  }

  private static func functions(of program: Program) -> [GraphFunction] {
    program.reachableFunctions().compactMap { program.library[$0] } + [program.main]
  }
}
