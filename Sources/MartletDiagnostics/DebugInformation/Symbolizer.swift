internal import CMartletRuntime
internal import Synchronization

/// Turns return addresses into source locations, within the process, from its own debug information.
///
/// Swift's `Runtime` module does this too, but where several calls were inlined at one address it gives their lines in
/// another order (tried with Swift 6.3.1), so that an error would name the wrong line of the user's program.
enum Symbolizer {
  /// What was read of each loaded file, by path.
  private static let modules = Mutex<[String: Module]>([:])

  /// The innermost location that satisfies a condition. Calls that were inlined count like calls.
  ///
  /// - Parameter returnAddresses: Innermost first.
  static func location(
    of returnAddresses: [UInt], where isWanted: (SourceLocation) -> Bool
  ) -> SourceLocation? {
    for address in returnAddresses {
      // The call is before the instruction to which it returns.
      if let location = locations(of: address - 1).first(where: isWanted) { return location }
    }
    return nil
  }

  /// The locations of the instruction at an address, innermost first, without code that the compiler made up.
  private static func locations(of address: UInt) -> [SourceLocation] {
    var bias: UInt = 0
    guard let name = martlet_module_at(address, &bias) else { return [] }
    let path = String(cString: name)
    return modules.withLock { modules in
      modules[path, default: Module(path: path)].locations(of: UInt64(address - bias))
    }.filter { !$0.isSynthesized }
  }
}
