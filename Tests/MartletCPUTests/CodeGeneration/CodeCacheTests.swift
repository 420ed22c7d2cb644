import Foundation
import MartletDiagnostics
import MartletExecution
import MartletLoopIR
import Testing

@testable import MartletCPU

/// A folder of its own for each test. New compilers stand for new processes: they share nothing but the folder.
final class CodeCacheTests {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-code-\(UUID().uuidString)").path

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  private static let factors = [2.0, 3, 5, 7]
  private static let nests = factors.map { NestCompilerTests.scaled(by: $0, name: "\($0)") }

  /// Compiles all nests, checks what they compute, and tells where their code came from.
  @discardableResult
  private func compile(
    _ nests: [Nest] = nests, in store: CodeStore? = nil, sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws -> NestCompiler.Statistics {
    var counts = NestCompiler.Statistics()
    let kernels = try NestCompiler().compile(nests, store: try store ?? CodeStore(folder), counts: &counts)
    for kernel in kernels {
      let factor = try #require(Float(kernel.name))
      #expect(
        NestCompilerTests.run(kernel) == (0..<20).map { factor * Float($0) }, sourceLocation: sourceLocation)
    }
    return counts
  }

  /// The names of the files with code.
  private func files() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix("machine-") }.sorted()
  }

  @Test func aSecondProcessCompilesNothing() throws {
    let cold = try compile()
    #expect((cold.compiled, cold.loaded) == (4, 0))
    let warm = try compile()
    #expect((warm.compiled, warm.loaded) == (0, 4))
    #expect(try files().count == 4)
  }

  @Test func onlyWhatIsNewIsCompiled() throws {
    try compile(Array(Self.nests[..<2]))
    let counts = try compile()
    #expect((counts.compiled, counts.loaded) == (2, 2))
    #expect(try compile().loaded == 4)
  }

  /// Each of these takes a different part of the file: magic, length, sum, context, code, structure.
  @Test(arguments: [0, 9, 20, 60, 700, -1]) func aChangedFileIsIgnoredAndReplaced(_ place: Int) throws {
    try compile()
    for name in try files() {
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)))
      bytes[place < 0 ? bytes.count - 1 : place] ^= 0x10
      // A new file: the names of one file must not be changed twice.
      try FileManager.default.removeItem(atPath: folder + "/" + name)
      try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
    }
    let counts = try compile()
    #expect((counts.compiled, counts.loaded) == (4, 0))
    #expect(try compile().loaded == 4)
  }

  @Test(arguments: [0, 1, 31, 32, 400]) func aShortenedFileIsIgnored(_ length: Int) throws {
    try compile()
    for name in try files() { #expect(truncate(folder + "/" + name, length) == 0) }
    #expect(try compile().compiled == 4)
    #expect(try compile().loaded == 4)
  }

  /// A file whose sums are right, but which holds other kernels than its name says, or code for another machine.
  @Test func aFileUnderAWrongNameIsIgnored() throws {
    try compile([Self.nests[0]])
    let wrong = try files()[0]
    try compile([Self.nests[1]])
    let other = try #require(files().first { $0 != wrong })
    try FileManager.default.removeItem(atPath: folder + "/" + other)
    try FileManager.default.copyItem(atPath: folder + "/" + wrong, toPath: folder + "/" + other)
    #expect(try compile([Self.nests[1]]).compiled == 1)

    var file = try #require(CodeFile([UInt8](Data(contentsOf: URL(fileURLWithPath: folder + "/" + wrong)))))
    file.context += "another machine"
    try FileManager.default.removeItem(atPath: folder + "/" + wrong)
    try Data(file.bytes).write(to: URL(fileURLWithPath: folder + "/" + wrong))
    #expect(try compile([Self.nests[0]]).compiled == 1)
  }

  /// Puts a file of another content in the place of one.
  private func replace(_ name: String, _ change: (inout CodeFile) throws -> Void) throws {
    let url = URL(fileURLWithPath: folder + "/" + name)
    var file = try #require(CodeFile([UInt8](try Data(contentsOf: url))))
    try change(&file)
    try FileManager.default.removeItem(at: url)
    try Data(file.bytes).write(to: url)
    #expect(chmod(url.path, 0o600) == 0)
  }

  @Test func aFileWithoutTheKernelIsReplaced() throws {
    try compile([Self.nests[0]])
    try replace(try files()[0]) { $0.object = try ObjectFileTests.object(ObjectFileTests.text) }
    #expect(try compile([Self.nests[0]]).compiled == 1)
    #expect(try compile([Self.nests[0]]).loaded == 1)
  }

  /// The record tells of another target on the same LLVM file.
  @Test func aWrongRecordIsPutRight() throws {
    try compile([Self.nests[0]])
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    let record = try #require(names.first { $0.hasPrefix("machine-") })
    try replace(record) { $0.context += " another" }
    #expect(try compile([Self.nests[1]]).compiled == 1)
    #expect(try compile(Array(Self.nests[..<2])).loaded == 2)
  }

  @Test func linksAreNotFollowed() throws {
    try compile([Self.nests[0]])
    let name = try files()[0]
    try FileManager.default.moveItem(atPath: folder + "/" + name, toPath: folder + "/elsewhere")
    try FileManager.default.createSymbolicLink(
      atPath: folder + "/" + name, withDestinationPath: folder + "/elsewhere")
    #expect(try compile([Self.nests[0]]).compiled == 1)
  }

  @Test func aFolderOpenToOthersIsRefused() throws {
    try compile()
    #expect(chmod(folder, 0o777) == 0)
    #expect(throws: Diagnostic.self) { try CodeStore(self.folder) }
    #expect(throws: Diagnostic.self) { try CodeCache.folder(self.folder).content() }
    #expect(chmod(folder, 0o700) == 0)
    for name in try files() { #expect(chmod(folder + "/" + name, 0o666) == 0) }
    #expect(try compile().loaded == 0)
  }

  @Test func aLinkToAFolderIsRefused() throws {
    try compile([Self.nests[0]])
    let link = folder + "-link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: folder)
    defer { unlink(link) }
    #expect(throws: Diagnostic.self) { try CodeStore(link) }
  }

  @Test func filesOfOthersAreNeitherCountedNorDeleted() throws {
    let store = try CodeStore(folder, limit: 1000)
    for name in ["notes", ".new-notes"] {
      try Data(count: 5000).write(to: URL(fileURLWithPath: folder + "/" + name))
      var times = [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 1000, tv_usec: 0)]
      #expect(utimes(folder + "/" + name, &times) == 0)
    }
    store.write(Array(repeating: 1, count: 600), names: ["a"])
    #expect((store.content.files, store.content.bytes) == (1, 600))
    store.write(Array(repeating: 2, count: 600), names: ["b"])
    #expect((store.content.files, store.content.bytes) == (1, 600))
    #expect(try files().filter { $0.hasSuffix("notes") } == [".new-notes", "notes"])
  }

  @Test func filesUsedAtOneTimeGoByName() throws {
    let store = try CodeStore(folder, limit: 1000)
    for name in ["b", "a"] {
      store.write(Array(repeating: 1, count: 400), names: [name])
      let file = try #require(files().first { $0.hasPrefix(name) })
      var times = [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 1000, tv_usec: 0)]
      #expect(utimes(folder + "/" + file, &times) == 0)
    }
    store.write(Array(repeating: 1, count: 400), names: ["c"])
    #expect(store.read(["a", "b", "c"]).numbers == [nil, 0, 1])
  }

  @Test func theFolderIsTheUsersAlone() throws {
    try compile()
    var status = stat()
    #expect(stat(folder, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o700)
  }

  @Test func aFolderThatCannotBeMadeIsToldOf() throws {
    try Data().write(to: URL(fileURLWithPath: folder))
    #expect(throws: Diagnostic.self) { try CodeStore(self.folder + "/below") }
    #expect(CodeCache.off.path == nil)
    #expect(try CodeCache.off.content() == nil)
  }

  @Test func whatWasUsedLongestAgoGoesFirst() throws {
    for (i, nest) in Self.nests.enumerated() {
      let before = i == 0 ? [] : try files()
      try compile([nest])
      let name = try #require(files().first { !before.contains($0) })
      // Older than the rest, the first most of all.
      var times = [timeval(tv_sec: 1000 + i, tv_usec: 0), timeval(tv_sec: 1000 + i, tv_usec: 0)]
      #expect(utimes(folder + "/" + name, &times) == 0)
    }
    // Reading the first marks it as used.
    #expect(try compile([Self.nests[0]]).loaded == 1)
    let size = try CodeStore(folder).content.bytes
    let small = try CodeStore(folder, limit: size * 5 / 6)
    try compile([NestCompilerTests.scaled(by: 11, name: "11")], in: small)
    #expect(small.content.bytes <= size * 5 / 6)
    #expect(try compile([Self.nests[0]]).loaded == 1)
    #expect(try compile([Self.nests[1]]).compiled == 1)
  }

  @Test func manyWritersShareAFolder() async throws {
    let folder = folder
    try await withThrowingTaskGroup(of: Void.self) { group in
      for thread in 0..<4 {
        group.addTask {
          for round in 1...4 {
            let nests = (1...round).map { NestCompilerTests.scaled(by: Double($0 * 13), name: "\(thread)") }
            var counts = NestCompiler.Statistics()
            let kernels = try NestCompiler().compile(nests, store: try CodeStore(folder), counts: &counts)
            for (i, kernel) in kernels.enumerated() {
              #expect(NestCompilerTests.run(kernel) == (0..<20).map { Float((i + 1) * 13 * $0) })
            }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try files().count == 4)
    let counts = try compile((1...4).map { NestCompilerTests.scaled(by: Double($0 * 13), name: "\($0 * 13)") })
    #expect((counts.compiled, counts.loaded) == (0, 4))
  }

  /// The folder vanishes while it is in use, so that nothing can be written.
  @Test func aFolderThatCannotBeWrittenToIsNoMistake() throws {
    let store = try CodeStore(folder)
    try FileManager.default.removeItem(atPath: folder)
    #expect(try compile(in: store).compiled == 4)
    #expect(try compile(in: store).compiled == 4)
    #expect(!FileManager.default.fileExists(atPath: folder))
  }

  @Test func codeDependsOnTheProcessorAndTheCompiler() throws {
    let target = try CodeTarget()
    let text = try #require(CodeContext(target)).text
    #expect(text.contains(CodeGenerationVersion.fingerprint))
    #expect(text.contains(String(cString: target.llvm.pointee.cpu)))
    #expect(text.contains(String(cString: target.llvm.pointee.features)))
  }
}
