import MartletDiagnostics
import MartletGraph

extension Graph {
  /// The graph as a GraphDef that TensorFlow can load. One graph always gives the same record.
  ///
  /// What only Martlet has is written in operations that TensorFlow has.
  ///
  /// - Parameters:
  ///   - outputs: The values that are wanted: only what they need is written. All nodes if nil.
  /// - Throws: The mistakes that were made while the graph was built; a `Diagnostic` that names the node where TensorFlow
  ///   has no counterpart.
  public func graphDef(outputs: [Output]? = nil) throws -> GraphDefRecord {
    try GraphDefWriter(self, outputs: outputs).record()
  }

  /// Writes the graph to a file. A file that was there before stays until the new one is whole.
  ///
  /// The values of variables are not written, but in constants; see ``frozen(values:outputs:)``.
  ///
  ///     try graph.save("model.pb")
  ///
  /// - Parameters:
  ///   - path: A name that ends in `.mtg` stands for Martlet's own text form, `.pbtxt` for a GraphDef as text, anything
  ///     else for a GraphDef in binary.
  ///   - outputs: The values that are wanted: only what they need is written. All nodes if nil. The text form always has
  ///     all.
  ///   - format: The form of a GraphDef, whatever the name.
  /// - Throws: As `graphDef(outputs:)`, and where the file cannot be written.
  public func save(_ path: String, outputs: [Output]? = nil, format: GraphDefFormat? = nil) throws {
    if format == nil, path.hasSuffix(".mtg") {
      try DiagnosticList(diagnostics).throwIfAny()
      let sink = try FileSink(path: path)
      var text = GraphPrinter().print(self)
      try text.withUTF8 { try sink.write(UnsafeRawBufferPointer($0)) }
      return try sink.finish()
    }
    let format = format ?? (path.hasSuffix(".pbtxt") ? .text : .binary)
    try graphDef(outputs: outputs).write(to: path, format: format)
  }
}

extension Program {
  /// The program as a GraphDef: what its results and targets need, with placeholders for the arguments.
  ///
  /// - Throws: A `Diagnostic` that names the node where TensorFlow has no counterpart, as for the kernels of the fused form.
  public func graphDef() throws -> GraphDefRecord {
    try GraphDefWriter(main, library: library, isPruned: true).record()
  }
}
