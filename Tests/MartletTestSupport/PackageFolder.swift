import Foundation

/// The package with its fixtures: where the tests were built, or where MARTLET_TEST_ROOT says that it lies by now.
public let packageFolder: URL = {
  if let root = ProcessInfo.processInfo.environment["MARTLET_TEST_ROOT"], !root.isEmpty { return URL(filePath: root) }
  return URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
}()
