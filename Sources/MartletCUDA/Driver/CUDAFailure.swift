import CMartletRuntime
import MartletDiagnostics

/// A call of the driver or of one of CUDA's libraries that did not succeed.
public struct CUDAFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The function, such as `cuMemcpyHtoDAsync_v2`.
  public var call: String
  public var code: Int
  /// The code's name, such as `CUDA_ERROR_OUT_OF_MEMORY`.
  public var name: String
  /// What the library says about the code.
  public var text: String

  public init(call: String, code: Int, name: String, text: String) {
    (self.call, self.code, self.name, self.text) = (call, code, name, text)
  }

  /// Whether memory of the device, or of the host for the device, was exhausted.
  public var isOutOfMemory: Bool {
    [
      "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
      "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    ].contains(name)
  }

  /// Whether the driver did not bear to record the call in a graph.
  var isOfRecording: Bool { name.hasPrefix("CUDA_ERROR_STREAM_CAPTURE") }

  public var description: String { "\(call) failed: \(name) (\(code)), \(text)" }

  /// The failure as a message about an operation.
  public func diagnostic(
    operation: String? = nil, site: BuildSite = .unknown, hint: String? = nil
  ) -> Diagnostic {
    Diagnostic("\(call) failed", operation: operation, found: "\(name) (\(code)): \(text)", site: site, hint: hint)
  }
}

extension UnsafePointer<martlet_cuda_driver> {
  /// Throws what the driver knows about an error.
  @inline(__always)
  func check(_ code: Int32, _ call: StaticString) throws(CUDAFailure) {
    if code != 0 { throw failure(code, call) }
  }

  func failure(_ code: Int32, _ call: StaticString) -> CUDAFailure {
    var (name, text): (UnsafePointer<CChar>?, UnsafePointer<CChar>?) = (nil, nil)
    _ = pointee.GetErrorName(code, &name)
    _ = pointee.GetErrorString(code, &text)
    return CUDAFailure(
      call: "\(call)", code: Int(code), name: name.map { String(cString: $0) } ?? "an unknown error",
      text: text.map { String(cString: $0) } ?? "the driver does not know this code")
  }
}
