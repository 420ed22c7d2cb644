import MartletDiagnostics
import MartletExecution
import MartletLoopIR

/// Kernels on disk: finds code by a nest's structure, and keeps what was generated.
struct CodeLibrary: Sendable {
  let store: CodeStore
  let context: CodeContext

  /// The same for code that is generated with little effort.
  var quick: CodeLibrary { CodeLibrary(store: store, context: context.quick) }

  /// Where to keep code that `target` generates, and leaves a record of it for processes to come: the one that is there may
  /// be of another LLVM than the one that was loaded. nil if the code must not be kept.
  func recorded(for target: CodeTarget) -> CodeLibrary? {
    guard let actual = CodeContext(target) else { return nil }
    if actual != context { actual.record(in: store) }
    return CodeLibrary(store: store, context: actual)
  }

  private func name(_ key: StructuralKey) -> String { "\(context.digest)-\(key.digest)" }

  /// For each key the image that has its code, with the kernel's number there.
  func load(_ keys: [StructuralKey]) -> [(image: CodeImage, number: Int)?] {
    let names = keys.map(name)
    let found = store.read(names)
    var images: [(image: CodeImage, numbers: [[UInt8]: Int])?] = []
    for content in found.contents {
      let file = CodeFile(content)
      guard let file, file.context == context.text, let object = try? ObjectFile(file.object),
        let image = try? CodeImage(object)
      else {
        images.append(nil)
        continue
      }
      images.append((image, Dictionary(zip(file.kernels, 0...)) { first, _ in first }))
    }
    return zip(keys, names).enumerated().map { i, item in
      guard let number = found.numbers[i] else { return nil }
      guard let image = images[number], let kernel = image.numbers[item.0.bytes] else {
        store.remove(item.1)
        return nil
      }
      return (image.image, kernel)
    }
  }

  /// Deletes the file of a kernel, so that it can be replaced.
  func remove(_ key: StructuralKey) { store.remove(name(key)) }

  /// Keeps the object that holds the kernels of these structures.
  func save(_ object: [UInt8], _ keys: [StructuralKey]) {
    store.write(
      CodeFile(context: context.text, kernels: keys.map(\.bytes), object: object).bytes, names: keys.map(name))
  }
}
