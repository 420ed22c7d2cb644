import CMartletRuntime
import Foundation
import MartletExecution

/// What generated code depends on beside the structure of its nest: this code generator, LLVM, the processor.
struct CodeContext: Hashable, Sendable {
  /// One fact a line; the first is the file that LLVM was loaded from, with its size and its time.
  let text: String

  private init(text: String) { self.text = text }

  /// The context of code that `target` generates; nil where LLVM's file cannot be told from another.
  init?(_ target: CodeTarget) {
    let llvm = target.llvm.pointee
    guard let path = llvm.path.map({ String(cString: $0) }), let stamp = CodeStore.stamp(path) else { return nil }
    text = """
      \(stamp) \(path)
      \(CodeGenerationVersion.fingerprint)
      \(String(cString: llvm.triple)) \(String(cString: llvm.cpu)) \(target.vectorBits) \(target.passes)
      \(String(cString: llvm.features))
      """
  }

  /// The context of code that is generated with little effort.
  var quick: CodeContext { CodeContext(text: text + "\nquick") }

  /// A hash for the names of files.
  var digest: String { CodeStore.digest(text) }

  // MARK: Without loading LLVM

  /// The context as an earlier process on an equal machine found it, if LLVM's file is still the same.
  init?(recordedIn store: CodeStore) {
    guard let content = store.read([Self.recordName]).contents.first, let file = CodeFile(content),
      file.object.isEmpty, file.context.utf8.count < 1 << 16
    else { return nil }
    let first = file.context.prefix { $0 != "\n" }
    guard let space = first.firstIndex(of: " "),
      CodeStore.stamp(String(first[first.index(after: space)...])) == String(first[..<space])
    else { return nil }
    text = file.context
  }

  /// Leaves the context for processes to come.
  func record(in store: CodeStore) {
    guard CodeContext(recordedIn: store) != self else { return }
    store.remove(Self.recordName)
    store.write(CodeFile(context: text, kernels: [], object: []).bytes, names: [Self.recordName])
  }

  /// Names what decides which LLVM is loaded and what code it generates.
  private static var recordName: String {
    let chosen = getenv("MARTLET_LLVM").map { String(cString: $0) } ?? ""
    let machine = martlet_machine_facts().pointee
    return "machine-" + CodeStore.digest("\(machine.code_features) \(CodeGenerationVersion.fingerprint) \(chosen)")
  }
}
