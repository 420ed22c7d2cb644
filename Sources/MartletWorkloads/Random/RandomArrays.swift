import Martlet

/// Draws arrays from one stream of random numbers, equal bit for bit to those of NumPy's `Generator(PCG64(seed))`.
///
///     var g = RandomArrays(seed: 5)
///     let a = g.normal([256, 256])        // numpy: g.standard_normal((256, 256), dtype=float32)
///     let labels = g.integers(below: 10, [128])
struct RandomArrays {
  private var generator: PCG64

  init(seed: UInt64) { generator = PCG64(seed: seed) }

  /// Normal numbers of single precision: each is drawn, then scaled, then moved, with a rounding at each step.
  mutating func normal(_ shape: [Int], deviation: Double = 1, mean: Double = 0) -> Tensor {
    let (scale, offset) = (Float(deviation), Float(mean))
    let table = NormalZiggurat.shared
    return filled(shape) { generator in generator.nextNormal(table) * scale + offset }
  }

  /// Evenly distributed in `0 ..< 1`.
  mutating func uniform(_ shape: [Int]) -> Tensor { filled(shape) { $0.nextUniform() } }

  /// Evenly distributed in `0 ..< bound`.
  mutating func integers(below bound: Int32, _ shape: [Int]) -> Tensor {
    filled(shape) { Int32($0.nextInteger(below: UInt32(bound))) }
  }

  private mutating func filled<T: TensorElement>(_ shape: [Int], _ draw: (inout PCG64) -> T) -> Tensor {
    var result = Tensor(uninitialized: T.elementType, shape: shape)
    result.withUnsafeMutableBufferPointer(of: T.self) { elements in
      var local = generator
      for i in elements.indices { elements[i] = draw(&local) }
      generator = local
    }
    return result
  }
}
