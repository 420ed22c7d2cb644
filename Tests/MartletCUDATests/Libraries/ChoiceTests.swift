import Foundation
import MartletGraph
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Choices of library calls on disk.
struct ChoiceTests {
  private static let finding = "cudnnFindConvolutionForwardAlgorithmEx"

  /// How often ways are run to choose one, in a process that finds what is in a folder.
  private func timed(_ machine: LibraryMachine, _ folder: String, _ options: CUDALibraryOptions) throws -> [Int] {
    let executions = CUDALibraryExecutions(machine.context, options: options, cache: .folder(folder))
    return try [
      (LibraryContract.matrixProduct(LibraryExecutionTests.product), "cublasLtMatmul"),
      (.convolution(LibraryExecutionTests.convolution), Self.finding),
      // Other than those of float32.
      (LibraryContract.convolution(LibraryExecutionTests.convolution).with(.bfloat16), Self.finding),
    ].map { contract, call in
      let execution = try #require(executions.execution(of: contract))
      let before = machine.stub.count(call)
      _ = execution.scratchBytes
      return machine.stub.count(call) - before
    }
  }

  /// What was found to be fastest is not timed again by the next process; what is damaged, or of other options, is.
  @Test func choicesAreKept() throws {
    let machine = try LibraryMachine()
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-choices-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let options = CUDALibraryOptions()
    let first = try timed(machine, folder, options)
    #expect(first.allSatisfy { $0 > 0 })
    #expect(try timed(machine, folder, options) == [0, 0, 0])
    #expect(try timed(machine, folder, CUDALibraryOptions(scratchLimit: 1 << 20)) == first)
    for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let path = folder + "/" + file
      var bytes = try Data(contentsOf: URL(filePath: path))
      bytes[bytes.count - 1] ^= 1
      try bytes.write(to: URL(filePath: path))
    }
    #expect(try timed(machine, folder, options) == first)
    #expect(try timed(machine, folder, options) == [0, 0, 0])
    let deterministic = CUDALibraryOptions(isDeterministic: true)
    #expect(try timed(machine, folder, deterministic) == [0, 0, 0])
    #expect(machine.stub.report == [])
  }
}
