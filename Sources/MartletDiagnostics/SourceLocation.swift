/// A line of a source file.
public struct SourceLocation: Hashable, Sendable {
  /// The path as the compiler recorded it: absolute, or `Module/File.swift` where it came from `#fileID`.
  public var file: String
  /// The line, counted from 1; 0 for a file that has no lines.
  public var line: Int

  public init(file: String, line: Int) {
    self.file = file
    self.line = line
  }

  /// The path from the package's `Sources`, `Tests`, `Examples` or `Benchmarks` folder on, so that messages are the same
  /// wherever a package lies; a path without such a folder is shortened to its last component, if it is absolute.
  public var shortPath: String {
    let components = file.split(separator: "/", omittingEmptySubsequences: true)
    if let root = components.lastIndex(where: { Self.rootFolders.contains(String($0)) }), root + 1 < components.count {
      return components[root...].joined(separator: "/")
    }
    return file.hasPrefix("/") ? components.last.map(String.init) ?? file : file
  }

  private static let rootFolders = ["Sources", "Tests", "Examples", "Benchmarks"]

  /// Whether the file is one of Martlet's own library sources. Its examples and tests count as user code.
  var isMartletSource: Bool {
    let components = file.split(separator: "/", omittingEmptySubsequences: true)
    return zip(components, components.dropFirst()).contains { $0 == "Sources" && Self.martletModules.contains($1) }
  }

  private static let martletModules: [Substring] = [
    "CMartletRuntime", "CMartletProtos", "MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph",
    "MartletOperations", "MartletRewriting", "MartletGradients", "MartletPasses", "MartletFormats",
    "MartletVisualization", "MartletFrontend", "MartletScheduling", "MartletExecution", "MartletCPU", "MartletCUDA",
    "Martlet",
  ]

  /// Whether the location is in code that no one wrote, or in the standard library.
  var isSynthesized: Bool {
    line <= 0 || file.isEmpty || file.hasPrefix("<") || file.contains("/stdlib/public/")
  }
}

extension SourceLocation: CustomStringConvertible {
  /// The file's name and the line: `main.swift:12`.
  public var description: String {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    return line > 0 ? "\(name):\(line)" : name
  }
}
