/// What a program looks like between the phases of the pipeline, in order. Each form keeps the promises of those before
/// it; `FormVerifier` checks them.
public enum Form: String, Sendable, Hashable, CaseIterable, Comparable {
  /// As the user built it, cut down to what is fetched and fed.
  case graph
  /// Every dimension is known; variables are arguments and results; composites are expanded.
  case typed
  /// Folded, simplified, without repetition.
  case canonical
  /// Every node has a device.
  case placed
  /// Every node is a kernel, a library call, an alias, host code or control flow.
  case fused

  public static func < (a: Form, b: Form) -> Bool {
    allCases.firstIndex(of: a)! < allCases.firstIndex(of: b)!
  }
}
