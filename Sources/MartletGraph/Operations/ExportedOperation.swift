import MartletDiagnostics

/// An operation that other systems do not have, or have only in part.
public protocol ExportedOperation: Operation {
  /// What stands for a node of this operation in files of other systems: its results, by operations that TensorFlow has;
  /// nil where the node can be written as it is.
  ///
  /// A node without results is stood for by the node that is added last.
  func exported(_ expansion: Expansion) throws(Diagnostic) -> [Output]?
}
