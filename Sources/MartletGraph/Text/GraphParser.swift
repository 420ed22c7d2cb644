import MartletDiagnostics
import MartletTensors

/// Finds the operation of a name; nil if it is unknown.
public typealias OperationLookup = (_ name: String, _ attributes: AttributeList) throws(Diagnostic) -> (any Operation)?

extension Graph {
  /// Reads a graph in the text form.
  ///
  /// - Parameters:
  ///   - text: what `GraphPrinter` writes, without shortened arrays.
  ///   - file: what messages call the text.
  ///   - lookup: the operations; an unknown one becomes a `ForeignOperation`.
  /// - Throws: a diagnostic that names the line, if the text is not well formed or does not fit together.
  public convenience init(
    parsing text: String, file: String = "text", lookup: @escaping OperationLookup
  ) throws(Diagnostic) {
    self.init()
    var parser = try GraphParser(Array(text.utf8), file: file, lookup: lookup)
    try parser.parse(into: self)
  }
}

struct GraphParser {
  private var lexer: TextLexer
  private let file: String
  private let lookup: OperationLookup

  init(_ bytes: [UInt8], file: String, lookup: @escaping OperationLookup) throws(Diagnostic) {
    lexer = try TextLexer(bytes, file: file)
    self.file = file
    self.lookup = lookup
  }

  /// Reads the graph and its functions. Functions may be written in any order, so the graph's own nodes come last.
  mutating func parse(into graph: Graph) throws(Diagnostic) {
    var main: TextLexer?
    while lexer.token != .end {
      if try lexer.takes(word: "graph") {
        guard main == nil else { throw lexer.fail("a text has one graph") }
        main = lexer
        try skipBlock()
      } else if try lexer.takes(word: "function") {
        graph.setLibrary(try function(graph.library))
      } else {
        throw lexer.fail("the text does not go on as it should", required: "graph or function")
      }
    }
    guard let main else { return }
    lexer = main
    try lexer.take("{")
    var values: [String: [Output]] = [:]
    while !lexer.isAt("}") { try node(graph, &values) }
    try lexer.take("}")
  }

  /// Parses a function's text alone.
  mutating func function(_ library: FunctionLibrary) throws(Diagnostic) -> FunctionLibrary {
    try lexer.take("@")
    let name = try lexer.name("a function's name")
    let body = Graph(GraphStorage(), library: library)
    var values: [String: [Output]] = [:]
    var arguments: [ValueID] = []
    try lexer.take("(")
    while !lexer.isAt(")") {
      try lexer.take("%")
      let argument = try lexer.name("an argument's name")
      try lexer.take(":")
      let type = try lexer.valueType()
      let output = try insert(Argument(index: arguments.count, type: type), argument, [], [], "", body, &values)
      arguments += output.map(\.id)
      guard try lexer.takes(",") else { break }
    }
    try lexer.take(")")
    try lexer.take("{")
    while !lexer.isAt(word: "return") { try node(body, &values) }
    try lexer.advance()
    var results: [ValueID] = []
    while lexer.isAt("%") {
      results.append(try reference(values).id)
      guard try lexer.takes(",") else { break }
    }
    let targets = try lexer.takes(word: "after") ? try nodeList(body) : []
    var gradient: FunctionName?
    if try lexer.takes(word: "gradient") {
      try lexer.take("@")
      gradient = FunctionName(try lexer.name("a function's name"))
    }
    try lexer.take("}")
    var result = body.library
    guard result[FunctionName(name)] == nil else { throw lexer.fail("two functions are named '\(name)'") }
    result.replace(
      GraphFunction(
        name: name, body: body.storage, arguments: arguments, results: results, targets: targets, gradient: gradient))
    return result
  }

  private mutating func skipBlock() throws(Diagnostic) {
    try lexer.take("{")
    var depth = 1
    while depth > 0 {
      if lexer.token == .end { throw lexer.fail("a block does not end", required: "'}'") }
      if lexer.isAt("{") { depth += 1 }
      if lexer.isAt("}") { depth -= 1 }
      try lexer.advance()
    }
  }

  private mutating func node(_ graph: Graph, _ values: inout [String: [Output]]) throws(Diagnostic) {
    try lexer.take("%")
    let name = try lexer.name("a node's name")
    try lexer.take("=")
    let isForeign = try lexer.takes("?")
    let operationName = try lexer.name("an operation's name")
    try lexer.take("(")
    var operands: [Output] = []
    while !lexer.isAt(")") {
      operands.append(try reference(values))
      guard try lexer.takes(",") else { break }
    }
    try lexer.take(")")
    var items: [AttributeList.Item] = []
    if try lexer.takes("{") {
      while !lexer.isAt("}") {
        let key = try lexer.name("an attribute's name")
        try lexer.take(":")
        items.append(.init(key, try lexer.attributeValue()))
        guard try lexer.takes(",") else { break }
      }
      try lexer.take("}")
    }
    let controls = try lexer.takes(word: "after") ? try nodeList(graph) : []
    let device = try lexer.takes(word: "on") ? try lexer.name("a device") : ""
    var types: [ValueType] = []
    if try lexer.takes(":") {
      repeat { types.append(try lexer.valueType()) } while try lexer.takes(",")
    }
    let known = isForeign ? nil : try lookup(operationName, AttributeList(items))
    let operation =
      known ?? ForeignOperation(parsed: operationName, items, inputCount: operands.count, resultTypes: types)
    let outputs = try insert(operation, name, operands, controls, device, graph, &values)
    guard outputs.count == types.count else {
      throw lexer.fail("'\(name)' has \(outputs.count) results, but \(types.count) types are given")
    }
    for (output, type) in zip(outputs, types) {
      guard output.type.elementType == type.elementType, output.shape.isCompatible(with: type.shape) else {
        throw lexer.fail("'\(name)' is \(AttributePrinter.print(output.type)), not \(AttributePrinter.print(type))")
      }
    }
  }

  private func insert(
    _ operation: any Operation, _ name: String, _ operands: [Output], _ controls: [NodeID], _ device: String,
    _ graph: Graph, _ values: inout [String: [Output]]
  ) throws(Diagnostic) -> [Output] {
    guard values[name] == nil, !graph.hasNode(named: name) else { throw lexer.fail("two nodes are named '\(name)'") }
    let outputs = graph.insert(
      operation, operands, name: name, controls: controls, site: BuildSite(file: file, line: lexer.line),
      scope: NodeScope(name: "", device: device)
    ).outputs
    if let mistake = graph.diagnostics.last { throw mistake }
    values[name] = outputs
    return outputs
  }

  /// `%name` or `%name:k`.
  private mutating func reference(_ values: [String: [Output]]) throws(Diagnostic) -> Output {
    try lexer.take("%")
    let name = try lexer.name("a value's name")
    let number = try lexer.takes(":") ? try lexer.integer("a result's number") : 0
    guard let outputs = values[name] else { throw lexer.fail("'\(name)' is used before it is defined") }
    guard outputs.indices.contains(number) else { throw lexer.fail("'\(name)' has no result \(number)") }
    return outputs[number]
  }

  private mutating func nodeList(_ graph: Graph) throws(Diagnostic) -> [NodeID] {
    var nodes: [NodeID] = []
    repeat {
      try lexer.take("%")
      let name = try lexer.name("a node's name")
      guard let node = graph.node(named: name) else { throw lexer.fail("there is no node '\(name)'") }
      nodes.append(node)
    } while try lexer.takes(",")
    return nodes
  }
}
