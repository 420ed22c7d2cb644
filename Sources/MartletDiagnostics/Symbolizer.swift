internal import Glibc  // Swift's static Runtime library refers to it without saying so.
internal import Runtime

/// Turns return addresses into source locations, within the process, from its own debug information.
enum Symbolizer {
  /// The source locations of these return addresses, innermost first: functions that were inlined at a call have
  /// locations of their own. Addresses without a location are left out, as is code that the compiler made up.
  static func locations(of addresses: [UInt]) -> [SourceLocation] {
    guard !addresses.isEmpty, let backtrace = try? Backtrace(from: BacktraceDecoder(returnAddresses: addresses)),
      let symbolicated = backtrace.symbolicated(with: ImageMap.capture())
    else { return [] }
    return symbolicated.frames.compactMap { frame in
      guard let found = frame.symbol?.sourceLocation else { return nil }
      let location = SourceLocation(file: found.path, line: found.line)
      return location.isSynthesized ? nil : location
    }
  }
}
