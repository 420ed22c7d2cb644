import MartletDiagnostics
import MartletGraph
import MartletRewriting

/// Checks that each node's wanted device is the one the program is compiled for.
public struct PlaceOnDevices: Pass {
  public let name = "PlaceOnDevices"
  public init() {}

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    let body = program.main.body
    for node in body.nodes {
      let device = body.scope(of: node).device
      guard device.isEmpty || Self.kind(of: device) == Self.kind(of: context.target.name) else {
        throw Diagnostic(
          "no such device here", operation: "\(body.schema(of: node).name) '\(body.name(of: node))'",
          required: context.target.name, found: device, site: body.site(of: node),
          hint: "take it out of withDevice(\"\(device)\")")
      }
    }
    return program
  }

  /// `cpu` of `/job:localhost/replica:0/task:0/device:CPU:0`, `/cpu:0`, `cpu`.
  static func kind(of device: String) -> String {
    let last = device.split(separator: "/").last.map(String.init) ?? device
    let parts = last.lowercased().split(separator: ":").map(String.init)
    let kind = parts.first == "device" && parts.count > 1 ? parts[1] : parts.first ?? ""
    return kind == "gpu" ? "cuda" : kind
  }
}
