import MartletDiagnostics
import MartletGraph

/// Makes records of the nodes of a graph or of a function's body.
struct BodyWriter {
  private let storage: GraphStorage
  /// The function's arguments by their values; nil for the graph itself.
  private let arguments: [ValueID: String]?
  private let names: NodeNames
  /// The attributes of each distinct operation.
  private var attributes: [[NamedAttribute]?] = []

  init(_ storage: GraphStorage, nodes: [NodeID]) {
    self.storage = storage
    arguments = nil
    names = NodeNames(storage, nodes)
  }

  init(_ function: GraphFunction, nodes: [NodeID]) {
    storage = function.body
    names = NodeNames(function.body, nodes + function.arguments.map { function.body.producer(of: $0) })
    var arguments: [ValueID: String] = [:]
    for argument in function.arguments { arguments[argument] = names[function.body.producer(of: argument)] }
    self.arguments = arguments
  }

  func name(of node: NodeID) -> String { names[node] }

  /// The record of a node.
  ///
  /// - Throws: A `Diagnostic` where TensorFlow has no such node.
  mutating func record(of node: NodeID) throws -> NodeRecord {
    let schema = storage.schema(of: node)
    let operands = storage.operands(of: node)
    if arguments == nil, schema.traits.contains(.argument) { return try placeholder(node) }
    do {
      let isForeign = storage.operation(of: node) is ForeignOperation
      guard isForeign || !schema.name.hasPrefix("_") else {
        throw Diagnostic(
          "TensorFlow has no operation for what \(schema.name) does",
          hint: "save the graph in Martlet's own text form, as .mtg")
      }
      var record = NodeRecord(name: names[node], op: schema.name, device: storage.scope(of: node).device)
      record.inputs.reserveCapacity(operands.count)
      for operand in operands { record.inputs.append(try reference(to: operand)) }
      for control in storage.controls(of: node) { record.inputs.append("^\(names[control])") }
      record.attributes = try attributes(of: node)
      if isForeign, let i = record.attributes.firstIndex(where: { $0.name == otherFieldsName }) {
        if case .opaque(let bytes) = storage.attributes(of: node)[otherFieldsName] {
          record.otherFields = bytes.withUnsafeBytes { fieldRecords(of: $0) }
        }
        record.attributes.remove(at: i)
      }
      try addDerivedAttributes(to: &record, schema, node, operands)
      return record
    } catch var diagnostic as Diagnostic {
      diagnostic.operation = diagnostic.operation ?? "\(schema.name) '\(storage.name(of: node))'"
      if diagnostic.site == .unknown { diagnostic.site = storage.site(of: node) }
      throw diagnostic
    }
  }

  /// What a feed is in a GraphDef.
  private func placeholder(_ node: NodeID) throws(Diagnostic) -> NodeRecord {
    let type = storage.type(of: storage.results(of: node)[0])
    guard case .tensor(let tensor) = type else {
      throw Diagnostic("'\(storage.name(of: node))' is \(type), which cannot be fed to TensorFlow")
    }
    return NodeRecord(
      name: names[node], op: "Placeholder",
      attributes: [
        NamedAttribute("dtype", .type(tensor.elementType.tensorFlowCode)),
        NamedAttribute("shape", .shape(ShapeRecord(tensor.shape))),
      ])
  }

  private mutating func attributes(of node: NodeID) throws -> [NamedAttribute] {
    let place = Int(storage.operationID(of: node).index)
    while attributes.count <= place { attributes.append(nil) }
    if let known = attributes[place] { return known }
    let list = try storage.attributes(of: node).items.map { item in
      item.name == otherFieldsName
        ? NamedAttribute(item.name, .unknown([])) : NamedAttribute(item.name, try AttributeRecord(item.value))
    }
    attributes[place] = list
    return list
  }

  private func addDerivedAttributes(
    to record: inout NodeRecord, _ schema: Schema, _ node: NodeID, _ operands: [ValueID]
  ) throws(Diagnostic) {
    let derived = schema.derivedAttributes(
      operands: operands.map { storage.type(of: $0) },
      results: storage.results(of: node).map { storage.type(of: $0) })
    for attribute in derived where !record.attributes.contains(where: { $0.name == attribute.name }) {
      guard let value = attribute.value else {
        throw Diagnostic(
          "attribute '\(attribute.name)' is not known",
          hint: "it follows from values of operations that Martlet does not know")
      }
      record.attributes.append(NamedAttribute(attribute.name, value))
    }
  }

  /// How another node, or a function's return, names a value.
  func reference(to value: ValueID) throws(Diagnostic) -> String {
    let node = storage.producer(of: value)
    let number = storage.resultNumber(of: value)
    guard let arguments else { return number == 0 ? names[node] : "\(names[node]):\(number)" }
    if let argument = arguments[value] { return argument }
    if let foreign = storage.operation(of: node) as? ForeignOperation {
      let name = foreign.results[number].name
      guard !name.isEmpty else {
        throw Diagnostic("result \(number) of \(foreign.name) has no name, which it needs in a function")
      }
      return "\(names[node]):\(name)"
    }
    let outputs = storage.schema(of: node).outputs
    let ranges = storage.schema(of: node).ranges(of: outputs, count: storage.resultCount(of: node)) ?? []
    for (output, range) in zip(outputs, ranges) where range.contains(number) {
      return "\(names[node]):\(output.name):\(number - range.lowerBound)"
    }
    preconditionFailure("\(names[node]) has no result \(number)")
  }
}

/// Names of nodes as TensorFlow allows them: letters, digits and `_ . - /`, the first a letter, a digit or a dot.
struct NodeNames {
  private let storage: GraphStorage
  /// New names for those that TensorFlow would refuse.
  private var replacements: [NodeID: String] = [:]

  init(_ storage: GraphStorage, _ nodes: [NodeID]) {
    self.storage = storage
    var used: Set<String> = []
    for node in nodes {
      let name = storage.name(of: node)
      guard !Self.isAllowed(name) else { continue }
      let wanted = Self.allowed(name)
      var candidate = wanted
      var number = 0
      while storage.node(named: candidate) != nil || !used.insert(candidate).inserted {
        number += 1
        candidate = "\(wanted)_\(number)"
      }
      replacements[node] = candidate
    }
  }

  subscript(node: NodeID) -> String {
    if replacements.isEmpty { return storage.name(of: node) }
    return replacements[node] ?? storage.name(of: node)
  }

  static func isAllowed(_ name: String) -> Bool {
    guard let first = name.utf8.first, isAllowed(first), !isPunctuation(first) else { return false }
    return name.utf8.allSatisfy { isAllowed($0) }
  }

  /// A name with `_` in the place of what is not allowed.
  static func allowed(_ name: String) -> String {
    let text = String(
      decoding: name.utf8.map { isAllowed($0) ? $0 : UInt8(ascii: "_") }.drop { isPunctuation($0) }, as: UTF8.self)
    return text.isEmpty ? "node" : text
  }

  private static func isPunctuation(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "/")
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."):
      true
    default: isPunctuation(byte)
    }
  }
}
