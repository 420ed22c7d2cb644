import MartletDiagnostics
import MartletGraph
import MartletOperations

extension Graph {
  /// Reads a graph from a file: a GraphDef in binary (`.pb`) or as text (`.pbtxt`), or Martlet's own text form (`.mtg`). Which
  /// one it is shows in the content.
  ///
  ///     let graph = try Graph(loading: "lenet.pb")
  ///     let session = try Session(graph)
  ///
  /// Nodes keep their names. An operation that the catalog lacks is kept as it is, with all its attributes: it can be
  /// written again, but not run.
  ///
  /// - Throws: A `Diagnostic` that names the file, the node and the field.
  public convenience init(loading path: String, catalog: Catalog = .standard) throws {
    let file = try FileBytes(path: path)
    defer { withExtendedLifetime(file) {} }
    if Self.isMartletText(file.bytes) {
      guard let text = String(validating: file.bytes, as: UTF8.self) else { throw Diagnostic("\(path) is not UTF-8") }
      try self.init(parsing: text, file: path) { name, attributes throws(Diagnostic) in
        catalog.type(named: name) == nil ? nil : try catalog.operation(named: name, attributes: attributes)
      }
    } else {
      try self.init(try GraphDefRecord(file.bytes, format: nil, name: path), catalog: catalog, file: path)
    }
  }

  /// A graph with the nodes and the functions of a GraphDef.
  ///
  /// - Parameters:
  ///   - file: What messages call the record.
  /// - Throws: A `Diagnostic` that names the file, the node and the field.
  public convenience init(_ record: GraphDefRecord, catalog: Catalog = .standard, file: String = "GraphDef") throws {
    self.init()
    try GraphDefReader(record, catalog: catalog, file: file).read(into: self)
  }

  /// Whether bytes begin as the text form does: with `graph` or `function`, perhaps after comments.
  private static func isMartletText(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var rest = bytes.prefix(1 << 12)[...]
    while let first = rest.first {
      if first == 0x20 || first == 0x09 || first == 0x0a || first == 0x0d {
        rest = rest.dropFirst()
      } else if rest.starts(with: Array("//".utf8)) {
        rest = rest.drop { $0 != 0x0a }
      } else {
        break
      }
    }
    return ["graph {", "function @"].contains { rest.starts(with: Array($0.utf8)) }
  }
}
