import Foundation
import MartletDiagnostics

/// Where machine code, of processors and of GPUs, is kept from one process to the next.
public enum CodeCache: Sendable, Hashable {
  /// The folder that MARTLET_CACHE names; without it `martlet` in XDG_CACHE_HOME or in `~/.cache`. `MARTLET_CACHE=off`
  /// keeps nothing. A debug build of Martlet keeps code only if MARTLET_CACHE names a folder.
  case standard
  /// Code is forgotten when the process ends.
  case off
  /// This folder, which is made if it is not there. It must belong to the user, and nobody else may write to it.
  case folder(String)

  /// The folder, if there is to be one.
  public var path: String? {
    switch self {
    case .off: return nil
    case .folder(let path): return path
    case .standard:
      // A program that has more rights than its user must not believe the user's files.
      if geteuid() != getuid() || getegid() != getgid() { return nil }
      if let chosen = Self.variable("MARTLET_CACHE") { return chosen == "off" ? nil : chosen }
      #if DEBUG
        return nil
      #else
        if let folder = Self.variable("XDG_CACHE_HOME"), folder.hasPrefix("/") { return folder + "/martlet" }
        return Self.variable("HOME").map { $0 + "/.cache/martlet" }
      #endif
    }
  }

  private static func variable(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
  }

  /// What is in the folder.
  public struct Content: Sendable, Hashable {
    public var files = 0
    public var bytes = 0
    /// How much is kept; what was used longest ago is deleted first.
    public var limit = 0
  }

  /// What is in the folder; nil if nothing is kept.
  ///
  /// - Throws: a diagnostic if the folder cannot be used; compiling then does without.
  public func content() throws(Diagnostic) -> Content? {
    guard let path, access(path, F_OK) == 0 else { return path == nil ? nil : Content(limit: CodeStore.standardLimit) }
    return try CodeStore(path).content
  }
}
