import MartletExecution
import MartletGraph

/// What was found to be fastest by running it, kept on disk from one process to the next, beside machine code.
///
/// A choice holds for a device, its driver, the libraries' versions and the options of calls; it only says which of the ways
/// that a library lists now is taken.
final class CUDAChoices: Sendable {
  private let store: CodeStore
  /// What choices depend on beside the contract; kept and compared with it.
  private let context: String
  private let digest: String

  /// Nil if nothing is to be kept, or nothing can be.
  init?(_ cache: CodeCache, _ context: CUDAContext, _ options: CUDALibraryOptions) {
    guard let path = cache.path, let store = try? CodeStore(path) else { return nil }
    let libraries = CUDALibrary.allCases.compactMap { library -> String? in
      let found = context.libraries.finding(library)
      guard library != .nvrtc, let path = found.path else { return nil }
      let version = found.version.map { "\($0)" } ?? ""
      return "\(library.title) \(version) \(CodeStore.stamp(path) ?? path)"
    }
    self.store = store
    self.context = """
      choices of library calls on \(context.name), \(context.device.architecture), \(context.device.multiprocessors) \
      multiprocessors, \(context.memoryBytes) bytes
      \(libraries.joined(separator: "\n"))
      \(options)
      """
    digest = CodeStore.digest(self.context)
  }

  private func name(_ key: String) -> String { "cuda-choice-\(digest)-\(CodeStore.digest(key))" }

  private func key(_ kind: String, _ contract: LibraryContract) -> String { "\(kind) \(contract)" }

  /// What was chosen for a contract; nil if nothing was, or what is there is damaged or another's.
  ///
  /// - Parameter kind: Tells the choices of one contract apart.
  func kept(_ kind: String, _ contract: LibraryContract) -> [UInt8]? {
    let key = key(kind, contract)
    let found = store.read([name(key)])
    guard let number = found.numbers[0] else { return nil }
    if let file = CodeFile(found.contents[number]), file.context == context, file.kernels == [Array(key.utf8)] {
      return file.object
    }
    // Its place is needed.
    store.remove(name(key))
    return nil
  }

  func keep(_ choice: [UInt8], _ kind: String, _ contract: LibraryContract) {
    let key = key(kind, contract)
    store.write(CodeFile(context: context, kernels: [Array(key.utf8)], object: choice).bytes, names: [name(key)])
  }

  /// Deletes a choice that is of no use.
  func forget(_ kind: String, _ contract: LibraryContract) { store.remove(name(key(kind, contract))) }
}
