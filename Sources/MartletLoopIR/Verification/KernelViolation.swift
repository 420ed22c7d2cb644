/// An invariant that a program or a nest breaks: a fault of whoever built it, never of a user.
public struct KernelViolation: Error, Hashable, Sendable, CustomStringConvertible {
  /// The invariant, numbered as in the list beside the verifier, such as `S4`.
  public var invariant: String
  public var message: String

  init(_ invariant: String, _ message: String) { (self.invariant, self.message) = (invariant, message) }

  public var description: String { "\(invariant): \(message)" }
}
