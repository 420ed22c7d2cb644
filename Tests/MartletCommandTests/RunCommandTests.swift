import Foundation
import Martlet
import Testing

@Suite struct RunCommandTests {
  @Test("All outputs are computed and written, named after their values")
  func outputs() throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3]), "x.npy")
    let result = try tool.run(
      "run", "model.mtg", "--feed", "x=x.npy", "--fetch", "layer/y:0", "--fetch", "sum", "--out", "o")
    #expect(result.status == 0)
    #expect(result.messages == "")
    #expect(try NPY.read(tool.path("o/layer_y.npy")) == Tensor([3, 5, 7, 9, 11, 13] as [Float], shape: [2, 3]))
    #expect(try NPY.read(tool.path("o/sum.npy")) == Tensor(48 as Float))
    // The only value that nothing else uses is the sum.
    let plain = try tool.run("run", "model.mtg", "--feed", "x=x.npy")
    #expect(plain.output.hasPrefix("sum: float32[] 48.0\n"))
  }

  @Test("--json prints one object with the settled keys")
  func json() throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3] as [Float], shape: [1, 3]), "x.npy")
    let result = try tool.run(
      "run", "model.mtg", "--feed", "x=x.npy", "--fetch", "layer/y", "--out", "o", "--repeat", "5", "--threads", "1",
      "--json")
    #expect(result.status == 0)
    #expect(result.output.split(separator: "\n").count == 1)
    let object = try result.json()
    #expect(
      Set(object.keys) == [
        "outputs", "compile_s", "first_run_s", "median_s", "min_s", "runs", "peak_bytes", "compile", "plan",
      ])
    let outputs = try #require(object["outputs"] as? [[String: Any]])
    #expect(outputs.count == 1)
    #expect(Set(outputs[0].keys) == ["name", "dtype", "shape", "file"])
    #expect(outputs[0]["name"] as? String == "layer/y")
    #expect(outputs[0]["dtype"] as? String == "float32")
    #expect(outputs[0]["shape"] as? [Int] == [1, 3])
    #expect(outputs[0]["file"] as? String == "o/layer_y.npy")
    #expect(object["runs"] as? Int == 5)
    // Nothing but the result: three floats.
    #expect(object["peak_bytes"] as? Int == 12)
    let plan = try #require(object["plan"] as? [String: Int])
    #expect(plan == ["kernels": 1, "instructions": 1, "arena_bytes": 0])
    let (least, median) = (try #require(object["min_s"] as? Double), try #require(object["median_s"] as? Double))
    #expect(least > 0 && least <= median)
    #expect(try #require(object["first_run_s"] as? Double) >= #require(object["compile_s"] as? Double))
  }

  @Test("Products with an empty side leave standard output alone", arguments: ["float32", "float64"])
  func emptyProducts(type: String) throws {
    let tool = try Tool()
    let text = """
      graph {
        %x = Placeholder() {dtype: \(type), shape: shape[1, 4]} : \(type)[1, 4]
        %y = Placeholder() {dtype: \(type), shape: shape[4, 0]} : \(type)[4, 0]
        %z = MatMul(%x, %y) : \(type)[1, 0]
      }
      """
    try Data(text.utf8).write(to: URL(fileURLWithPath: tool.path("empty.mtg")))
    let (x, y): (Tensor, Tensor) =
      type == "float32"
      ? (Tensor(zeros: .float32, shape: [1, 4]), Tensor(zeros: .float32, shape: [4, 0]))
      : (Tensor(zeros: .float64, shape: [1, 4]), Tensor(zeros: .float64, shape: [4, 0]))
    try tool.saveArray(x, "x.npy")
    try tool.saveArray(y, "y.npy")
    let result = try tool.run("run", "empty.mtg", "--feed", "x=x.npy", "--feed", "y=y.npy", "--fetch", "z", "--json")
    #expect(result.status == 0 && result.messages == "")
    #expect(result.output.hasPrefix("{"), "\(result.output)")
  }

  @Test("A compilation is told stage by stage, and a second process generates no code")
  func compilation() throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3] as [Float], shape: [1, 3]), "x.npy")
    var outputs: [Data] = []
    for process in 0...1 {
      let result = try tool.run(
        ["run", "model.mtg", "--feed", "x=x.npy", "--fetch", "layer/y", "--out", "o", "--json", "--device", "cpu"],
        environment: ["MARTLET_CACHE": tool.path("code")])
      let object = try result.json()
      let compile = try #require(object["compile"] as? [String: Any])
      #expect(
        Set(compile.keys) == [
          "extraction_s", "passes", "planning_s", "codegen_s", "libraries_s", "kernels", "kernels_from_cache",
          "kernels_hurried",
        ])
      #expect(compile["kernels"] as? Int == 1)
      #expect(compile["kernels_from_cache"] as? Int == process)
      let passes = try #require(compile["passes"] as? [[String: Any]])
      #expect(passes.first?["name"] as? String == "InferTypes")
      #expect(passes.contains { $0["name"] as? String == "Canonicalize" && $0["passes"] is [[String: Any]] })
      let stages = ["extraction_s", "planning_s", "codegen_s", "libraries_s"].compactMap { compile[$0] as? Double }
      let sum = (stages + passes.compactMap { $0["seconds"] as? Double }).reduce(0, +)
      let whole = try #require(object["compile_s"] as? Double)
      #expect(sum > 0 && sum <= whole)
      outputs.append(try Data(contentsOf: URL(fileURLWithPath: tool.path("o/layer_y.npy"))))
    }
    #expect(outputs[0] == outputs[1])

    let doctor = try tool.run(["doctor", "--json"], environment: ["MARTLET_CACHE": tool.path("code")]).json()
    let cache = try #require(doctor["code_cache"] as? [String: Any])
    #expect(cache["path"] as? String == tool.path("code"))
    #expect(try #require(cache["files"] as? Int) >= 2)
    #expect(try #require(cache["bytes"] as? Int) > 0)
    #expect(try tool.run(["doctor"], environment: ["MARTLET_CACHE": "off"]).output.contains("code cache   off"))
  }

  @Test("Processes that run at the same time share the folder of machine code")
  func concurrentProcesses() async throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3] as [Float], shape: [1, 3]), "x.npy")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for process in 0..<3 {
        let arguments = ["run", "model.mtg", "--feed", "x=x.npy", "--fetch", "layer/y", "--out", "o\(process)"]
        group.addTask {
          let result = try tool.run(arguments, environment: ["MARTLET_CACHE": tool.path("code")])
          #expect(result.status == 0, "\(result.messages)")
          #expect(try NPY.read(tool.path("o\(process)/layer_y.npy")) == Tensor([3, 5, 7] as [Float], shape: [1, 3]))
        }
      }
      try await group.waitForAll()
    }
    let result = try tool.run(
      ["run", "model.mtg", "--feed", "x=x.npy", "--fetch", "layer/y", "--json"],
      environment: ["MARTLET_CACHE": tool.path("code")])
    #expect((try result.json()["compile"] as? [String: Any])?["kernels_from_cache"] as? Int == 1)
  }

  @Test("Without --out no file is named")
  func noFile() throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3] as [Float], shape: [1, 3]), "x.npy")
    let object = try tool.run("run", "model.mtg", "--feed", "x=x.npy", "--json").json()
    let outputs = try #require(object["outputs"] as? [[String: Any]])
    #expect(outputs[0]["file"] is NSNull)
  }

  @Test("An array of the wrong type or shape is refused with what was required")
  func wrongFeed() throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3] as [Double], shape: [1, 3]), "double.npy")
    try tool.saveArray(Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]), "wide.npy")
    let type = try tool.run("run", "model.mtg", "--feed", "x=double.npy", "--out", "o")
    #expect(type.status == 1)
    #expect(type.output == "")
    #expect(
      type.messages == """
        error: Placeholder 'x': the array of double.npy does not fit; requires float32[?, 3]; found float64[1, 3]
          hint: convert it with NumPy: x.astype('float32')

        """)
    #expect(!tool.exists("o"))
    let shape = try tool.run("run", "model.mtg", "--feed", "x=wide.npy")
    #expect(shape.status == 1)
    #expect(
      shape.messages
        == "error: Placeholder 'x': the array of wide.npy does not fit; requires float32[?, 3]; found float32[2, 2]\n")
  }

  @Test("A missing array, an unknown name and a missing file are told")
  func missing() throws {
    let tool = try Tool()
    try tool.saveModel()
    let feed = try tool.run("run", "model.mtg")
    #expect(feed.status == 1)
    #expect(
      feed.messages == """
        error: Placeholder 'x': the run needs an array for this input; requires float32[?, 3]; found no --feed
          hint: --feed x=FILE.npy

        """)
    let name = try tool.run("run", "model.mtg", "--fetch", "layer/z")
    #expect(name.status == 1)
    #expect(name.messages == "error: the model has no value 'layer/z'\n  hint: inputs: x; outputs: sum\n")
    let number = try tool.run("run", "model.mtg", "--fetch", "layer/y:1")
    #expect(number.messages == "error: the model has no value 'layer/y:1'\n  hint: 'layer/y' has 1 result\n")
    let file = try tool.run("run", "absent.pb")
    #expect(file.status == 1)
    #expect(file.messages.contains("absent.pb cannot be opened: No such file or directory"))
  }

  @Test("Values in the middle of a graph can be fed")
  func innerFeed() throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 10, 100] as [Float], shape: [1, 3]), "y.npy")
    let result = try tool.run("run", "model.mtg", "--feed", "layer/y=y.npy", "--out", "o")
    #expect(result.status == 0)
    #expect(try NPY.read(tool.path("o/sum.npy")) == Tensor(111 as Float))
  }

  @Test("Nodes can be run for what they do, and others once before")
  func variables() throws {
    let tool = try Tool()
    try tool.saveVariableModel()
    try tool.saveArray(Tensor(2 as Float), "x.npy")
    let result = try tool.run(
      "run", "variable.mtg", "--init", "init", "--feed", "x=x.npy", "--fetch", "value", "--target", "update",
      "--repeat",
      "3", "--out", "o")
    #expect(result.status == 0)
    #expect(try NPY.read(tool.path("o/value.npy")) == Tensor(12 as Float))
    let early = try tool.run("run", "variable.mtg", "--fetch", "value")
    #expect(early.status == 1)
    #expect(early.messages.contains("the variable 'w' is read before it has a value"))
    #expect(early.messages.contains("--init NAME"))
  }

  @Test("The trace is a file that Chrome's viewer reads", arguments: ["cpu", "interpreter"])
  func trace(device: String) throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3] as [Float], shape: [1, 3]), "x.npy")
    let result = try tool.run(
      "run", "model.mtg", "--feed", "x=x.npy", "--repeat", "3", "--device", device, "--trace", "t.json")
    #expect(result.status == 0)
    let trace = try JSONSerialization.jsonObject(with: Data(tool.text("t.json").utf8)) as? [String: Any]
    let events = try #require(trace?["traceEvents"] as? [[String: Any]])
    // Of the last run alone.
    #expect(events.map { $0["cat"] as? String } == ["kernel"])
  }
}
