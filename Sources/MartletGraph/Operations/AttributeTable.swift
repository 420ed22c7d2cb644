import MartletDiagnostics

/// One attribute of an operation: its name on the wire and where the operation holds it.
public struct AttributeField<Owner>: Sendable {
  public let name: String
  let read: @Sendable (Owner) -> AttributeValue
  let write: @Sendable (inout Owner, AttributeValue) -> Bool

  public init<Value: AttributeConvertible>(_ name: String, _ path: WritableKeyPath<Owner, Value> & Sendable) {
    self.name = name
    read = { $0[keyPath: path].attributeValue }
    write = { owner, value in
      guard let converted = Value(value) else { return false }
      owner[keyPath: path] = converted
      return true
    }
  }

  /// An attribute that may be absent.
  public init<Value: AttributeConvertible>(
    optional name: String, _ path: WritableKeyPath<Owner, Value?> & Sendable
  ) {
    self.name = name
    read = { $0[keyPath: path]?.attributeValue ?? AttributeList.absent }
    write = { owner, value in
      guard let converted = Value(value) else { return false }
      owner[keyPath: path] = converted
      return true
    }
  }
}

/// An operation's attributes, in order: from this one table come GraphDef's coding, the text form, equality and hashing.
public struct AttributeTable<Owner>: Sendable, ExpressibleByArrayLiteral {
  public var fields: [AttributeField<Owner>]
  public init(arrayLiteral fields: AttributeField<Owner>...) { self.fields = fields }
}

/// Attributes by name, in the order of the operation's table.
public struct AttributeList: Hashable, Sendable {
  public var items: [Item]

  public struct Item: Hashable, Sendable {
    public var name: String
    public var value: AttributeValue
    public init(_ name: String, _ value: AttributeValue) { (self.name, self.value) = (name, value) }
  }

  public init(_ items: [Item] = []) { self.items = items }
  public subscript(name: String) -> AttributeValue? { items.first { $0.name == name }?.value }
  public var isEmpty: Bool { items.isEmpty }

  static let absent = AttributeValue.opaque([])
}

extension Operation {
  /// Whether every value of this type is the same operation.
  var hasNoAttributes: Bool { Self.attributeTable.fields.isEmpty && !(self is ForeignOperation) }

  /// All attributes with their values.
  public var attributes: AttributeList {
    var items: [AttributeList.Item] = []
    items.reserveCapacity(Self.attributeTable.fields.count)
    for field in Self.attributeTable.fields {
      let value = field.read(self)
      if value != AttributeList.absent { items.append(.init(field.name, value)) }
    }
    return AttributeList(items)
  }

  /// The operation with the given attributes; those not given keep their defaults, names that the table lacks are
  /// ignored.
  ///
  /// - Throws: a diagnostic if an attribute has another kind of value than the operation's.
  public init(_ attributes: AttributeList) throws(Diagnostic) {
    self.init()
    for item in attributes.items {
      guard let field = Self.attributeTable.fields.first(where: { $0.name == item.name }) else { continue }
      guard field.write(&self, item.value) else {
        throw Diagnostic(
          "attribute '\(item.name)' of \(Self.schema.name) has a value of another kind",
          required: "a value like \(field.read(self))", found: "\(item.value)")
      }
    }
  }
}
