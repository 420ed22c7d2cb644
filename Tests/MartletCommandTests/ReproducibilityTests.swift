import Foundation
import Martlet
import Testing

/// Two processes that are asked the same say the same.
@Suite struct ReproducibilityTests {
  /// A training step of a small convolutional network, saved with the gradients in it.
  private func saveNetwork(_ tool: Tool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4, 12, 12, 3], name: "x")
    let filter = graph.placeholder(.float32, shape: [3, 3, 3, 8], name: "filter")
    let w = graph.placeholder(.float32, shape: [288, 10], name: "w")
    let features = maxPool(relu(conv2D(x, filter, padding: .same)), size: 3, strides: 2, padding: .same)
    let noise = graph.randomNormal([4, 288], seed: 3) * 0.1
    let loss = mean(logSoftmax(matMul(reshape(features, [4, 288]) + noise, w)))
    let gradients = try gradients(of: [loss], withRespectTo: [filter, w]).compactMap { $0 }
    _ = identity(loss, name: "loss")
    for (i, gradient) in gradients.enumerated() { _ = identity(gradient, name: "gradient_\(i)") }
    try graph.save(tool.path("network.mtg"))
    for (name, shape) in [("x", [4, 12, 12, 3]), ("filter", [3, 3, 3, 8]), ("w", [288, 10])] {
      let elements = (0..<shape.reduce(1, *)).map { Float(($0 * 7919) % 1009) / 504.5 - 1 }
      try tool.saveArray(Tensor(elements, shape: shape), "\(name).npy")
    }
  }

  @Test("Plans are the same text in every process")
  func plans() throws {
    let tool = try Tool()
    try saveNetwork(tool)
    for flags in [[], ["--deterministic"]] {
      let runs = try (0..<3).map { _ in
        try tool.run(["inspect", "network.mtg", "--plan", "--kernels"] + flags)
      }
      #expect(runs[0].status == 0, "\(runs[0].messages)")
      #expect(runs.allSatisfy { $0.output == runs[0].output })
    }
  }

  @Test("Results have the same bits in every process, and with --deterministic for any number of threads")
  func results() throws {
    let tool = try Tool()
    try saveNetwork(tool)
    let names = ["loss", "gradient_0", "gradient_1"]
    func values(_ folder: String, _ flags: [String]) throws -> [Tensor] {
      let feeds = ["x", "filter", "w"].flatMap { ["--feed", "\($0)=\($0).npy"] }
      let fetches = names.flatMap { ["--fetch", $0] }
      let run = try tool.run(["run", "network.mtg", "--out", folder, "--repeat", "2"] + feeds + fetches + flags)
      #expect(run.status == 0, "\(run.messages)")
      return try names.map { try NPY.read(tool.path("\(folder)/\($0).npy")) }
    }
    #expect(try values("a", ["--threads", "2"]) == values("b", ["--threads", "2"]))
    let one = try values("c", ["--deterministic", "--threads", "1"])
    #expect(try values("d", ["--deterministic", "--threads", "2"]) == one)
    #expect(try values("e", ["--deterministic", "--threads", "3"]) == one)
  }

  @Test("doctor lists the library calls that depend on the number of threads")
  func doctor() throws {
    let object = try Tool().run("doctor", "--json").json()
    let calls = try #require(object["thread_dependent"] as? [[String: String]]).compactMap { $0["call"] }
    let hasDNN = (object["onednn"] as? [String: Any])?["available"] as? Bool == true
    #expect(calls.contains("oneDNN's gradients of pooling") == hasDNN)
    let none = try Tool().run(
      ["doctor", "--json"], environment: ["MARTLET_BLAS": "/none", "MARTLET_DNNL": "/none"]
    ).json()
    #expect((none["thread_dependent"] as? [Any])?.isEmpty == true)
  }
}
