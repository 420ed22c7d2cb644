import Foundation
import MartletDiagnostics

extension SessionOptions {
  /// What runs the plans.
  public enum Device: Sendable, Hashable {
    /// Machine code and libraries on the processor.
    case cpu
    /// One of the machine's GPUs by NVIDIA, by its number; the processor does what has no code for GPUs, and what is placed
    /// there. See `martlet doctor` for what it needs.
    case cuda(Int)
    /// The interpreter: slow, and the reference for everything else.
    case interpreter

    /// The device of sessions that name none: the one in the environment variable `MARTLET_DEVICE`, or else the processor.
    ///
    /// - Throws: a diagnostic if the variable names no device.
    public static func standard() throws(Diagnostic) -> Device {
      guard let value = getenv("MARTLET_DEVICE"), value.pointee != 0 else { return .cpu }
      do throws(Diagnostic) {
        return try Device(String(cString: value))
      } catch {
        throw Diagnostic(
          "the environment variable MARTLET_DEVICE names no device", required: error.required,
          found: "'\(String(cString: value))'", hint: "unset it, or name a device in SessionOptions")
      }
    }
  }
}

extension SessionOptions.Device: CustomStringConvertible {
  /// A device by its name: `cpu`, `cuda:0`, `cuda` for the first GPU, or `interpreter`. Whether it is there shows when a
  /// session is made.
  ///
  /// ```swift
  /// let session = try Session(graph, options: SessionOptions(device: .init("cuda:0")))
  /// ```
  ///
  /// - Throws: a diagnostic for any other name.
  public init(_ name: String) throws(Diagnostic) {
    let parts = name.split(separator: ":", omittingEmptySubsequences: false)
    switch (parts.first, parts.count) {
    case ("cpu", 1): self = .cpu
    case ("interpreter", 1): self = .interpreter
    case ("cuda", 1): self = .cuda(0)
    case ("cuda", 2):
      guard let number = Int(parts[1]), number >= 0 else { fallthrough }
      self = .cuda(number)
    default: throw Diagnostic("there is no device '\(name)'", required: "cpu, cuda:N or interpreter")
    }
  }

  public var description: String {
    switch self {
    case .cpu: "cpu"
    case .cuda(let number): "cuda:\(number)"
    case .interpreter: "interpreter"
    }
  }
}
