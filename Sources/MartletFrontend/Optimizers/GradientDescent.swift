import MartletGraph
import MartletOperations

/// v ← v − η·g.
public struct GradientDescent: Optimizer {
  public var learningRate: LearningRate
  public var name: String { "GradientDescent" }

  public init(learningRate: LearningRate) { self.learningRate = learningRate }

  public func update(_ variable: Variable, gradient: Output, _ step: Step) -> [GraphNode] {
    [variable.assign(variable.value - gradient * learningRate.value(like: gradient))]
  }
}

/// A factor of the step's length: a number, or a value computed in the graph (a placeholder, a schedule).
public enum LearningRate: Sendable, ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  case number(Double)
  case output(Output)

  public init(floatLiteral value: Double) { self = .number(value) }
  public init(integerLiteral value: Int) { self = .number(Double(value)) }

  /// The rate as a scalar of another value's element type.
  func value(like other: Output) -> Output {
    switch self {
    case .number(let value): other.scalar(value)
    case .output(let value): value.elementType == other.elementType ? value : cast(value, to: other.elementType)
    }
  }
}
