import MartletScheduling

/// A kernel of a plan as CUDA C.
struct CUDACode: KernelCode {
  let kernel: CUDAKernel
  private let candidates: [[Int]]

  init(_ kernel: CUDAKernel) {
    self.kernel = kernel
    candidates = kernel.outputs.indices.map { kernel.inPlaceCandidates(output: $0) }
  }

  var temporaryBytes: [Int] { kernel.temporaries.map(\.byteCount) }
  /// Blocks have shared memory of their own.
  var scratchBytes: Int { 0 }
  /// Every launch has the whole device.
  var isWide: Bool { false }
  func inPlaceCandidates(output: Int) -> [Int] { candidates[output] }

  var description: String {
    let launches = kernel.launches.map { "launch \($0.entry): \($0.blocks) blocks of \($0.threads) threads" }
    return "\(kernel.schedule.map { "schedule \($0)\n" } ?? "")\(launches.joined(separator: "\n"))\n\(kernel.body)"
  }
}
