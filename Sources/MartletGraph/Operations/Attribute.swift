import MartletTensors

/// The value of an operation's attribute, as a GraphDef and the text form know it. Floats compare by bits.
public indirect enum AttributeValue: Hashable, Sendable {
  case bool(Bool)
  case int(Int)
  case float(Float)
  case string([UInt8])
  case type(ElementType)
  case shape(Shape)
  case tensor(Constant)
  /// The name of a sub-graph.
  case function(String)
  case list([AttributeValue])
  /// A GraphDef attribute that has no counterpart here, kept as its bytes on the wire.
  case opaque([UInt8])

  public static func == (a: AttributeValue, b: AttributeValue) -> Bool {
    switch (a, b) {
    case (.bool(let x), .bool(let y)): x == y
    case (.int(let x), .int(let y)): x == y
    case (.float(let x), .float(let y)): x.bitPattern == y.bitPattern
    case (.string(let x), .string(let y)), (.opaque(let x), .opaque(let y)): x == y
    case (.type(let x), .type(let y)): x == y
    case (.shape(let x), .shape(let y)): x == y
    case (.tensor(let x), .tensor(let y)): x == y
    case (.function(let x), .function(let y)): x == y
    case (.list(let x), .list(let y)): x == y
    default: false
    }
  }

  public func hash(into hasher: inout Hasher) {
    switch self {
    case .bool(let x): hasher.combine(x)
    case .int(let x): hasher.combine(x)
    case .float(let x): hasher.combine(x.bitPattern)
    case .string(let x), .opaque(let x): hasher.combine(x)
    case .type(let x): hasher.combine(x)
    case .shape(let x): hasher.combine(x)
    case .tensor(let x): hasher.combine(x)
    case .function(let x): hasher.combine(x)
    case .list(let x): hasher.combine(x)
    }
  }

  /// A string attribute from text.
  public static func text(_ string: String) -> AttributeValue { .string(Array(string.utf8)) }
}

/// A Swift type that an operation may use for an attribute.
public protocol AttributeConvertible: Sendable {
  init?(_ value: AttributeValue)
  var attributeValue: AttributeValue { get }
}

extension Bool: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard case .bool(let x) = value else { return nil }
    self = x
  }
  public var attributeValue: AttributeValue { .bool(self) }
}
extension Int: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard case .int(let x) = value else { return nil }
    self = x
  }
  public var attributeValue: AttributeValue { .int(self) }
}
extension Float: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard case .float(let x) = value else { return nil }
    self = x
  }
  public var attributeValue: AttributeValue { .float(self) }
}
extension String: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard case .string(let x) = value else { return nil }
    self = String(decoding: x, as: UTF8.self)
  }
  public var attributeValue: AttributeValue { .text(self) }
}
extension ElementType: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard case .type(let x) = value else { return nil }
    self = x
  }
  public var attributeValue: AttributeValue { .type(self) }
}
extension Shape: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard case .shape(let x) = value else { return nil }
    self = x
  }
  public var attributeValue: AttributeValue { .shape(self) }
}
extension Constant: AttributeConvertible {
  public convenience init?(_ value: AttributeValue) {
    guard case .tensor(let x) = value else { return nil }
    self.init(x.tensor)
  }
  public var attributeValue: AttributeValue { .tensor(self) }
}
extension Array: AttributeConvertible where Element: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard case .list(let items) = value else { return nil }
    var result: [Element] = []
    result.reserveCapacity(items.count)
    for item in items {
      guard let element = Element(item) else { return nil }
      result.append(element)
    }
    self = result
  }
  public var attributeValue: AttributeValue { .list(map(\.attributeValue)) }
}

/// The name of a sub-graph in its graph's library.
public struct FunctionName: Hashable, AttributeConvertible, CustomStringConvertible {
  public var name: String
  public init(_ name: String) { self.name = name }
  public init?(_ value: AttributeValue) {
    guard case .function(let x) = value else { return nil }
    name = x
  }
  public var attributeValue: AttributeValue { .function(name) }
  public var description: String { "@\(name)" }
}
