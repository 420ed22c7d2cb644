internal import CMartletRuntime

/// Where in the user's source something was built.
///
/// Capturing one costs tens of nanoseconds: it records return addresses. They are turned into a file and a line only
/// when ``resolved`` is asked for.
public struct BuildSite: Hashable, Sendable {
  private enum Origin: Hashable, Sendable {
    case unknown
    case source(SourceLocation)
    case frames(Frames)
  }

  private let origin: Origin

  private init(_ origin: Origin) { self.origin = origin }

  /// No site is known.
  public static let unknown = BuildSite(.unknown)

  /// A site given by file and line, as `#filePath` or `#fileID` and `#line` name them.
  public init(file: String, line: Int) { origin = .source(SourceLocation(file: file, line: line)) }

  /// The call stack at this point.
  ///
  /// - Parameter skipping: How many of the innermost callers to leave out. Frames of Martlet's own sources need not be
  ///   skipped, since ``resolved`` passes over them, but leaving them out makes room for more of the user's.
  @inline(never)
  public static func capture(skipping: Int = 0) -> BuildSite {
    BuildSite(.frames(Frames(martlet_capture_frames(Int32(truncatingIfNeeded: skipping)))))
  }

  /// The innermost line that is not in Martlet's own sources, or nil where nothing is known, such as in a program without
  /// debug information. Reading debug information takes milliseconds.
  public var resolved: SourceLocation? {
    switch origin {
    case .unknown: nil
    case .source(let location): location
    case .frames(let frames): Symbolizer.location(of: frames.addresses) { !$0.isMartletSource }
    }
  }

  /// The recorded addresses, each as its module's file counts them: `MyApp+0x12c4`. Empty where the site was not captured.
  public var rawFrames: [String] {
    guard case .frames(let frames) = origin else { return [] }
    return frames.addresses.map { address in
      var bias: UInt = 0
      guard let path = martlet_module_at(address, &bias) else { return "0x" + String(address, radix: 16) }
      let isProgram = String(cString: path) == "/proc/self/exe"
      let file = isProgram ? CommandLine.arguments.first ?? "?" : String(cString: path)
      return (file.split(separator: "/").last ?? "?") + "+0x" + String(address - bias, radix: 16)
    }
  }
}

/// Return addresses, innermost first.
private struct Frames: Hashable, @unchecked Sendable {
  private let storage: MartletFrames

  init(_ storage: MartletFrames) { self.storage = storage }

  var addresses: [UInt] { withBytes { Array($0.prefix { $0 != 0 }) } }

  private func withBytes<R>(_ body: (UnsafeBufferPointer<UInt>) -> R) -> R {
    withUnsafeBytes(of: storage) { body($0.assumingMemoryBound(to: UInt.self)) }
  }

  static func == (a: Frames, b: Frames) -> Bool {
    a.withBytes { x in b.withBytes { y in x.elementsEqual(y) } }
  }

  func hash(into hasher: inout Hasher) {
    withUnsafeBytes(of: storage) { hasher.combine(bytes: $0) }
  }
}
