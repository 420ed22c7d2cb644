import Foundation

/// A line on standard error that shows how far a long task is; nothing where that is not a terminal.
struct ProgressBar {
  private static let width = 30
  private let title: String
  private let total: Int
  private let start = ContinuousClock.now
  private let isVisible = isatty(FileHandle.standardError.fileDescriptor) != 0
  private var shown = -1

  init(_ title: String, total: Int) {
    self.title = title
    self.total = total
  }

  mutating func update(_ done: Int, _ note: @autoclosure () -> String) {
    // A hundred times is often enough to write.
    guard isVisible, done * 100 / total != shown else { return }
    shown = done * 100 / total
    let filled = done * Self.width / total
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.width - filled)
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    write("\r\(title) \(bar) \(shown) %  \(String(format: "%.1f", seconds)) s  \(note())\u{1B}[K")
  }

  /// Wipes the line.
  func finish() {
    if isVisible { write("\r\u{1B}[K") }
  }

  private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
