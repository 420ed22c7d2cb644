import Foundation
import Martlet
import MartletTensors
import MartletTestSupport
import Testing

/// A model that TensorFlow has written, with what it computes; `Scripts/interop/make_models.py` makes them.
struct ModelFixture: Decodable, Sendable, CustomStringConvertible {
  var name: String
  var feeds: [String: GoldenCase.Array]
  var outputs: [String: GoldenCase.Array]

  var description: String { name }

  /// The models of a folder.
  static func load(_ folder: String) throws -> [ModelFixture] {
    try JSONDecoder().decode([ModelFixture].self, from: try Data(contentsOf: URL(filePath: folder + "/models.json")))
  }

  /// Loads the model and expects that a session computes what TensorFlow did, to 1e-5, or to four units in the last place of
  /// 16 bits, since TensorFlow rounds the results of each operation.
  func check(_ graph: Graph, _ comment: String = "") throws {
    let session = try Session(graph, options: SessionOptions(threads: 1))
    var tensors: [Output: Tensor] = [:]
    for (name, array) in feeds { tensors[try #require(graph.output(named: name))] = try array.tensor() }
    let names = outputs.keys.sorted()
    let fetches = try names.map { try #require(graph.output(named: $0)) }
    let values = try session.run(fetches, feeds: tensors)
    for (name, value) in zip(names, values) {
      let expected = try #require(outputs[name]).tensor()
      let unit = expected.elementType.isHalf ? 2 / Double(1 << expected.elementType.significandWidth) : 0
      expectClose(
        value, expected, relative: max(1e-5, 4 * unit), absolute: max(2e-6, 4 * unit),
        "\(self.name) \(name) \(comment)")
    }
  }
}
