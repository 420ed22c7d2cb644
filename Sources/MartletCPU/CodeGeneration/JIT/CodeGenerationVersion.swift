/// Tells code that this version of the code generator makes from that of others.
enum CodeGenerationVersion {
  /// A hash over the sources that decide what code a nest becomes. `Scripts/code-version` writes it,
  /// and `Scripts/check` tells when it is no longer right.
  static let fingerprint = "3a1937454c0e3654"
}
