import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Random numbers that are uniform from 0 to before 1, in steps of 2⁻²⁴ for `float32`: as many as the type's significand has
/// digits, so that none is rounded to 1.
public struct RandomUniform: RandomOperation {
  public var type = ElementType.float32
  public var seed = 0
  public var seed2 = 0
  public var stream: Int?
  public init() {}
  public init(_ type: ElementType, seed: Int, seed2: Int) {
    (self.type, self.seed, self.seed2) = (type, seed, seed2)
  }
  public static let schema = Schema(
    "RandomUniform", inputs: ["shape": "T"], outputs: ["output": "dtype"], types: ["T": .index, "dtype": .floating],
    traits: [.random])
  public static let attributeTable: AttributeTable<RandomUniform> = [
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
    RandomStream.fraction(&b, words[0...], type)
  }
}

/// Random numbers that are uniform from 0 to before 1.
///
/// - Parameters:
///   - shape: a vector.
///   - seed: equal seeds give equal numbers; without one the operation has a stream of its own. The numbers depend on the
///     seed and on the number of the run in its session, and on nothing else.
public func randomUniform(
  _ shape: Output, type: ElementType = .float32, seed: Int? = nil, name: String? = nil
) -> Output {
  let seeds = randomSeeds(shape.graph, seed)
  return shape.graph.addOne(RandomUniform(type, seed: seeds.seed, seed2: seeds.seed2), [shape], name: name)
}

extension Graph {
  /// Random numbers that are uniform from 0 to before 1.
  ///
  /// - Parameter seed: equal seeds give equal numbers; without one the operation has a stream of its own.
  public func randomUniform(
    _ shape: [Int], type: ElementType = .float32, seed: Int? = nil, name: String? = nil
  ) -> Output {
    MartletOperations.randomUniform(constant(shape), type: type, seed: seed, name: name)
  }
}
