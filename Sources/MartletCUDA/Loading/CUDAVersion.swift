/// A version of CUDA, of its driver interface or of one of its libraries.
public struct CUDAVersion: Hashable, Sendable, Comparable, CustomStringConvertible {
  public var major: Int
  public var minor: Int
  public var patch: Int?

  public init(major: Int, minor: Int, patch: Int? = nil) {
    (self.major, self.minor, self.patch) = (major, minor, patch)
  }

  /// From 1000 · major + 10 · minor, as the driver and the runtime give it.
  init(thousands number: Int) { self.init(major: number / 1000, minor: number % 1000 / 10) }

  /// From 10000 · major + 100 · minor + patch, as the libraries give it.
  init(library number: Int) {
    self.init(major: number / 10_000, minor: number % 10_000 / 100, patch: number % 100)
  }

  public static func < (a: CUDAVersion, b: CUDAVersion) -> Bool {
    (a.major, a.minor, a.patch ?? 0) < (b.major, b.minor, b.patch ?? 0)
  }

  public var description: String { "\(major).\(minor)" + (patch.map { ".\($0)" } ?? "") }
}
