import MartletDiagnostics
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// A stand-in machine, and what tests of the driver need of it.
struct StubMachine {
  let stub: CUDAStub
  let libraries: CUDALibraries

  init(seed: UInt64 = 0) throws {
    stub = try CUDAStub(seed: seed)
    libraries = CUDALibraries(driver: stub.path, nvrtc: stub.path, cublasLt: stub.path, cudnn: stub.path)
  }

  func context(_ ordinal: Int = 0) throws -> CUDAContext { try CUDAContext(ordinal: ordinal, libraries: libraries) }

  /// b[i] = a[i] + x, and one that writes behind its memory.
  static let source = """
    extern "C" __global__ void __launch_bounds__(64) add(const float* a, float* b, float x, int n) {
      int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
      if (i < n) b[i] = a[i] + x;
    }
    extern "C" __global__ void spill(float* a, int n) { a[n] = 1.0f; }
    """

  /// The code, which every machine loads.
  private static let image = Result {
    let stub = try CUDAStub()
    let libraries = CUDALibraries(driver: nil, nvrtc: stub.path, cublasLt: nil, cudnn: nil)
    return try CUDACompiler(libraries: libraries).compile(Self.source, for: "sm_90").image
  }

  func module(_ context: CUDAContext) throws -> CUDAModule { try CUDAModule(context, image: try Self.image.get()) }

  /// Whether nobody misused anything, and all was given back.
  func expectClean(sourceLocation: Testing.SourceLocation = #_sourceLocation) {
    #expect(stub.report == [], sourceLocation: sourceLocation)
    #expect(stub.leaks == [], sourceLocation: sourceLocation)
  }
}

extension PinnedMemory {
  func set(_ values: [Float]) {
    values.withUnsafeBytes { bytes.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
  }
  func floats(_ count: Int) -> [Float] {
    Array(UnsafeBufferPointer(start: bytes.assumingMemoryBound(to: Float.self), count: count))
  }
}

extension CUDAStream {
  /// Launches `add`.
  func add(_ function: CUDAFunction, _ a: UInt64, _ b: UInt64, _ x: Float, _ count: Int) throws(CUDAFailure) {
    var (a, b, x, n) = (a, b, x, Int32(count))
    let failure: CUDAFailure? = withUnsafeMutablePointer(to: &a) { a in
      withUnsafeMutablePointer(to: &b) { b in
        withUnsafeMutablePointer(to: &x) { x in
          withUnsafeMutablePointer(to: &n) { n in
            var arguments: [UnsafeMutableRawPointer?] = [.init(a), .init(b), .init(x), .init(n)]
            do throws(CUDAFailure) {
              try launch(function, blocks: (count + 63) / 64, threads: 64, sharedBytes: 0, arguments: &arguments)
              return nil
            } catch { return error }
          }
        }
      }
    }
    if let failure { throw failure }
  }
}
