import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Random numbers of the normal distribution with mean 0 and standard deviation 1, but none beyond ±2.
///
/// They come from uniform numbers by the inverse of the distribution's function, √2 · erf⁻¹(y) for y between ±erf(√2), so
/// that none needs to be drawn again. Their standard deviation is 0.8796.
public struct TruncatedNormal: RandomOperation {
  public var type = ElementType.float32
  public var seed = 0
  public var seed2 = 0
  public var stream: Int?
  public init() {}
  public init(_ type: ElementType, seed: Int, seed2: Int) {
    (self.type, self.seed, self.seed2) = (type, seed, seed2)
  }
  public static let schema = Schema(
    "TruncatedNormal", inputs: ["shape": "T"], outputs: ["output": "dtype"],
    types: ["T": .index, "dtype": .floating],
    traits: [.random])
  public static let attributeTable: AttributeTable<TruncatedNormal> = [
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
    // erf(√2) · (2u − 1)
    let y = b.multiply(
      b.subtract(b.multiply(u, b.constant(2, type)), b.constant(1, type)), b.constant(0.954_499_736_103_641_6, type))
    return b.multiply(Self.inverseErf(&b, y), b.constant(2.0.squareRoot(), type))
  }

  /// erf⁻¹(y) / y for |y| ≤ erf(√2), as a polynomial in w = −ln(1 − y²), lowest power first: interpolated at the Chebyshev
  /// points of 0 ≤ w ≤ 2.42. The relative error is below 5 · 10⁻⁹.
  private static let coefficients = [
    0.886226921308, 0.232013885533, 0.0115474527531, -0.00232893187216, -0.000137830209503, 5.4852280618e-5,
    -1.60386345426e-6, -3.52990580612e-7,
  ]

  private static func inverseErf(_ b: inout ScalarBuilder, _ y: Scalar) -> Scalar {
    let w = b.negate(b.log1p(b.negate(b.multiply(y, y))))
    var sum = b.constant(0, y.type)
    for coefficient in coefficients.reversed() { sum = b.add(b.multiply(sum, w), b.constant(coefficient, y.type)) }
    let x = b.multiply(y, sum)
    guard y.type == .float64 else { return x }
    // One step of Newton's method squares the error: x − (erf x − y) · e^(x²) · √π/2
    let slope = b.multiply(b.exp(b.multiply(x, x)), b.constant(Double.pi.squareRoot() / 2, y.type))
    return b.subtract(x, b.multiply(b.subtract(b.erf(x), y), slope))
  }
}

/// Random numbers of the normal distribution with mean 0 and standard deviation 1, but none beyond ±2.
///
/// - Parameters:
///   - shape: a vector.
///   - seed: equal seeds give equal numbers; without one the operation has a stream of its own. The numbers depend on the
///     seed and on the number of the run in its session, and on nothing else.
public func truncatedNormal(
  _ shape: Output, type: ElementType = .float32, seed: Int? = nil, name: String? = nil
) -> Output {
  let seeds = randomSeeds(shape.graph, seed)
  return shape.graph.addOne(TruncatedNormal(type, seed: seeds.seed, seed2: seeds.seed2), [shape], name: name)
}

extension Graph {
  /// Random numbers of the normal distribution with mean 0 and standard deviation 1, but none beyond ±2.
  ///
  /// - Parameter seed: equal seeds give equal numbers; without one the operation has a stream of its own.
  public func truncatedNormal(
    _ shape: [Int], type: ElementType = .float32, seed: Int? = nil, name: String? = nil
  ) -> Output {
    MartletOperations.truncatedNormal(constant(shape), type: type, seed: seed, name: name)
  }
}
