import MartletDiagnostics
import MartletGraph

/// The operations that readers, the text form and the contract tests know, by TensorFlow's names.
///
/// A user's own operations join those of Martlet by ``adding(_:)``:
///
///     let catalog = Catalog.standard.adding([MyOperation.self])
public struct Catalog: Sendable {
  /// The operations, in the order in which they were listed.
  public private(set) var types: [any Operation.Type] = []
  private var index: [String: Int] = [:]
  private let aliases: [String: String]

  /// A catalog of these operations; of two with one name the later counts.
  ///
  /// - Parameter aliases: Older names, each with the name of the operation that does the same.
  public init(_ types: [any Operation.Type], aliases: KeyValuePairs<String, String> = [:]) {
    self.aliases = Dictionary(aliases.map { ($0.key, $0.value) }) { _, last in last }
    for type in types { insert(type) }
  }

  /// Every operation of Martlet, by family.
  public static let standard = Catalog(
    arrayOperations + elementwiseOperations + reductionOperations + linearAlgebraOperations + networkOperations
      + randomOperations + stateOperations + controlOperations,
    aliases: [
      "Add": "AddV2", "BatchMatMul": "BatchMatMulV2", "BatchMatMulV3": "BatchMatMulV2", "Div": "RealDiv",
      "FusedBatchNorm": "FusedBatchNormV3", "FusedBatchNormV2": "FusedBatchNormV3",
      "PlaceholderV2": "Placeholder", "Snapshot": "Identity",
    ])

  /// This catalog with further operations, which replace those of the same name.
  public func adding(_ types: [any Operation.Type]) -> Catalog {
    var result = self
    for type in types { result.insert(type) }
    return result
  }

  /// The operation of a name or of an older name for it; nil if there is none.
  public func type(named name: String) -> (any Operation.Type)? {
    (index[name] ?? aliases[name].flatMap { index[$0] }).map { types[$0] }
  }

  /// The operation of a name with the given attributes. Attributes that it does not have are ignored.
  ///
  /// - Throws: a diagnostic if there is no such operation, or if an attribute has a value of another kind.
  public func operation(named name: String, attributes: AttributeList) throws(Diagnostic) -> any Operation {
    guard let type = type(named: name) else {
      throw Diagnostic(
        "Martlet does not know the operation \(name)", hint: "define it as an Operation and give it in the catalog")
    }
    return try Self.make(type, attributes)
  }

  private static func make<O: Operation>(_ type: O.Type, _ attributes: AttributeList) throws(Diagnostic) -> O {
    try O(attributes)
  }

  private mutating func insert(_ type: any Operation.Type) {
    let name = type.schema.name
    if let i = index[name] {
      types[i] = type
    } else {
      index[name] = types.count
      types.append(type)
    }
  }
}
