import Martlet
import Testing

@testable import MartletWorkloads

/// The checks of the quick workloads against TensorFlow's, from `Benchmarks/peers/tensorflow_session.py`.
@Suite(.serialized) struct WorkloadTests {
  @Test(arguments: [
    ("overhead_chain", 0.2849742), ("overhead_chain_unfused", 0.2849742), ("overhead_wide", 366.9023),
    ("overhead_wide_unfused", 366.9023), ("matmul_256", 12.77178), ("mlp_train", 2.15135), ("lenet_train", 11.68521),
  ])
  func checksum(_ name: String, _ expected: Double) throws {
    let workload = try #require(Workload.matching(name).first)
    let result = try workload.measure(Workload.Options(seconds: 0))
    #expect(abs(result.checksum / expected - 1) < 1e-5, "\(result.json)")
  }
}
