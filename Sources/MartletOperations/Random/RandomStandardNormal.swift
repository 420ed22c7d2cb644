import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Random numbers of the normal distribution with mean 0 and standard deviation 1.
///
/// From two uniform numbers u and v between 0 and 1 comes √(−2 ln u) · cos 2πv (G. Box, M. Muller, "A note on the
/// generation of random normal deviates", 1958); u is never 0. Of `float32` no number is beyond ±5.9.
public struct RandomStandardNormal: RandomOperation {
  public var type = ElementType.float32
  public var seed = 0
  public var seed2 = 0
  public var stream: Int?
  public init() {}
  public init(_ type: ElementType, seed: Int, seed2: Int) {
    (self.type, self.seed, self.seed2) = (type, seed, seed2)
  }
  public static let schema = Schema(
    "RandomStandardNormal", inputs: ["shape": "T"], outputs: ["output": "dtype"],
    types: ["T": .index, "dtype": .floating],
    traits: [.random])
  public static let attributeTable: AttributeTable<RandomStandardNormal> = [
    AttributeField("dtype", \.type), AttributeField("seed", \.seed), AttributeField("seed2", \.seed2),
    AttributeField(optional: "_stream", \.stream),
  ]
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard type.isFloatingPoint else {
      throw Diagnostic("attribute 'dtype' must be a floating-point type", found: "\(type)")
    }
    return [Inference(type, try operands[0].shapeValue("shape"))]
  }
  func element(_ b: inout ScalarBuilder, _ words: [Scalar], _ type: ElementType) -> Scalar {
    let type = type.arithmeticType
    let u = RandomStream.fraction(&b, words[0...], type, isOpen: true)
    let v = RandomStream.fraction(&b, words[2...], type)
    let radius = b.sqrt(b.multiply(b.log(u), b.constant(-2, type)))
    return b.multiply(radius, b.cos(b.multiply(v, b.constant(2 * .pi, type))))
  }
}

/// Random numbers of the normal distribution with mean 0 and standard deviation 1.
///
/// - Parameters:
///   - shape: a vector.
///   - seed: equal seeds give equal numbers; without one the operation has a stream of its own. The numbers depend on the
///     seed and on the number of the run in its session, and on nothing else.
public func randomNormal(
  _ shape: Output, type: ElementType = .float32, seed: Int? = nil, name: String? = nil
) -> Output {
  let seeds = randomSeeds(shape.graph, seed)
  return shape.graph.addOne(RandomStandardNormal(type, seed: seeds.seed, seed2: seeds.seed2), [shape], name: name)
}

extension Graph {
  /// Random numbers of the normal distribution with mean 0 and standard deviation 1.
  ///
  /// - Parameter seed: equal seeds give equal numbers; without one the operation has a stream of its own.
  public func randomNormal(
    _ shape: [Int], type: ElementType = .float32, seed: Int? = nil, name: String? = nil
  ) -> Output {
    MartletOperations.randomNormal(constant(shape), type: type, seed: seed, name: name)
  }
}
