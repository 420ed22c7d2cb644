extension NodeScope {
  /// The kind of device that the scope names, in lower case: `cpu` of `/job:localhost/replica:0/task:0/device:CPU:0`, `/cpu:0`
  /// and `cpu`; `cuda` of `/gpu:0` too. Empty if it names none.
  public var deviceKind: String {
    let kind = deviceParts.first ?? ""
    return kind == "gpu" ? "cuda" : kind
  }

  /// Which of its kind the scope names: 1 for `/device:GPU:1`; nil if it does not say.
  public var deviceNumber: Int? { deviceParts.dropFirst().first.flatMap { Int($0) } }

  private var deviceParts: ArraySlice<String> {
    let last = device.split(separator: "/").last.map(String.init) ?? device
    let parts = last.lowercased().split(separator: ":").map(String.init)
    return parts.first == "device" && parts.count > 1 ? parts.dropFirst() : parts[...]
  }
}

extension GraphStorage {
  /// Whether a node wants to be on the processor while what surrounds it runs on another device.
  public func isOnHost(_ node: NodeID, beside target: any Target) -> Bool {
    guard let host = target.host else { return false }
    return scope(of: node).deviceKind == host.name
  }
}
