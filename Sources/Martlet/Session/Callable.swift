import MartletDiagnostics
import MartletGraph
import MartletTensors

/// A run with settled fetches, targets and feeds; see `Session.makeCallable`.
public struct Callable: Sendable {
  public let session: Session
  private let signature: RunSignature

  init(session: Session, signature: RunSignature) { (self.session, self.signature) = (session, signature) }

  /// The values for which arrays are given, in order.
  public var feeds: [Output] { signature.key.feeds.map { Output(session.graph, $0) } }

  /// Runs, with one array for each feed.
  ///
  /// - Returns: the fetched arrays, in order.
  @discardableResult
  public func callAsFunction(_ arrays: Tensor...) throws -> [Tensor] { try run(arrays) }

  /// Runs, with one array for each feed.
  @discardableResult
  public func run(_ arrays: [Tensor], options: RunOptions = RunOptions()) throws -> [Tensor] {
    guard arrays.count == signature.key.feeds.count else {
      throw Diagnostic(
        "the callable was given a wrong number of arrays",
        required: "one for each of \(feeds.map(\.name).joined(separator: ", "))", found: "\(arrays.count)")
    }
    return try session.run(signature, arrays, options)
  }
}
