import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// What reading has to know of an operation that the catalog has.
final class OperationKind {
  let schema: Schema
  private let make: (AttributeList) throws(Diagnostic) -> any Operation
  private let attributeNames: Set<String>
  /// Which operands are handed to the functions that the operation runs.
  let functionArguments: (_ operandCount: Int) -> Range<Int>

  init(_ type: any Operation.Type) {
    make = Self.maker(type)
    schema = type.schema
    let example = type.init()
    attributeNames = Self.attributeNames(type)
    functionArguments = { example.functionArguments(operandCount: $0) }
  }

  private static func attributeNames<O: Operation>(_ type: O.Type) -> Set<String> {
    Set(O.attributeTable.fields.map(\.name))
  }

  /// The operation with the attributes of a node. Attributes that only TensorFlow has are left out.
  ///
  /// - Throws: A `Diagnostic` that names the attribute.
  func operation(_ node: NodeRecord) throws(Diagnostic) -> any Operation {
    guard !attributeNames.isEmpty else { return try make(AttributeList()) }
    var items: [AttributeList.Item] = []
    for attribute in node.attributes where attributeNames.contains(attribute.name) {
      do throws(Diagnostic) {
        items.append(.init(attribute.name, try AttributeValue(attribute.value)))
      } catch {
        var diagnostic = error
        diagnostic.message = "attribute '\(attribute.name)': \(error.message)"
        throw diagnostic
      }
    }
    let operation = try make(AttributeList(items))
    guard case .variable = operation.stateRole, node.attributes["shared_name"]?.isEmptyText ?? true else {
      return operation
    }
    // A variable without a name of its own has that of its node.
    items.removeAll { $0.name == "shared_name" }
    return try make(AttributeList(items + [.init("shared_name", .text(node.name))]))
  }

  private static func maker<O: Operation>(
    _ type: O.Type
  ) -> (AttributeList) throws(Diagnostic) -> any Operation {
    { list throws(Diagnostic) in try O(list) }
  }

  /// Why a node cannot be this operation although the catalog has it: it is of an element type that Martlet does not
  /// compute with. Nil if it can.
  func mismatch(_ node: NodeRecord) -> String? {
    for variable in schema.typeVariables {
      guard case .type(let code) = node.attributes[variable.name] else { continue }
      guard let type = ElementType(tensorFlowCode: code), variable.types.types.contains(type) else {
        return "attribute '\(variable.name)' is \(Self.name(ofType: code))"
      }
    }
    for case .typeList(let attribute) in (schema.inputs + schema.outputs).map(\.kind) {
      guard case .list(let list) = node.attributes[attribute] else { continue }
      // Text among the values that are only shown is left out, see ``isShown``.
      let refused = list.types.first { !Self.isUsable($0) && !($0 == ElementType.string.tensorFlowCode && isShown) }
      if let refused { return "attribute '\(attribute)' has \(Self.name(ofType: refused))" }
    }
    return nil
  }

  /// Whether the operation only shows its operands.
  var isShown: Bool { schema.outputs.isEmpty && !schema.traits.contains(.pure) }

  private static func isUsable(_ code: Int32) -> Bool {
    code == resourceTypeCode || ElementType(tensorFlowCode: code)?.isComputable ?? false
  }

  private static func name(ofType code: Int32) -> String {
    ElementType(tensorFlowCode: code)?.name ?? "the type with TensorFlow's number \(code)"
  }

  /// The element type that each operand of a node is said to have; nil where that is not said.
  func operandTypes(_ node: NodeRecord, count: Int) -> [ElementType?] {
    guard let ranges = schema.ranges(of: schema.inputs, count: count) else {
      return Array(repeating: nil, count: count)
    }
    var types: [ElementType?] = []
    for (input, range) in zip(schema.inputs, ranges) {
      if case .typeList(let attribute) = input.kind {
        guard case .list(let list) = node.attributes[attribute], list.types.count == range.count else {
          types += Array(repeating: nil, count: range.count)
          continue
        }
        types += list.types.map { ElementType(tensorFlowCode: $0) }
      } else {
        var type = ElementType(name: input.type)
        if case .type(let code) = node.attributes[input.type] { type = ElementType(tensorFlowCode: code) }
        types += Array(repeating: type, count: range.count)
      }
    }
    return types
  }
}

extension AttributeRecord {
  fileprivate var isEmptyText: Bool {
    if case .bytes(let bytes) = self { bytes.isEmpty } else { false }
  }

  /// The names of the functions that the value refers to, those within a function's own attributes too.
  var functionNames: [String] {
    switch self {
    case .function(let reference): reference.functionNames
    case .list(let list): list.functions.flatMap(\.functionNames)
    default: []
    }
  }
}

extension FunctionReference {
  /// Attributes nest no deeper than the records' readers allow.
  fileprivate var functionNames: [String] { [name] + attributes.flatMap(\.value.functionNames) }
}
