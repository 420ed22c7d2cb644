import ArgumentParser
import Martlet

/// How much memory a run may take.
struct MemoryOptions: ParsableArguments {
  @Option(
    name: .customLong("memory-budget"),
    help: ArgumentHelp(
      "The most that a run may take beside feeds, constants and variables. Values are computed again where it takes more.",
      valueName: "BYTES|MiB|GiB"))
  private var limit: ByteCountArgument?

  /// Bytes; nil without a limit.
  var budget: Int? { limit?.byteCount }
}

/// `1500`, `64KiB`, `1.5GiB`, `2GB`.
struct ByteCountArgument: ExpressibleByArgument {
  let byteCount: Int

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = argument.dropFirst(digits.count)
    let units: KeyValuePairs = [
      "": 1.0, "B": 1, "KiB": 0x1p10, "MiB": 0x1p20, "GiB": 0x1p30, "TiB": 0x1p40, "KB": 1e3, "kB": 1e3, "MB": 1e6,
      "GB": 1e9,
      "TB": 1e12,
    ]
    guard let number = Double(digits), let factor = units.first(where: { $0.key == unit })?.value,
      let bytes = Int(exactly: (number * factor).rounded(.down))
    else { return nil }
    byteCount = bytes
  }
}
