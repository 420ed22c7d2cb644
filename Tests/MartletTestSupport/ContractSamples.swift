import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// An application of an operation to floating-point arrays, at a point where it is differentiable.
public struct ContractSample: Sendable {
  public var point: [Tensor]
  public var build: @Sendable ([Output]) throws -> [Output]

  public init(_ point: [Tensor], _ build: @escaping @Sendable ([Output]) throws -> [Output]) {
    (self.point, self.build) = (point, build)
  }

  /// Of one result.
  public init(_ point: [Tensor], one build: @escaping @Sendable ([Output]) throws -> Output) {
    self.init(point) { [try build($0)] }
  }
}

/// What the contract test applies operations to. An operation that works on each element alone needs nothing, except a
/// range where it is not smooth everywhere.
public struct ContractSamples: Sendable {
  private var samples: [String: [ContractSample]] = [:]

  /// Samples by the operations' names.
  public static let standard: ContractSamples = {
    var all = ContractSamples()
    for family in [arraySamples, reductionSamples, networkSamples, controlSamples] {
      for (name, samples) in family() { all.add(name, samples) }
    }
    return all
  }()

  public mutating func add(_ name: String, _ more: [ContractSample]) { samples[name, default: []] += more }

  /// The samples of an operation; empty if there are none, which the contract test does not accept.
  public func samples(of type: any Operation.Type) -> [ContractSample] {
    let schema = type.schema
    if let known = samples[schema.name] { return known }
    guard schema.traits.contains(.elementwise) else { return [] }
    let ranges = elementwiseRanges[schema.name]
    let range = ranges ?? 0.4...1.6
    return [false, true].flatMap { isBroadcast -> [ContractSample] in
      var numbers = SampleNumbers(seed: schema.name.utf8.reduce(0) { $0 &* 31 &+ Int($1) })
      let shapes = schema.inputs.indices.map { i in isBroadcast && i > 0 ? [3] : [2, 3] }
      let point = shapes.map { numbers.tensor($0, in: range) }
      let negative = point.map { Tensor($0.scalars(as: Double.self).map { -$0 }, shape: $0.shape) }
      // Both signs, unless a range says otherwise.
      return (ranges == nil ? [point, negative] : [point]).map { point in
        ContractSample(point) { x in x[0].graph.add(type.init(), x) }
      }
    }
  }
}

/// Where operations on each element are smooth.
private let elementwiseRanges: [String: ClosedRange<Double>] = [
  "Sqrt": 0.5...2, "Rsqrt": 0.5...2, "Log": 0.5...2, "Log1p": -0.5...1, "Pow": 0.5...1.5,
  "Asin": -0.8...0.8, "Acos": -0.8...0.8, "Acosh": 1.3...3, "Atanh": -0.8...0.8, "Xlogy": 0.5...2, "Xlog1py": 0.5...2,
  // Remainders of 2.5 by 1 and the like stay away from the steps.
  "FloorMod": 1.1...1.9,
]

/// A `float64` array of numbers between 0.3 and 1.7.
func sample(_ shape: Int..., seed: Int = 1, in range: ClosedRange<Double> = 0.3...1.7) -> Tensor {
  var numbers = SampleNumbers(seed: seed)
  return numbers.tensor(shape, in: range)
}

/// A `float64` array in which no two numbers are near each other, in no order.
func distinct(_ shape: Int...) -> Tensor {
  let count = shape.reduce(1, *)
  return Tensor((0..<count).map { Double(($0 * 37 + 11) % 101) / 20 - 2.5 }, shape: shape)
}

/// The results of an operation that is known by its name.
func apply(
  _ name: String, _ attributes: KeyValuePairs<String, AttributeValue> = [:], _ operands: [Output]
) throws -> [Output] {
  let list = AttributeList(attributes.map { .init($0.key, $0.value) })
  return operands[0].graph.add(try Catalog.standard.operation(named: name, attributes: list), operands)
}
