import MartletDiagnostics
import MartletGradients
import MartletGraph
import MartletOperations
import MartletTensors

/// Compares symbolic gradients with central differences, in double precision.
public struct GradientCheck {
  /// The step of the differences.
  public var step = 1e-5
  /// The largest accepted error, relative to 1 or to the gradient, if that is larger.
  public var tolerance = 2e-6
  /// 2 also compares the gradient of a weighted sum of the gradients with its differences.
  public var order = 2

  public init(order: Int = 2) { self.order = order }

  /// A place where the two differ.
  public struct Mismatch: Error, CustomStringConvertible {
    public var description: String
  }

  /// Checks a function of arrays at a point.
  ///
  /// - Parameters:
  ///   - point: `float64` arrays.
  ///   - body: builds the function's results from its arguments; those that are not floating-point are left out.
  /// - Throws: a `Mismatch` that tells the first element whose gradient is wrong, or whatever building throws.
  public func check(at point: [Tensor], _ body: ([Output]) throws -> [Output]) throws {
    let graph = Graph()
    let arguments = point.map { graph.placeholder(.float64, shape: Shape($0.shape)) }
    var outputs = try body(arguments).filter { $0.elementType.isFloatingPoint }
    for current in 1...order {
      let shapes = try evaluate(outputs, arguments, point).map(\.shape)
      let weights = shapes.enumerated().map { i, shape in
        graph.constant(Self.weights(shape, seed: current * 10 + i))
      }
      let found = try gradients(of: outputs, withRespectTo: arguments, upstream: weights, unconnected: .zeros)
      let symbolic = found.compactMap { $0 }
      if let mistake = graph.diagnostics.first { throw mistake }
      try compare(symbolic, outputs, weights, arguments, point, current)
      outputs = symbolic
    }
  }

  private func compare(
    _ symbolic: [Output], _ outputs: [Output], _ weights: [Output], _ arguments: [Output], _ point: [Tensor],
    _ order: Int
  ) throws {
    let values = try evaluate(symbolic, arguments, point)
    let total = zip(outputs, weights).map { sum($0 * $1) }
    for (i, tensor) in point.enumerated() {
      guard values[i].shape == tensor.shape else {
        throw Mismatch(description: "gradient \(i) has the shape \(values[i].shape), not \(tensor.shape)")
      }
      let elements = values[i].scalars(as: Double.self)
      for j in 0..<tensor.elementCount {
        var slopes: [Double] = []
        for direction in [1.0, -1.0] {
          var moved = tensor.scalars(as: Double.self)
          moved[j] += direction * step
          var place = point
          place[i] = Tensor(moved, shape: tensor.shape)
          slopes.append(try evaluate(total, arguments, place).reduce(0) { $0 + $1.item(as: Double.self) })
        }
        let difference = (slopes[0] - slopes[1]) / (2 * step)
        let error = Swift.abs(difference - elements[j])
        guard error <= tolerance * Swift.max(1, Swift.abs(difference)) else {
          throw Mismatch(
            description: "the derivative of order \(order) by element \(j) of argument \(i) is \(elements[j]), the "
              + "difference quotient \(difference), at \(point.map(\.description))"
              + (difference.isFinite ? "" : ", where the function is not defined; ContractSamples.swift chooses points")
          )
        }
      }
    }
  }

  private func evaluate(_ outputs: [Output], _ arguments: [Output], _ point: [Tensor]) throws -> [Tensor] {
    var evaluator = ReferenceEvaluator()
    return try evaluator.evaluate(outputs, feeds: Dictionary(uniqueKeysWithValues: zip(arguments, point)))
  }

  /// Weights of the size of 1 that differ from element to element.
  private static func weights(_ shape: [Int], seed: Int) -> Tensor {
    var random = SampleNumbers(seed: seed)
    return random.tensor(shape, in: 0.5...1.5)
  }
}

/// Numbers for tests, the same in every run.
public struct SampleNumbers {
  private var state: UInt64

  public init(seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

  /// A number in a range, by SplitMix64.
  public mutating func next(in range: ClosedRange<Double>) -> Double {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    z ^= z >> 31
    return range.lowerBound + Double(z >> 11) * 0x1p-53 * (range.upperBound - range.lowerBound)
  }

  /// A `float64` array.
  public mutating func tensor(_ shape: [Int], in range: ClosedRange<Double> = 0.3...1.7) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map { _ in next(in: range) }, shape: shape)
  }
}
