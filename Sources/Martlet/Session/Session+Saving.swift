import MartletFormats
import MartletGraph
import MartletTensors

extension Session {
  /// A graph for inference: what `outputs` need, with the present values of variables as constants.
  ///
  /// - Throws: a diagnostic where the outputs depend on an assignment.
  public func frozen(outputs: [Output]) throws -> Graph {
    var values: [String: Tensor] = [:]
    for variable in variables.all { values[variable.name] = try variable.value }
    return try graph.frozen(values: values, outputs: outputs)
  }

  /// Writes a GraphDef for inference: what `outputs` need, with the present values of variables as constants.
  ///
  ///     try session.saveFrozen("model.pb", outputs: [logits])
  ///
  /// - Parameters:
  ///   - path: see `Graph.save(_:outputs:format:)`.
  /// - Throws: a diagnostic where the outputs depend on an assignment, or the file cannot be written.
  public func saveFrozen(_ path: String, outputs: [Output], format: GraphDefFormat? = nil) throws {
    try frozen(outputs: outputs).save(path, format: format)
  }
}
