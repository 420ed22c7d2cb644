import MartletGraph
import MartletTensors

/// The number that TensorFlow gives the type of a variable's handle.
let resourceTypeCode: Int32 = 20

extension ValueType {
  /// TensorFlow's number for the type of this value; nil if it is not known.
  var tensorFlowCode: Int32? {
    switch self {
    case .tensor(let type): type.elementType.tensorFlowCode
    case .resource: resourceTypeCode
    case .foreign, .poison: nil
    }
  }
}

extension Schema {
  /// An attribute that follows from a node's operands and results.
  struct DerivedAttribute {
    var name: String
    /// Nil where nothing says what it is.
    var value: AttributeRecord?
  }

  /// The attributes that a GraphDef has and a graph does without: element types, numbers of values, lists of types.
  func derivedAttributes(operands: [ValueType], results: [ValueType]) -> [DerivedAttribute] {
    var attributes: [DerivedAttribute] = []
    func add(_ name: String, _ value: AttributeRecord?) {
      if let i = attributes.firstIndex(where: { $0.name == name }) {
        if attributes[i].value == nil { attributes[i].value = value }
      } else {
        attributes.append(DerivedAttribute(name: name, value: value))
      }
    }
    func visit(_ arguments: [Argument], _ types: [ValueType]) {
      guard let ranges = ranges(of: arguments, count: types.count) else { return }
      for (argument, range) in zip(arguments, ranges) {
        switch argument.kind {
        case .typeList(let attribute):
          let codes = types[range].map(\.tensorFlowCode)
          let known = codes.compactMap { $0 }
          add(attribute, known.count == codes.count ? .list(ListRecord(types: known)) : nil)
          continue
        case .list(let attribute): add(attribute, .int(Int64(range.count)))
        case .one: break
        }
        if typeVariables.contains(where: { $0.name == argument.type }) {
          add(argument.type, types[range].lazy.compactMap(\.tensorFlowCode).first.map { .type($0) })
        }
      }
    }
    visit(inputs, operands)
    visit(outputs, results)
    return attributes
  }
}
