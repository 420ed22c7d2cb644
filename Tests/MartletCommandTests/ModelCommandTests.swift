import Foundation
import Martlet
import Testing

@Suite struct ModelCommandTests {
  @Test("inspect tells what goes in, what comes out, and what is inside")
  func inspect() throws {
    let tool = try Tool()
    try tool.saveModel()
    let object = try tool.run("inspect", "model.mtg", "--json").json()
    #expect(
      Set(object.keys) == [
        "nodes", "functions", "inputs", "outputs", "variables", "operations", "unsupported", "plan", "peak_bytes",
        "memory", "compile",
      ])
    let input = try #require((object["inputs"] as? [[String: Any]])?.first)
    #expect(input["name"] as? String == "x")
    #expect(input["dtype"] as? String == "float32")
    let shape = try #require(input["shape"] as? [Any])
    #expect(shape[0] is NSNull && shape[1] as? Int == 3)
    #expect((object["outputs"] as? [[String: Any]])?.map { $0["name"] as? String } == ["sum"])
    let operations = try #require(object["operations"] as? [[String: Any]])
    let counts = Dictionary(uniqueKeysWithValues: operations.map { ($0["name"] as! String, $0["count"] as! Int) })
    #expect(counts == ["Placeholder": 1, "Mul": 1, "AddV2": 1, "Identity": 1, "Sum": 1, "Const": 3])
    #expect(object["plan"] is NSNull)
    #expect(object["compile"] is NSNull)
  }

  /// Hashing differs from process to process, and nothing that depends on it may show.
  @Test("Plans are the same in every process")
  func plansAreTheSame() throws {
    let tool = try Tool()
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [64, 32], name: "x")
    let labels = graph.placeholder(.int32, shape: [64], name: "labels")
    let weights = (0..<3).map { graph.variable("w\($0)", [32, 32], .zeros) }
    let y = weights.reduce(x) { y, w in
      let product = matMul(y, w)
      return relu(product) + tanh(product) * sigmoid(product)
    }
    let loss = mean(sparseSoftmaxCrossEntropy(logits: y, labels: labels), name: "loss")
    let step = Adam(learningRate: 0.1).minimize(loss, name: "step")
    _ = step
    try graph.save(tool.path("train.mtg"))
    let texts = try (0..<3).map { _ in
      let result = try tool.run(
        "inspect", "train.mtg", "--plan", "--kernels", "--fetch", "loss", "--target", "step/step")
      #expect(result.status == 0, "\(result.messages)")
      return result.output
    }
    #expect(texts[0].contains("kernel"))
    #expect(texts[0] == texts[1] && texts[1] == texts[2])
  }

  @Test("inspect --plan takes extents that are not known as 1, or as given")
  func plan() throws {
    let tool = try Tool()
    try tool.saveModel()
    let one = try tool.run("inspect", "model.mtg", "--plan", "--fetch", "layer/y", "--json").json()
    #expect(one["peak_bytes"] as? Int == 12)
    let compile = try #require(one["compile"] as? [String: Any])
    #expect(try #require(compile["planning_s"] as? Double) > 0)
    #expect((compile["passes"] as? [[String: Any]])?.isEmpty == false)
    let ten = try tool.run(
      "inspect", "model.mtg", "--plan", "--fetch", "layer/y", "--shape", "x=10,3", "--json")
    #expect(try ten.json()["peak_bytes"] as? Int == 120)
    #expect(try ten.json()["plan"] as? [String: Int] == ["kernels": 1, "instructions": 1, "arena_bytes": 0])
    let text = try tool.run("inspect", "model.mtg", "--plan", "--shape", "x=10,3").output
    #expect(text.contains("argument %0 float32[10, 3] 'x'"))
    let wrong = try tool.run("inspect", "model.mtg", "--plan", "--shape", "x=10,4")
    #expect(wrong.status == 1)
    #expect(
      wrong.messages
        == "error: Placeholder 'x': the shape given for it does not fit; requires float32[?, 3]; found float32[10, 4]\n"
    )
  }

  @Test("Rules are proved, and left out by name")
  func withoutRule() throws {
    let tool = try Tool()
    let text = """
      graph {
        %x = Placeholder() {dtype: float32, shape: shape[2]} : float32[2]
        %one = Const() {value: float32[] <1.0>} : float32[]
        %sum = AddV2(%x, %one) : float32[2]
        %y = Log(%sum) : float32[2]
      }
      """
    try Data(text.utf8).write(to: URL(fileURLWithPath: tool.path("log.mtg")))
    let command = ["optimize", "log.mtg", "out.mtg", "--stop-after", "canonical"]
    #expect(try tool.run(command).output.contains("log-of-one-plus"))
    let without = try tool.run(command + ["--without-rule", "log-of-one-plus"])
    #expect(without.status == 0 && !without.output.contains("log-of-one-plus"))
    let proof = try tool.run(command + ["--prove"])
    #expect(proof.status == 0 && proof.output.contains("firings: 1, expressions compared: 1"))
    let wrong = try tool.run(command + ["--without-rule", "log-of-nothing"])
    #expect(wrong.status == 1)
    #expect(wrong.messages.hasPrefix("error: there is no rule 'log-of-nothing' to disable"))
  }

  @Test("Operations that Martlet does not know are named, and refused when they should run")
  func unsupported() throws {
    let tool = try Tool()
    let text = """
      graph {
        %x = Placeholder() {dtype: float32, shape: shape[2]} : float32[2]
        %y = Betainc(%x, %x, %x) : foreign
        %z = Foo(%y) : float32[*]
        %w = Neg(%z) : float32[*]
      }
      """
    try Data(text.utf8).write(to: URL(fileURLWithPath: tool.path("foreign.mtg")))
    let object = try tool.run("inspect", "foreign.mtg", "--json").json()
    let unsupported = try #require(object["unsupported"] as? [[String: Any]])
    #expect(unsupported.map { $0["name"] as? String } == ["Betainc", "Foo"])
    try tool.saveArray(Tensor([1, 2] as [Float]), "x.npy")
    let run = try tool.run("run", "foreign.mtg", "--feed", "x=x.npy")
    #expect(run.status == 1)
    #expect(run.messages.contains("Betainc 'y': Martlet does not know the operation Betainc"))
    #expect(run.messages.contains("Foo 'z': Martlet does not know the operation Foo"))
  }

  @Test("dot draws each stage", arguments: ["graph", "optimized", "plan"])
  func dot(stage: String) throws {
    let tool = try Tool()
    try tool.saveModel()
    let text = try tool.run("dot", "model.mtg", "--stage", stage)
    #expect(text.status == 0)
    #expect(text.output.hasPrefix("digraph \"model.mtg"))
    #expect(text.output.hasSuffix("}\n"))
    let file = try tool.run("dot", "model.mtg", "--stage", stage, "-o", "model.dot")
    #expect(file.output == "")
    #expect(try tool.text("model.dot") == text.output)
  }

  @Test("convert keeps what a model computes", arguments: ["model.mtg", "model.pb", "model.pbtxt"])
  func convert(name: String) throws {
    let tool = try Tool()
    try tool.saveModel("first.mtg")
    try tool.saveArray(Tensor([1, 2, 3] as [Float], shape: [1, 3]), "x.npy")
    #expect(try tool.run("convert", "first.mtg", name).status == 0)
    // Recognised by the content, whatever the name.
    try FileManager.default.moveItem(atPath: tool.path(name), toPath: tool.path("model"))
    let result = try tool.run("run", "model", "--feed", "x=x.npy", "--fetch", "layer/y", "--out", "o")
    #expect(result.status == 0)
    #expect(try NPY.read(tool.path("o/layer_y.npy")) == Tensor([3, 5, 7] as [Float], shape: [1, 3]))
    #expect(try tool.run("convert", "model", "again.mtg").status == 0)
  }

  @Test("optimize writes what the passes make, with names that can be fed and fetched")
  func optimize() throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3] as [Float], shape: [1, 3]), "x.npy")
    let result = try tool.run(
      "optimize", "model.mtg", "small.mtg", "--fetch", "layer/y", "--stop-after", "canonical", "--dump", "steps",
      "--compare")
    #expect(result.status == 0)
    #expect(result.output.contains("Canonicalize"))
    let lines = result.output.split(separator: "\n").filter { $0.contains(" ms ") }
    #expect(lines.count == 4)
    #expect(lines.allSatisfy { $0.hasSuffix("none") })
    for file in ["00-input.mtg", "00-input.dot", "04-Canonicalize.mtg", "04-Canonicalize.dot"] {
      #expect(tool.exists("steps/\(file)"))
    }
    let run = try tool.run("run", "small.mtg", "--feed", "x=x.npy", "--fetch", "layer/y", "--out", "o")
    #expect(run.status == 0)
    #expect(try NPY.read(tool.path("o/layer_y.npy")) == Tensor([3, 5, 7] as [Float], shape: [1, 3]))
  }

  @Test("optimize --json tells of passes and rules")
  func optimizeJSON() throws {
    let tool = try Tool()
    try tool.saveModel()
    let object = try tool.run("optimize", "model.mtg", "small.mtg", "--json").json()
    let passes = try #require(object["passes"] as? [[String: Any]])
    let names = passes.compactMap { $0["name"] as? String }
    #expect(names.first == "InferTypes")
    #expect(names.contains("Canonicalize") && names.contains("Canonicalize/FoldConstants"))
    #expect(passes.allSatisfy { $0["seconds"] is Double })
    #expect(object["rules"] is [[String: Any]])
  }

  @Test("optimize keeps variables and their updates")
  func optimizeVariables() throws {
    let tool = try Tool()
    try tool.saveVariableModel()
    try tool.saveArray(Tensor(2 as Float), "x.npy")
    let optimized = try tool.run(
      "optimize", "variable.mtg", "small.mtg", "--fetch", "value", "--target", "update", "--stop-after", "canonical")
    #expect(optimized.status == 0)
    let first = try tool.run("inspect", "small.mtg", "--json").json()
    #expect((first["variables"] as? [[String: Any]])?.map { $0["name"] as? String } == ["w"])
    // Nothing gives the variable its first value any more.
    let run = try tool.run("run", "small.mtg", "--feed", "x=x.npy", "--target", "update")
    #expect(run.messages.contains("the variable 'w' is read before it has a value"))
  }
}
