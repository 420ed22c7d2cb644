import MartletGraph
import MartletLoopIR
import MartletTensors

/// The stream of random numbers of one operation: blocks of four 32-bit words by Philox 4x32-10.
///
/// The key is that of `RandomStreamOperation`. The counter is the element's number in the result (two words) and the run's (two
/// words), the upper words mixed with the number of the iteration of the loops around: 0 outside of loops, 1 and so on in
/// one, a number that is mixed from all of them in loops within loops. So each element of each run and iteration has a
/// block of its own, which does not depend on how the work is divided or in which order loops are run.
struct RandomStream {
  let key: (UInt32, UInt32)

  init(_ operation: some RandomStreamOperation, name: String) {
    let bits = operation.streamKey(name: name).bits
    key = (UInt32(truncatingIfNeeded: bits), UInt32(truncatingIfNeeded: bits >> 32))
  }

  /// The four words of the block for the element at `axes` of an array of these extents, each an int64 from 0 to 2³² − 1.
  func words(_ b: inout ScalarBuilder, _ axes: [Scalar], _ extents: [Int]) -> [Scalar] {
    var element = b.integer(0)
    for (axis, extent) in zip(axes, extents) { element = b.add(b.multiply(element, b.integer(extent)), axis) }
    let run = b.parameter(0)
    let low = b.integer(0xFFFF_FFFF)
    let half = b.integer(32)
    let turn = b.parameter(1)
    var c = [
      b.and(element, low), b.xor(b.shiftRightLogical(element, half), b.shiftRightLogical(turn, half)), b.and(run, low),
      b.xor(b.shiftRightLogical(run, half), b.and(turn, low)),
    ]
    var k = key
    for round in 0..<Philox.rounds {
      if round > 0 { k = (k.0 &+ Philox.keySteps.0, k.1 &+ Philox.keySteps.1) }
      // Products of 32-bit numbers fill an int64 as if it had no sign.
      let x = b.multiply(c[0], b.integer(Int(Philox.multipliers.0)))
      let y = b.multiply(c[2], b.integer(Int(Philox.multipliers.1)))
      c = [
        b.xor(b.xor(b.shiftRightLogical(y, half), c[1]), b.integer(Int(k.0))), b.and(y, low),
        b.xor(b.xor(b.shiftRightLogical(x, half), c[3]), b.integer(Int(k.1))), b.and(x, low),
      ]
    }
    return c
  }

  /// A number between 0 and 1 from one word, or for `float64` from two: the middle of one of as many equal parts as the
  /// type's significand tells apart (2²⁴ for `float32`) if `isOpen`, with one bit less, else its lower end, so that 0 is
  /// possible and 1 is not.
  static func fraction(
    _ b: inout ScalarBuilder, _ words: ArraySlice<Scalar>, _ type: ElementType, isOpen: Bool = false
  ) -> Scalar {
    let digits = type.significandWidth - (isOpen ? 1 : 0)
    var bits = words[words.startIndex]
    if type == .float64 {
      bits = b.or(b.shiftLeft(bits, b.integer(32)), words[words.startIndex + 1])
      bits = b.shiftRightLogical(bits, b.integer(64 - digits))
    } else {
      bits = b.shiftRightLogical(bits, b.integer(32 - digits))
    }
    var x = b.cast(bits, to: type)
    if isOpen { x = b.add(x, b.constant(0.5, type)) }
    return b.multiply(x, b.constant(1 / Double(1 << digits), type))
  }
}

/// What the operations on random numbers have in common: a shape, two seeds and an element type.
protocol RandomOperation: RandomStreamOperation {
  init(_ type: ElementType, seed: Int, seed2: Int)
  /// One element from its four words.
  func element(_ b: inout ScalarBuilder, _ words: [Scalar], _ type: ElementType) -> Scalar
}

extension RandomOperation {
  public var differentiation: Differentiation { .none("random numbers do not vary with the shape") }
  public func lowering(_ l: inout LoweringContext) -> Lowering {
    let stream = RandomStream(self, name: l.name)
    let (type, extents) = (l.results[0].elementType, l.resultShape(0))
    var b = l.builder()
    let result = b.map(schema.name, type, extents) { b, axes in
      element(&b, stream.words(&b, axes, extents), type)
    }
    return .compute(b.finish([result]))
  }
}

/// The seeds of a new operation: the user's, or a stream of its own.
func randomSeeds(_ graph: Graph, _ seed: Int?) -> (seed: Int, seed2: Int) {
  // The first is what TensorFlow calls the seed of the graph; this is its default.
  seed.map { (87_654_321, $0) } ?? (0, graph.nextRandomStream())
}
