import MartletGraph

extension Epilogue.Activation {
  /// Whether it takes comparisons and multiplications only, so that it is done to sums in registers.
  var isPiecewiseLinear: Bool {
    switch self {
    case .relu, .clip: true
    default: false
    }
  }
}
