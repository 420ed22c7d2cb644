import MartletDiagnostics
import MartletGraph
import MartletRewriting

/// Checks that each node's wanted device is the one that the program is compiled for, or the processor beside it.
public struct PlaceOnDevices: Pass {
  public let name = "PlaceOnDevices"
  /// Whether a node whose device is not there goes where the others are, with a warning.
  public var isSoft: Bool

  public init(soft: Bool = false) { isSoft = soft }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    let target = context.target
    let kinds = [""] + target.deviceKinds + (target.host?.deviceKinds ?? [])
    for function in [program.main] + program.library.functions {
      let body = function.body
      for node in body.nodes {
        let scope = body.scope(of: node)
        if kinds.contains(scope.deviceKind), !isOther(scope, than: target) { continue }
        let known = target.deviceKinds.map { name in target.deviceNumber.map { "\(name):\($0)" } ?? name }
        let mistake = Diagnostic(
          "no such device here", operation: "\(body.schema(of: node).name) '\(body.name(of: node))'",
          required: (known + (target.host?.deviceKinds ?? [])).joined(separator: " or "), found: scope.device,
          site: body.site(of: node),
          hint: "take it out of withDevice(\"\(scope.device)\"), or allow soft placement")
        guard isSoft else { throw mistake }
        var warning = mistake
        warning.message = "placed on \(target.name)"
        warning.hint = nil
        context.warnings.append(warning)
      }
    }
    return program
  }

  /// Whether a scope names another device of the target's kind: a program runs on one of them.
  private func isOther(_ scope: NodeScope, than target: any Target) -> Bool {
    guard let wanted = scope.deviceNumber, let number = target.deviceNumber else { return false }
    return target.deviceKinds.contains(scope.deviceKind) && wanted != number
  }
}
