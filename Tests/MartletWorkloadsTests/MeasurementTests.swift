import Foundation
import Testing

@testable import MartletWorkloads

@Suite struct MeasurementTests {
  /// Quantiles are interpolated as `np.percentile` does: position q · (n − 1) in the sorted times.
  @Test(arguments: [
    ([3.0, 1.0, 2.0], 0.5, 2.0), ([4.0, 1.0, 2.0, 3.0], 0.5, 2.5), ([7.0], 0.9, 7.0), ([1.0, 2.0], 0.9, 1.9),
    ([5.0, 4.0, 3.0, 2.0, 1.0], 0.0, 1.0), ([5.0, 4.0, 3.0, 2.0, 1.0], 1.0, 5.0),
  ])
  func quantile(_ times: [Double], _ q: Double, _ expected: Double) {
    #expect(abs(Measurement(times: times).quantile(q) - expected) < 1e-12)
  }

  @Test func runsAtLeastSevenTimes() throws {
    var count = 0
    let measurement = Measurement(seconds: 0) { count += 1 }
    #expect(measurement.times.count == 7)
    // Two more to warm up.
    #expect(count == 9)
  }

  @Test func errorsOfARunArePassedOn() {
    struct Failure: Error {}
    #expect(throws: Failure.self) { _ = try Measurement(seconds: 0) { throw Failure() } }
  }

  /// Other tools read these lines: one object with these keys, see the command line's documentation.
  @Test func lineOfJSON() throws {
    let result = WorkloadResult(
      workload: "matmul_256", threads: 2, measurement: Measurement(times: [0.25, 0.125, 0.5]), compileSeconds: 1.23456,
      peakBytes: 4096, checksum: 12.771_784, profile: nil)
    #expect(!result.json.contains("\n"))
    let object = try #require(try JSONSerialization.jsonObject(with: Data(result.json.utf8)) as? [String: Any])
    #expect(
      Set(object.keys) == [
        "workload", "threads", "median_s", "min_s", "p90_s", "runs", "compile_s", "peak_bytes", "checksum",
      ])
    #expect(object["workload"] as? String == "matmul_256")
    #expect(object["median_s"] as? Double == 0.25)
    #expect(object["min_s"] as? Double == 0.125)
    #expect(object["p90_s"] as? Double == 0.45)
    #expect(object["runs"] as? Int == 3)
    #expect(object["compile_s"] as? Double == 1.235)
    #expect(object["peak_bytes"] as? Int == 4096)
    #expect(object["checksum"] as? Double == 12.77178)
  }

  @Test func namesBeginWithAWord() {
    #expect(Workload.matching("matmul_1024").map(\.name) == ["matmul_1024"])
    // Also the beginning of "overhead_chain_unfused".
    #expect(Workload.matching("overhead_chain").map(\.name) == ["overhead_chain"])
    #expect(
      Workload.matching("matmul").map(\.name) == [
        "matmul_256", "matmul_512", "matmul_1024", "matmul_2048", "matmul_4096", "matmul_4096_bf16",
      ])
    #expect(Workload.matching("mat").isEmpty)
    #expect(Set(Workload.all.map(\.name)).count == Workload.all.count)
  }
}
