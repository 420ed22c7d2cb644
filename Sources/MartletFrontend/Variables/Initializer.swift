import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// How a variable gets its first value.
///
/// `fanIn` and `fanOut` below are those of a dense layer `[in, out]` or a filter `[height, width, in, out]`: the product of
/// all extents but the last two, times the last but one or the last.
public enum Initializer: Sendable {
  case zeros
  case ones
  case constant(Double)
  /// The elements of an array, whose shape must be the variable's.
  case tensor(Tensor)
  /// Evenly distributed in `from ..< to`.
  case uniform(from: Double, to: Double, seed: Int? = nil)
  case normal(mean: Double = 0, standardDeviation: Double = 1, seed: Int? = nil)
  /// As `normal`, without what is further than two standard deviations from the mean.
  case truncatedNormal(mean: Double = 0, standardDeviation: Double = 1, seed: Int? = nil)
  /// Variance scaling: `scale` over the fan that `mode` names is the variance.
  case varianceScaling(scale: Double, mode: FanMode, distribution: Distribution, seed: Int? = nil)
  /// A matrix with orthonormal rows or columns, whichever are fewer, times `gain`; of more dimensions, the last against
  /// all others together.
  case orthogonal(gain: Double = 1, seed: Int? = nil)

  public enum FanMode: Sendable { case fanIn, fanOut, fanAverage }
  public enum Distribution: Sendable { case uniform, truncatedNormal }

  /// Glorot and Bengio, 2010: variance 2 / (fanIn + fanOut), evenly distributed.
  public static let glorotUniform = varianceScaling(scale: 1, mode: .fanAverage, distribution: .uniform)
  /// Glorot and Bengio, 2010: variance 2 / (fanIn + fanOut), truncated normal.
  public static let glorotNormal = varianceScaling(scale: 1, mode: .fanAverage, distribution: .truncatedNormal)
  /// He et al., 2015: variance 2 / fanIn, evenly distributed.
  public static let heUniform = varianceScaling(scale: 2, mode: .fanIn, distribution: .uniform)
  /// He et al., 2015: variance 2 / fanIn, truncated normal.
  public static let heNormal = varianceScaling(scale: 2, mode: .fanIn, distribution: .truncatedNormal)

  /// The standard deviation of a normal distribution truncated at two of its standard deviations.
  private static let truncatedDeviation = 0.87962566103423978

  /// Adds the operations that compute the first value.
  ///
  /// - Precondition: every extent of `shape` is known.
  func value(in graph: Graph, _ type: ElementType, _ shape: [Int]) -> Output {
    let extents = graph.constant(shape.map { Int32($0) })
    func filled(_ value: Double) -> Output { fill(extents, with: graph.constant(value, type)) }
    switch self {
    case .zeros: return filled(0)
    case .ones: return filled(1)
    case .constant(let value): return filled(value)
    case .tensor(let tensor): return graph.constant(tensor)
    case .uniform(let low, let high, let seed):
      let unit = randomUniform(extents, type: type, seed: seed)
      return unit * (high - low) + low
    case .normal(let mean, let deviation, let seed):
      return randomNormal(extents, type: type, seed: seed) * deviation + mean
    case .truncatedNormal(let mean, let deviation, let seed):
      return MartletOperations.truncatedNormal(extents, type: type, seed: seed) * deviation + mean
    case .varianceScaling(let scale, let mode, let distribution, let seed):
      let (fanIn, fanOut) = Self.fans(shape)
      let fan =
        switch mode {
        case .fanIn: fanIn
        case .fanOut: fanOut
        case .fanAverage: (fanIn + fanOut) / 2
        }
      let variance = scale / max(fan, 1)
      switch distribution {
      case .uniform:
        let limit = (3 * variance).squareRoot()
        return Initializer.uniform(from: -limit, to: limit, seed: seed).value(in: graph, type, shape)
      case .truncatedNormal:
        let deviation = variance.squareRoot() / Self.truncatedDeviation
        return Initializer.truncatedNormal(standardDeviation: deviation, seed: seed).value(in: graph, type, shape)
      }
    case .orthogonal(let gain, let seed):
      return graph.constant(OrthogonalMatrix.tensor(shape: shape, gain: gain, seed: seed ?? 0, type: type))
    }
  }

  static func fans(_ shape: [Int]) -> (fanIn: Double, fanOut: Double) {
    switch shape.count {
    case 0: return (1, 1)
    case 1: return (Double(shape[0]), Double(shape[0]))
    default:
      let field = Double(shape.dropLast(2).reduce(1, *))
      return (field * Double(shape[shape.count - 2]), field * Double(shape[shape.count - 1]))
    }
  }
}
