import MartletRewriting
import MartletTensors

/// How far a result may be from what it was.
///
/// Where every bit is promised, all bits must agree, but for the payload and sign of NaN. Integers and Booleans must always
/// agree. Of other floats, let `old` and `new` be an element before and after; `truth` what `old` is in double
/// precision, and `spread` the greatest distance by which `truth` moves when each element that is fed, and in whole
/// programs each that is computed, is moved at random by half a unit in its last place. Then
///
///     |new − truth| ≤ |old − truth| + 16 · (ε · |truth| + spread) + 16 · 2⁻⁵³ · M + 4 · smallest number
///
/// with ε the distance from 1 to the next number, and M the greatest finite number met on the way to `truth`. The first
/// term says that the new form may be as inaccurate as the old one; the second that its roundings do as much harm as
/// roundings of the operands, which is what reordering a sum does, whose spread is in proportion to its terms; the third
/// is the rounding of `truth` itself.
///
/// Programs with floats of 16 bits are rounded at other places when their nodes become one kernel: a node's result is
/// rounded to 16 bits before, and kept in `float32` after. Each form is within half a unit in the last place of what the
/// node would give unrounded, so the two are within one. There `truth` is the first run, in the program's own types;
/// `spread` is how far it moves when the result of each node is moved at random by one unit in its last place; and
///
///     |new − truth| ≤ |old − truth| + 2 · (ε · |truth| + spread) + 4 · smallest number
///
/// An integer or a Boolean of such a program may differ where it does so among the runs that were moved, as the number
/// of the greatest of two elements that a rounding makes equal.
///
/// Of `float64` no truth is at hand: `truth` is `old`, and ε is 2⁻²⁴, which finds another expression but not another
/// rounding. So it is with kernels, which cannot be run in double precision, where a proof begins with them.
public struct ProofTolerance {
  let promise: Rule.Promise
  /// How many times the rounding of operands is allowed.
  var factor = 16.0

  /// An element that differs.
  struct Difference {
    var position: Int
    var old: Double
    var new: Double
  }

  /// The results of one run in all its variants. Absent variants are empty.
  struct Reference {
    var old: [Tensor]
    var truth: [Tensor]
    var moved: [[Tensor]]
    /// The greatest finite number met in computing `truth`.
    var magnitude: Double
    /// Whether `truth` and `moved` were computed in the program's own types, and each node's result moved by one unit.
    var isOfOwnTypes = false
  }

  /// Compares result `number` with what it should be.
  ///
  /// - Returns: the first element that is out of tolerance, and the greatest part of its tolerance that any has used.
  func compare(_ new: Tensor, _ number: Int, of reference: Reference) -> (difference: Difference?, closeness: Double) {
    let old = reference.old[number]
    let (a, b) = (old.doubles(), new.doubles())
    if promise == .sameBits || !old.elementType.isFloatingPoint {
      let moved = reference.isOfOwnTypes ? reference.moved.map { $0[number].doubles() } : []
      for i in a.indices where !Self.isSameBits(a[i], b[i]) {
        if moved.contains(where: { $0[i] != a[i] }) { continue }
        return (Difference(position: i, old: a[i], new: b[i]), 1)
      }
      return (nil, 0)
    }
    let isMeasured = (old.elementType == .float32 || reference.isOfOwnTypes) && !reference.truth.isEmpty
    let truth = isMeasured ? reference.truth[number].doubles() : a
    let moved = isMeasured ? reference.moved.map { $0[number].doubles() } : []
    let factor = reference.isOfOwnTypes ? 2 : factor
    let type = old.elementType
    let ε = isMeasured || type.isHalf ? 2 / Double(1 << type.significandWidth) : 0x1p-24
    let least = type.leastNonzeroMagnitude
    let floor = 16 * 0x1p-53 * reference.magnitude + 4 * least
    var closeness = 0.0
    for i in a.indices {
      if Self.isSameBits(a[i], b[i]) || a[i] == b[i] { continue }
      guard a[i].isFinite, truth[i].isFinite else {
        if promise == .noLessAccurate { continue }
        return (Difference(position: i, old: a[i], new: b[i]), 1)
      }
      let spread = moved.reduce(0) { max($0, ($1[i] - truth[i]).magnitude) }
      guard spread.isFinite else { continue }
      let allowed = (a[i] - truth[i]).magnitude + factor * (ε * truth[i].magnitude + spread) + floor
      let part = (b[i] - truth[i]).magnitude / allowed
      guard part <= 1 else { return (Difference(position: i, old: a[i], new: b[i]), 1) }
      closeness = max(closeness, part)
    }
    return (nil, closeness)
  }

  /// Whether two elements have the same bits, or are both NaN.
  static func isSameBits(_ a: Double, _ b: Double) -> Bool {
    a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN)
  }
}
