import Foundation
import MartletDiagnostics
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Generated kernels under the real NVRTC.
struct CompilationTests {
  /// NVRTC, or why there is none.
  static let compiler: Result<CUDACompiler, Diagnostic> = {
    let packages = packageFolder.appending(path: ".build-nvrtc/nvidia")
    let folders = (try? FileManager.default.contentsOfDirectory(at: packages, includingPropertiesForKeys: nil)) ?? []
    let files = folders.flatMap { folder in
      ["libnvrtc.so.13", "libnvrtc.so.12"].map { folder.appending(path: "lib/\($0)").path }
    }
    let installed = files.first { FileManager.default.fileExists(atPath: $0) }
    let libraries =
      installed.map { CUDALibraries(driver: nil, nvrtc: $0, cublasLt: nil, cudnn: nil) } ?? CUDALibraries.standard
    do throws(Diagnostic) { return .success(try CUDACompiler(libraries: libraries)) } catch { return .failure(error) }
  }()
  static var isThere: Bool { if case .success = compiler { true } else { false } }

  /// Devices run code of their generation that is not newer; systems on a chip and others do not run each other's.
  @Test(
    arguments: [
      (90, [75, 80, 90, 100], 90), (89, [75, 80, 86], 86), (87, [80, 86, 87], 87), (87, [80, 86, 89], nil),
      (89, [80, 87], 80), (121, [100, 120], 120), (75, [80, 90], nil),
    ] as [(Int, [Int], Int?)])
  func architectures(_ capability: Int, _ known: [Int], _ expected: Int?) {
    #expect(CUDACompiler.architecture(for: capability, among: known) == expected)
  }

  /// For a device of a generation that NVRTC does not know, the driver compiles PTX.
  @Test(
    arguments: [
      (100, [75, 80, 90], 90), (87, [80, 86, 89], 86), (110, [90, 100, 101], 100), (75, [80, 90], nil),
    ] as [(Int, [Int], Int?)])
  func virtualArchitectures(_ capability: Int, _ known: [Int], _ expected: Int?) {
    #expect(CUDACompiler.virtualArchitecture(for: capability, among: known) == expected)
  }

  @Test(.enabled(if: isThere, "NVRTC is not installed: run 'make setup-cuda-test'"))
  func compilesToPTX() throws {
    let compiler = try Self.compiler.get()
    let newest = try #require(compiler.architectures.last)
    let device = CUDADevice(capability: newest / 10 * 10 + 90, multiprocessors: 132)
    let architecture = try compiler.architecture(for: device)
    #expect(architecture.hasPrefix("compute_"))
    let kernels = SampleProgramTests.programs.prefix(20).map { CUDAKernel($0.program, for: device) }
    let code = try compiler.compile(CUDAKernel.source(kernels), for: architecture)
    #expect(code.log.isEmpty, "\(code.log)")
    #expect(code.image.last == 0)
    #expect(String(decoding: code.image.dropLast(), as: UTF8.self).contains(".target sm_"))
    #expect(Set(code.resources.map(\.entry)) == Set(kernels.flatMap { $0.launches.map(\.entry) }))
  }

  @Test(.enabled(if: isThere, "NVRTC is not installed: run 'make setup-cuda-test'"), arguments: ["sm_75", "sm_90"])
  func compiles(_ architecture: String) throws {
    let compiler = try Self.compiler.get()
    let random = (0..<20).map { RandomStageProgram.program(seed: UInt64($0)).program }
    let samples = SampleProgramTests.programs.map(\.program)
    let graphs = try GraphKernels.all.get()
    let device = CUDADevice(capability: architecture == "sm_75" ? 75 : 90, multiprocessors: 132)
    // On a device this small, threads go through loops where elsewhere each has one element.
    let small = CUDADevice(capability: device.capability, multiprocessors: 1)
    let kernels =
      (random + samples + graphs.map(\.program)).map { CUDAKernel($0, for: device) }
      + [JoiningTests.joined(for: device)] + AtomicsTests.integers.map { CUDAKernel($0.0, for: device) }
      + TeamScanTests.programs.map { CUDAKernel($0.program, for: device) }
      + AtomicsTests.floats.map { CUDAKernel($0.0, for: device, isDeterministic: false) }
      + (samples + graphs.prefix(100).map(\.program)).map { CUDAKernel($0, for: small) }
    let code = try compiler.compile(CUDAKernel.source(kernels), for: architecture)
    #expect(code.log.isEmpty, "\(code.log)")
    #expect(Set(code.resources.map(\.entry)) == Set(kernels.flatMap { $0.launches.map(\.entry) }))
    for resources in code.resources {
      let isFitting =
        resources.spillBytes == 0 && resources.sharedBytes <= device.sharedBytes && 1...255 ~= resources.registers
      let kernel = kernels.first { $0.launches.contains { $0.entry == resources.entry } }
      #expect(isFitting, "\(resources)\n\(kernel.map { SimulatedKernels.describe($0) } ?? "")")
    }
    let registers = code.resources.map(\.registers).sorted()
    print(
      "\(architecture): \(registers.count) entry points, \(registers[registers.count / 2]) registers in the middle,",
      "at most \(registers.last ?? 0); \(code.resources.map(\.sharedBytes).max() ?? 0) bytes of shared memory at most")
  }
}
