import Foundation
import MartletGraph
import MartletOperations
import MartletTensors
import Testing

@testable import MartletFormats

/// The catalog's operations are TensorFlow's: operands, results and attributes have the same names, order and defaults.
@Suite(.enabled(if: TensorFlow.isAvailable)) struct RegistryTests {
  /// Where Martlet computes with more types than TensorFlow.
  private static let differences = [
    "SquaredDifference: 'T' cannot be uint8",
    "Conv2D: 'T' cannot be int64",
    "Conv2DBackpropInput: 'T' cannot be int64",
    "Conv2DBackpropFilter: 'T' cannot be int32, int64",
    "DepthwiseConv2dNative: 'T' cannot be int32, int64",
    "DepthwiseConv2dNativeBackpropInput: 'T' cannot be int32, int64",
    "DepthwiseConv2dNativeBackpropFilter: 'T' cannot be int32, int64",
    "FusedBatchNormV3: 'T' cannot be float64",
    "FusedBatchNormV3: 'U' cannot be float64, float16",
    "FusedBatchNormGradV3: inputs are [['y_backprop', 'T'], ['x', 'T'], ['scale', 'float32'], "
      + "['reserve_space_1', 'U'], ['reserve_space_2', 'U'], ['reserve_space_3', 'U']], "
      + "not [['y_backprop', 'T'], ['x', 'T'], ['scale', 'U'], "
      + "['reserve_space_1', 'U'], ['reserve_space_2', 'U'], ['reserve_space_3', 'U']]",
    "FusedBatchNormGradV3: 'T' cannot be float64",
    "FusedBatchNormGradV3: 'U' cannot be float64, float16, bfloat16",
  ]

  private struct Entry: Encodable {
    var name: String
    var inputs: [[String]]
    var outputs: [[String]]
    /// The attributes that follow from operands and results.
    var derived: [String]
    var types: [String: [String]]
  }

  @Test func operationsAreTensorFlows() throws {
    let types = Catalog.standard.types.filter { !$0.schema.name.hasPrefix("_") }
    try Fixture.withTemporaryFolder { folder in
      let entries = types.map { entry($0.schema) }
      try JSONEncoder().encode(entries).write(to: URL(filePath: folder + "/schemas.json"))
      let nodes = try types.map { type in
        NodeRecord(
          name: type.schema.name, op: type.schema.name,
          attributes: try type.init().attributes.items.map { NamedAttribute($0.name, try AttributeRecord($0.value)) })
      }
      try GraphDefRecord(nodes: nodes).write(to: folder + "/defaults.pb")
      let result = try TensorFlow.script("check_registry.py", [folder + "/schemas.json", folder + "/defaults.pb"])
      #expect(result.status < 2)
      #expect(result.output.split(separator: "\n").map(String.init) == Self.differences)
    }
  }

  private func entry(_ schema: Schema) -> Entry {
    func spell(_ arguments: [Schema.Argument]) -> [[String]] {
      arguments.map { argument in
        switch argument.kind {
        case .one: [argument.name, argument.type]
        case .list(let count): [argument.name, "\(count)*\(argument.type)"]
        case .typeList(let attribute): [argument.name, "[\(attribute)]"]
        }
      }
    }
    var derived = schema.typeVariables.map(\.name)
    for argument in schema.inputs + schema.outputs {
      switch argument.kind {
      case .one: break
      case .list(let attribute), .typeList(let attribute): derived.append(attribute)
      }
    }
    let types = schema.typeVariables.map { ($0.name, $0.types.types.map(\.name)) }
    return Entry(
      name: schema.name, inputs: spell(schema.inputs), outputs: spell(schema.outputs), derived: derived,
      types: Dictionary(types) { first, _ in first })
  }
}
