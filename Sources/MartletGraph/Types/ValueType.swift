import MartletTensors

/// What kind of thing a value of the graph is.
public enum ValueType: Hashable, Sendable, CustomStringConvertible {
  /// An array of numbers.
  case tensor(TensorType)
  /// A variable that holds an array of this type.
  case resource(TensorType)
  /// The result of an operation that Martlet does not know.
  case foreign
  /// The result of an operation that could not be typed; it silences what follows from it.
  case poison

  /// The array's type, of a tensor.
  public var tensor: TensorType? {
    if case .tensor(let type) = self { type } else { nil }
  }
  /// The array's type, of a tensor or of what a variable holds.
  public var content: TensorType? {
    switch self {
    case .tensor(let type), .resource(let type): type
    default: nil
    }
  }
  public var elementType: ElementType? { content?.elementType }
  public var shape: Shape { content?.shape ?? .unknown }

  public static func tensor(_ elementType: ElementType, _ shape: Shape) -> ValueType {
    .tensor(TensorType(elementType, shape))
  }

  public var description: String {
    switch self {
    case .tensor(let type): type.description
    case .resource(let type): "variable<\(type)>"
    case .foreign: "foreign"
    case .poison: "error"
    }
  }
}
