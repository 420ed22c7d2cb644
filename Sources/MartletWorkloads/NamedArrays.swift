import Martlet

/// A model's weights by name, in the order in which they were drawn.
struct NamedArrays: Sendable {
  private(set) var items: [(name: String, tensor: Tensor)] = []

  mutating func add(_ name: String, _ tensor: Tensor) { items.append((name, tensor)) }

  /// Adds an array of zeros, such as a bias, for which nothing is drawn.
  mutating func addZeros(_ name: String, _ count: Int) { add(name, Tensor(zeros: .float32, shape: [count])) }
}
