import Testing

@testable import MartletDiagnostics

@Suite struct SourceLocationTests {
  @Test(arguments: [
    ("/home/u/MyApp/Sources/MyApp/main.swift", "Sources/MyApp/main.swift"),
    ("/src/martlet/Examples/Sources/Mnist/main.swift", "Sources/Mnist/main.swift"),
    ("/src/martlet/Tests/MartletTests/A.swift", "Tests/MartletTests/A.swift"),
    ("/tmp/script.swift", "script.swift"), ("MyApp/main.swift", "MyApp/main.swift"), ("/Sources", "Sources"),
    ("/a/Sources", "Sources"), ("", ""),
  ])
  func pathsAreShortened(path: String, expected: String) {
    #expect(SourceLocation(file: path, line: 1).shortPath == expected)
  }

  @Test(arguments: [
    ("/x/martlet/Sources/MartletGraph/Graph.swift", true), ("/x/Sources/Martlet/Session.swift", true),
    ("/x/.build/checkouts/martlet/Sources/MartletOperations/Math/MatMul.swift", true),
    ("/x/martlet/Sources/martlet-cli/Run.swift", false), ("/x/martlet/Tests/MartletTests/A.swift", false),
    ("/x/martlet/Examples/Sources/Mnist/main.swift", false), ("/x/Sources/MartletModels/Resnet.swift", false),
    ("/x/Martlet/Sources/App/main.swift", false), ("/x/Sources/Martlet.swift", false),
  ])
  func onlyMartletsLibrariesAreItsOwn(path: String, expected: Bool) {
    #expect(SourceLocation(file: path, line: 1).isMartletSource == expected)
  }

  @Test func descriptionIsFileAndLine() {
    #expect("\(SourceLocation(file: "/home/u/MyApp/Sources/MyApp/main.swift", line: 12))" == "main.swift:12")
  }
}
