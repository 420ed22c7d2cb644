import MartletTensors

/// Reproducible numbers between −1 and 1.
public func randomNumbers(_ count: Int, seed: UInt64) -> [Float] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
}

/// An array of reproducible numbers between −1 and 1.
public func randomTensor(_ shape: [Int], seed: UInt64) -> Tensor {
  Tensor(randomNumbers(shape.reduce(1, *), seed: seed), shape: shape)
}
