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

  /// Loads the model and expects that a session computes what TensorFlow did, to 1e-5.
  func check(_ graph: Graph, _ comment: String = "") throws {
    let session = try Session(graph, options: SessionOptions(threads: 1))
    var tensors: [Output: Tensor] = [:]
    for (name, array) in feeds { tensors[try #require(graph.output(named: name))] = try array.tensor() }
    let names = outputs.keys.sorted()
    let fetches = try names.map { try #require(graph.output(named: $0)) }
    let values = try session.run(fetches, feeds: tensors)
    for (name, value) in zip(names, values) {
      expectClose(
        value, try #require(outputs[name]).tensor(), relative: 1e-5, absolute: 2e-6, "\(self.name) \(name) \(comment)")
    }
  }
}
