import Foundation
import MartletDiagnostics
import Testing

@testable import MartletCUDA

struct CUDALibrariesTests {
  @Test func aMissingLibrarySaysWhatWasLookedFor() throws {
    let libraries = CUDALibraries(
      CUDALibrarySearch(environment: [
        "MARTLET_CUDA_DRIVER": "/nowhere/libcuda.so.1", "MARTLET_NVRTC": "/nowhere/libnvrtc.so.13",
        "MARTLET_CUBLASLT": "/nowhere/libcublasLt.so.13", "MARTLET_CUDNN": "/nowhere/libcudnn.so.9",
      ]))
    let expected: [(CUDALibrary, String, String)] = [
      (.driver, "the driver of CUDA cannot be loaded", "a driver of version 525.60.13 or later"),
      (.nvrtc, "NVRTC of CUDA cannot be loaded", "NVRTC of CUDA 12 or 13"),
      (.cublasLt, "cuBLASLt of CUDA cannot be loaded", "cuBLASLt of CUDA 12 or 13"),
      (.cudnn, "cuDNN of CUDA cannot be loaded", "cuDNN 9"),
    ]
    for (library, message, required) in expected {
      let error = try #require(throws: Diagnostic.self) {
        switch library {
        case .driver: _ = try libraries.driver()
        case .nvrtc: _ = try libraries.nvrtc()
        case .cublasLt: _ = try libraries.cublasLt()
        case .cudnn: _ = try libraries.cudnn()
        }
      }
      #expect(error.message == message)
      #expect(error.required == required)
      #expect(error.found?.hasPrefix("/nowhere/lib") == true)
      #expect(error.found?.contains("which \(library.variable) names") == true)
      #expect(error.hint?.contains(library.variable) == true)
      #expect(libraries.finding(library).path == nil)
    }
    let error = try #require(throws: Diagnostic.self) { try CUDAContext(ordinal: 0, libraries: libraries) }
    #expect(error.message == "the driver of CUDA cannot be loaded")
  }

  /// A library that is none of CUDA's.
  @Test func aWrongLibrarySaysWhatItLacks() throws {
    let libraries = CUDALibraries(driver: "libm.so.6", nvrtc: nil, cublasLt: "libm.so.6", cudnn: nil)
    #expect(libraries.finding(.driver).reasons == ["libm.so.6: it has no function cuInit"])
    #expect(libraries.finding(.cublasLt).reasons == ["libm.so.6: it has no function cublasLtCreate"])
    #expect(libraries.finding(.nvrtc).places == "nothing was to be loaded")
  }

  @Test func driversRunWhatTheyKnow() {
    #expect(CUDACompatibility.row(for: CUDAVersion(major: 12, minor: 7))?.driver == "560.28.03")
    #expect(CUDACompatibility.row(for: CUDAVersion(major: 13, minor: 0))?.driver == "580.65.06")
    #expect(CUDACompatibility.row(for: CUDAVersion(major: 11, minor: 8)) == nil)
    #expect(CUDACompatibility.runs(major: 12, onDriver: CUDAVersion(major: 13, minor: 0)))
    #expect(!CUDACompatibility.runs(major: 13, onDriver: CUDAVersion(major: 12, minor: 9)))
    #expect(CUDACompatibility.rows.map(\.cuda) == CUDACompatibility.rows.map(\.cuda).sorted())
    #expect(
      CUDACompatibility.text(driver: CUDAVersion(major: 12, minor: 4))
        == "it fits CUDA 12.x with cuDNN 9 for CUDA 12")
  }

  /// Of several compilers the newest that the driver runs and that knows the GPU.
  @Test(arguments: [
    // The GPU, the driver's CUDA, and the number of the compiler.
    (90, 13, 0, 1), (75, 13, 0, 1), (70, 13, 0, 0), (120, 13, 0, 1), (90, 12, 8, 0), (90, 13, 1, 3), (121, 13, 0, 3),
  ])
  func compilersFitTheDevice(capability: Int, major: Int, minor: Int, number: Int) {
    let compilers = [
      (version: CUDAVersion(major: 12, minor: 8), architectures: [50, 60, 70, 75, 80, 90, 100, 120]),
      (version: CUDAVersion(major: 13, minor: 0), architectures: [75, 80, 90, 100, 120]),
      (version: CUDAVersion(major: 13, minor: 0), architectures: [75, 80, 90, 100, 120]),
      (version: CUDAVersion(major: 13, minor: 1), architectures: [75, 80, 90, 100, 120, 121]),
    ]
    let found = CUDACompatibility.bestCompiler(
      of: compilers, for: [capability], driver: CUDAVersion(major: major, minor: minor))
    #expect(found == number)
  }

  @Test func versionsAreReadFromBothNotations() {
    #expect(CUDAVersion(thousands: 12080) == CUDAVersion(major: 12, minor: 8))
    #expect(CUDAVersion(library: 130_203).description == "13.2.3")
    #expect(CUDAVersion(library: 91_400).description == "9.14.0")
  }
}
