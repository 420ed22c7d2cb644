import MartletDiagnostics

/// The error for bytes that are not what their format asks for.
///
/// - Parameters:
///   - file: The name of the file, or of the bytes.
///   - offset: The offset in bytes at which the fault stands.
///   - field: The field or part of the format that is at fault.
///   - problem: What is wrong, as the rest of a sentence.
func malformed(
  _ file: String, offset: Int, field: String, _ problem: String, hint: String? = nil
) -> Diagnostic {
  Diagnostic("\(file): offset \(offset): \(field): \(problem)", hint: hint)
}
