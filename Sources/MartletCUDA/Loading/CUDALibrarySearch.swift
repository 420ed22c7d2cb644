import Foundation

/// Where the libraries of CUDA may be: a file that the environment names, or else the loader's own path, CUDA's usual
/// folders, and the Python packages of NVIDIA. Folders are listed, nothing is run or loaded.
struct CUDALibrarySearch: Sendable {
  var environment: [String: String] = ProcessInfo.processInfo.environment
  /// In place of the root folder, for tests.
  var root = ""

  /// Names and paths to load, best first.
  func candidates(for library: CUDALibrary) -> [String] {
    if let named = environment[library.variable], !named.isEmpty { return [named] }
    let folders = folders
    return library.fileNames.flatMap { name in
      [name] + folders.map { "\($0)/\(name)" }.filter { FileManager.default.fileExists(atPath: $0) }
    }
  }

  /// What is looked through, for people.
  func places(for library: CUDALibrary) -> String {
    if let named = environment[library.variable], !named.isEmpty {
      return "\(named), which \(library.variable) names"
    }
    let names = library.fileNames.joined(separator: " or ")
    return "\(names) on the loader's path, in /usr/local/cuda*/lib64, \(systemFolders.joined(separator: ", "))\(wheels)"
  }

  /// Those of Python's folders that are looked through, the first by name.
  private var wheels: String {
    let packages = pythonFolders.filter { FileManager.default.fileExists(atPath: $0) }
    guard let first = packages.first else { return "" }
    let others =
      packages.count > 1 ? " and \(packages.count - 1) other folder\(packages.count > 2 ? "s" : "") of packages" : ""
    return ", and in nvidia/*/lib of \(first)\(others)"
  }

  /// The folders to look through that exist.
  var folders: [String] {
    let toolkits = children(of: "\(root)/usr/local") { $0 == "cuda" || $0.hasPrefix("cuda-") }
      .sorted { ($0.hasSuffix("/cuda") ? 1 : 0, Self.number($0)) > ($1.hasSuffix("/cuda") ? 1 : 0, Self.number($1)) }
    let packages = pythonFolders.flatMap { folder in
      children(of: "\(folder)/nvidia") { _ in true }.sorted(by: >).map { "\($0)/lib" }
    }
    let all = toolkits.map { "\($0)/lib64" } + systemFolders.map { root + $0 } + packages
    return all.filter { FileManager.default.fileExists(atPath: $0) }
  }

  private let systemFolders: [String] = {
    #if arch(arm64)
      ["/usr/lib/aarch64-linux-gnu", "/usr/lib64"]
    #else
      ["/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
    #endif
  }()

  /// `cuda-12.10` is newer than `cuda-12.9`.
  private static func number(_ path: String) -> Int {
    let parts = path.split(separator: "-").last?.split(separator: ".").compactMap { Int($0) } ?? []
    return parts.prefix(2).reduce(0) { $0 * 1000 + $1 } * (parts.count == 1 ? 1000 : 1)
  }

  // MARK: Python

  /// The folders of installed packages, of the Python that would be run first.
  var pythonFolders: [String] {
    var prefixes: [String] = []
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
      if let folder = environment[name], !folder.isEmpty { prefixes.append(folder) }
    }
    if let python = python {
      prefixes.append(Self.parent(Self.parent(python)))
      let target = URL(filePath: python).resolvingSymlinksInPath().path
      prefixes.append(Self.parent(Self.parent(target)))
      // pyenv puts a script in the place of each Python.
      if python.hasSuffix("/shims/python3") {
        prefixes += children(of: Self.parent(Self.parent(python)) + "/versions") { _ in true }.sorted(by: >)
      }
    }
    if let home = environment["HOME"], !home.isEmpty { prefixes.append("\(home)/.local") }
    prefixes += ["\(root)/usr/local", "\(root)/usr"]
    var known: Set<String> = []
    return prefixes.filter { known.insert($0).inserted }.flatMap { prefix in
      children(of: "\(prefix)/lib") { $0.hasPrefix("python3") }.sorted(by: >).flatMap {
        ["\($0)/site-packages", "\($0)/dist-packages"]
      }
    }
  }

  private var python: String? {
    (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/python3" }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }

  private static func parent(_ path: String) -> String { URL(filePath: path).deletingLastPathComponent().path }

  private func children(of folder: String, where isWanted: (String) -> Bool) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter(isWanted).map { "\(folder)/\($0)" }
  }
}
