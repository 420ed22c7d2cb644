import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Random integers, uniform from `minval` to before `maxval`.
///
/// A random word is scaled to the range: for `int32` 32 bits by their product with it, for `int64` 63 bits by their
/// remainder. The chances of two results differ by less than the range over 2³², or 2⁶³.
public struct RandomUniformInt: RandomStreamOperation {
  public var seed = 0
  public var seed2 = 0
  public var stream: Int?
  public init() {}
  public init(seed: Int, seed2: Int) { (self.seed, self.seed2) = (seed, seed2) }
  public static let schema = Schema(
    "RandomUniformInt", inputs: ["shape": "T", "minval": "Tout", "maxval": "Tout"], outputs: ["output": "Tout"],
    types: ["T": .index, "Tout": .index], traits: [.random])
  public static let attributeTable: AttributeTable<RandomUniformInt> = [
    AttributeField("seed", \.seed), AttributeField("seed2", \.seed2),
    AttributeField(optional: "_stream", \.stream),
  ]
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[1].shape(ofRank: 0, "minval")
    _ = try operands[2].shape(ofRank: 0, "maxval")
    if let low = operands[1].integer, let high = operands[2].integer, low >= high {
      throw Diagnostic("", operand: "maxval", required: "a number above 'minval', which is \(low)", found: "\(high)")
    }
    return [Inference(operands[1].elementType ?? .int32, try operands[0].shapeValue("shape"))]
  }
  public var differentiation: Differentiation { .none("the result is an array of integers") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let stream = RandomStream(self, name: l.name)
    let (type, extents) = (l.results[0].elementType, l.resultShape(0))
    var b = l.builder()
    let result = b.map("RandomUniformInt", type, extents) { b, axes in
      let words = stream.words(&b, axes, extents)
      let low = b.cast(b.load(.input(1), type, at: []), to: .int64)
      let range = b.subtract(b.cast(b.load(.input(2), type, at: []), to: .int64), low)
      let offset: Scalar
      if type == .int64 {
        let bits = b.or(b.shiftLeft(words[0], b.integer(31)), b.shiftRightLogical(words[1], b.integer(1)))
        // A range beyond 2⁶³ does not fit; its lower part is drawn from.
        offset = b.select(b.less(b.integer(0), range), b.floorModulo(bits, range), bits)
      } else {
        offset = b.shiftRightLogical(b.multiply(words[0], range), b.integer(32))
      }
      return b.cast(b.add(low, offset), to: type)
    }
    return .compute(b.finish([result]))
  }
}

/// Random integers, uniform from `low` to before `high`, scalars of type `int32` or `int64`.
///
/// - Parameters:
///   - shape: a vector.
///   - seed: equal seeds give equal numbers; without one the operation has a stream of its own.
public func randomUniform(
  _ shape: Output, from low: Output, to high: Output, seed: Int? = nil, name: String? = nil
) -> Output {
  let seeds = randomSeeds(shape.graph, seed)
  return shape.graph.addOne(
    RandomUniformInt(seed: seeds.seed, seed2: seeds.seed2), [shape, low, high], name: name)
}
