extension DevicePlan: CustomStringConvertible {
  /// The plan as text:
  ///
  /// ```
  /// device memory 512 bytes, host image 512 bytes, 2 streams
  /// block 0
  ///   segment with parameters
  ///     [0] stream 0: upload argument 0 0..<16
  ///     [1] stream 1 after [0]: kernel 0 of instruction 0
  ///   host: instruction 1
  /// ```
  var description: String {
    var lines = [
      "device memory \(deviceMemory.byteCount) bytes, host image \(hostMemory.byteCount) bytes, \(streamCount) streams"
    ]
    for (number, block) in blocks.enumerated() {
      lines.append("block \(number)")
      for part in block.parts {
        switch part {
        case .segment(let segment):
          lines.append("  segment" + (segment.needsParameters ? " with parameters" : ""))
          for (i, step) in segment.steps.enumerated() { lines.append("    [\(i)] \(step)") }
        case .host(let index): lines.append("  host: instruction \(index)")
        case .conditional(let predicate, let then, let otherwise):
          lines.append("  if \(predicate) block \(then) else block \(otherwise)")
        case .loop(let predicate, let condition, let body, let count):
          let known = count == nil ? "" : ", counted by the host"
          lines.append("  while block \(condition) leaves \(predicate) do block \(body)\(known)")
        }
      }
    }
    return lines.joined(separator: "\n")
  }
}

extension DeviceStep: CustomStringConvertible {
  var description: String {
    let order = waits.isEmpty ? "" : " after \(waits.map { "[\($0)]" }.joined(separator: ", "))"
    let origin =
      instruction.map { first in
        others.isEmpty
          ? " of instruction \(first)"
          : " of instructions \(([first] + others).map(String.init).joined(separator: ", "))"
      } ?? ""
    let work =
      switch action {
      case .kernel(let number): "kernel \(number)"
      case .joined(let number): "joined kernels \(number)"
      case .library(let number): "library \(number)"
      case .copy(let source, let target): "copy \(source) to \(target)"
      case .upload(let range): "upload \(range)"
      case .download(let range): "download \(range)"
      }
    return "stream \(stream)\(order): \(work)" + origin
  }
}
