import Foundation
import Martlet
import Testing

@Suite struct UsageTests {
  @Test("Help names every command and comes at once")
  func help() throws {
    let tool = try Tool()
    let result = try tool.run("--help")
    #expect(result.status == 0)
    for command in ["run", "inspect", "dot", "convert", "optimize", "bench", "doctor"] {
      #expect(result.output.contains("\n  \(command) "))
      #expect(try tool.run(command, "--help").status == 0)
    }
  }

  @Test(
    "Wrong usage ends with status 64",
    arguments: [
      ["fly"], ["run"], ["run", "m.pb", "--feed", "x"], ["run", "m.pb", "--feed", "=x.npy"],
      ["run", "m.pb", "--repeat", "0"], ["run", "m.pb", "--threads", "0"], ["run", "m.pb", "--device", "gpu"],
      ["inspect", "m.pb", "--shape", "x=1,a"], ["dot", "m.pb", "--stage", "sketch"], ["convert", "m.pb"],
      ["convert", "m.pb", "m.onnx"], ["optimize", "m.pb", "o.pb", "--stop-after", "fused"],
      ["optimize", "m.pb", "o.mtg", "--stop-after", "perfect"], ["bench"], ["bench", "no_such_workload"],
      ["bench", "matmul_256", "--seconds", "0"],
    ])
  func usage(_ arguments: [String]) throws {
    let result = try Tool().run(arguments)
    #expect(result.status == 64)
    #expect(result.output == "")
    #expect(result.messages.contains("Usage: martlet"))
  }

  @Test(
    "Work that fails ends with status 1",
    arguments: [
      ["run", "absent.pb"], ["inspect", "absent.pb"], ["dot", "absent.pb"], ["convert", "absent.pb", "o.mtg"],
      ["optimize", "absent.pb", "o.mtg"], ["run", "."], ["run", "model.onnx"],
      ["run", "model.mtg", "--device", "cuda:999"], ["dot", "model.mtg", "-o", "no/such/folder.dot"],
      ["convert", "model.mtg", "no/such/folder.mtg"],
    ])
  func failure(_ arguments: [String]) throws {
    let tool = try Tool()
    try tool.saveModel()
    let result = try tool.run(arguments)
    #expect(result.status == 1)
    #expect(result.output == "")
    #expect(result.messages.hasPrefix("error: "))
  }

  @Test("MARTLET_DEVICE names the device of commands that name none")
  func deviceOfTheEnvironment() throws {
    let tool = try Tool()
    try tool.saveModel()
    try tool.saveArray(Tensor([1, 2, 3] as [Float], shape: [1, 3]), "x.npy")
    let run = ["run", "model.mtg", "--feed", "x=x.npy"]
    #expect(try tool.run(run, environment: ["MARTLET_DEVICE": "interpreter"]).status == 0)
    let wrong = try tool.run(run, environment: ["MARTLET_DEVICE": "gpu"])
    #expect(wrong.status == 1)
    #expect(wrong.messages.hasPrefix("error: the environment variable MARTLET_DEVICE names no device"))
    #expect(wrong.messages.contains("'gpu'"))
    #expect(try tool.run(run, environment: ["MARTLET_DEVICE": "cuda:999"]).status == 1)
    #expect(try tool.run(run + ["--device", "cpu"], environment: ["MARTLET_DEVICE": "cuda:999"]).status == 0)
    let doctor = try tool.run(["doctor"], environment: ["MARTLET_DEVICE": "gpu"]).output
    #expect(doctor.contains("MARTLET_DEVICE=gpu"))
    #expect(doctor.contains("- the environment variable MARTLET_DEVICE names no device: 'gpu'"))
  }

  @Test("A file that is no model is refused with its name")
  func noModel() throws {
    let tool = try Tool()
    try Data("graph { %x = }".utf8).write(to: URL(fileURLWithPath: tool.path("broken.mtg")))
    let result = try tool.run("inspect", "broken.mtg")
    #expect(result.status == 1)
    #expect(result.messages.hasPrefix("error: broken.mtg:1: "))
  }

  @Test("doctor tells of each library")
  func doctor() throws {
    let tool = try Tool()
    let object = try tool.run("doctor", "--json").json()
    #expect(
      Set(object.keys) == [
        "processor", "team", "blas", "onednn", "llvm", "zlib", "code_cache", "cuda", "environment", "problems",
        "thread_dependent",
        "can_run",
      ])
    let processor = try #require(object["processor"] as? [String: Any])
    #expect(try #require(processor["processors"] as? Int) >= 1)
    #expect([128, 256, 512].contains(processor["vector_bits"] as? Int))
    for key in ["blas", "onednn", "llvm"] {
      let library = try #require(object[key] as? [String: Any])
      #expect(library["available"] is Bool)
      #expect(library["message"] is String)
    }
    #expect(try tool.run("doctor").output.contains("processor"))
  }

  @Test("bench prints an object a workload")
  func bench() throws {
    let result = try Tool().run("bench", "overhead_chain", "--seconds", "0.01", "--threads", "1", "--json")
    #expect(result.status == 0)
    let object = try result.json()
    #expect(
      Set(object.keys) == [
        "workload", "threads", "median_s", "min_s", "p90_s", "runs", "compile_s", "peak_bytes", "checksum",
      ])
    #expect(object["workload"] as? String == "overhead_chain")
    #expect(object["threads"] as? Int == 1)
  }
}
