import MartletTensors
import Testing

/// Expects that two arrays have one type and shape, and elements that differ at most by `relative` of the larger and
/// `absolute`; two NaNs are equal.
public func expectClose(
  _ found: Tensor, _ expected: Tensor, relative: Double = 1e-6, absolute: Double = 1e-7, _ comment: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(found.type == expected.type, "\(comment)", sourceLocation: sourceLocation)
  guard found.type == expected.type else { return }
  for (i, (a, b)) in zip(found.doubles(), expected.doubles()).enumerated() {
    if a == b || (a.isNaN && b.isNaN) { continue }
    let difference = abs(a - b)
    guard difference <= absolute + relative * max(abs(a), abs(b)) else {
      Issue.record("element \(i) is \(a), not \(b) \(comment)", sourceLocation: sourceLocation)
      return
    }
  }
}

/// Expects that two arrays have one type and shape, and floats that are equal or neighbours.
public func expectOneUnit(
  _ found: Tensor, _ expected: Tensor, _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
  let type = expected.elementType
  expectClose(
    found, expected, relative: type.isFloatingPoint ? 2 / Double(1 << type.significandWidth) : 0,
    absolute: type.leastNonzeroMagnitude, comment, sourceLocation: sourceLocation)
}
