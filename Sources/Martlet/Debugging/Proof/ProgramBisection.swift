import MartletDiagnostics
import MartletGraph
import MartletTensors

/// Finds the first node at which two programs of the same names part.
struct ProgramBisection {
  private struct Parting {
    var node: NodeID
    var position: String
    var old: Double
    var new: Double
  }

  private let body: GraphStorage
  private var parting: Parting?

  /// Values of one node that differ by less, in parts of the greatest element, are roundings.
  private static func threshold(_ type: ElementType) -> Double {
    max(1e-4, 4 * 2 / Double(1 << type.significandWidth))
  }

  init(_ old: Program, _ new: Program, _ inputs: ProgramInputs) throws {
    body = new.main.body
    let before = try ProgramRun(old, inputs, isTracing: true).values
    let after = try ProgramRun(new, inputs, isTracing: true).values
    for node in body.topologicalOrder(results: new.main.results, targets: new.main.targets) {
      let name = body.name(of: node)
      guard let a = before[name], let b = after[name], a.map(\.type) == b.map(\.type) else { continue }
      for (x, y) in zip(a, b) {
        guard let position = Self.firstDifference(x, y) else { continue }
        parting = Parting(
          node: node, position: x.position(of: position), old: x.doubles()[position], new: y.doubles()[position])
        return
      }
    }
  }

  private static func firstDifference(_ a: Tensor, _ b: Tensor) -> Int? {
    let (x, y) = (a.doubles(), b.doubles())
    let largest = x.reduce(0) { $1.isFinite ? max($0, $1.magnitude) : $0 }
    let allowed = a.elementType.isFloatingPoint ? largest * threshold(a.elementType) : 0
    return x.indices.first { i in
      if ProofTolerance.isSameBits(x[i], y[i]) || x[i] == y[i] { return false }
      return !((x[i] - y[i]).magnitude <= allowed)
    }
  }

  /// What to tell of a result that differs.
  ///
  /// - Parameter rules: those that fired in the pass, by the name of the node that they replaced.
  func diagnostic(
    _ pass: String, result name: String, _ result: Tensor, _ difference: ProofTolerance.Difference,
    rules: [String: [String]]
  ) -> Diagnostic {
    var diagnostic = Diagnostic(
      "after \(pass) the program computes something else",
      required: "\(difference.old) at element \(result.position(of: difference.position)) of '\(name)'",
      found: "\(difference.new)", hint: "this is a fault of the pass, not of the graph")
    guard let parting else { return diagnostic }
    diagnostic.operation = "\(body.label(of: parting.node)) '\(body.name(of: parting.node))'"
    diagnostic.site = body.site(of: parting.node)
    diagnostic.required = "\(parting.old) at element \(parting.position)"
    diagnostic.found = "\(parting.new)"
    diagnostic.notes.append(.init("the first value that differs on the way to '\(name)'"))
    for rule in rules[body.name(of: parting.node)] ?? [] {
      diagnostic.notes.append(.init("rule '\(rule)' fired here; what it replaced was too large to be proved by itself"))
    }
    return diagnostic
  }
}
