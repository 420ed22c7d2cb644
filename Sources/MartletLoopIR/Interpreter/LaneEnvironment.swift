/// The leaves that scalar programs read, `width` lanes each: axes, registers, states.
final class LaneEnvironment {
  typealias Lanes = ScalarEvaluator.Lanes

  let width: Int
  let parameters: [Int64]
  private let memory: Lanes
  private let axisCount: Int
  private let registerCount: Int
  private let stateCount: Int

  init(width: Int, axes: Int, registers: Int = 0, states: Int = 0, parameters: [Int64]) {
    self.width = width
    self.parameters = parameters
    (axisCount, registerCount, stateCount) = (axes, registers, states)
    let count = max(1, (axes + registers + 2 * states) * width)
    memory = .allocate(capacity: count)
    memory.initialize(repeating: 0, count: count)
  }

  deinit { memory.deallocate() }

  func axis(_ number: Int) -> Lanes {
    precondition(number < axisCount, "axis \(number) is not in scope")
    return memory + number * width
  }
  func register(_ number: Int) -> Lanes {
    precondition(number < registerCount, "register \(number) does not exist")
    return memory + (axisCount + number) * width
  }
  func state(_ number: Int) -> Lanes {
    precondition(number < stateCount, "state \(number) is not in scope")
    return memory + (axisCount + registerCount + number) * width
  }
  func other(_ number: Int) -> Lanes {
    precondition(number < stateCount, "state \(number) is not in scope")
    return memory + (axisCount + registerCount + stateCount + number) * width
  }

  /// Gives every lane of an axis the same number.
  func setAxis(_ number: Int, to value: Int, count: Int) {
    axis(number).update(repeating: UInt64(value), count: count)
  }
}

/// Counts through the index tuples of a domain in row-major order.
struct Odometer {
  let extents: [Int]
  private(set) var indices: [Int]

  /// Starts at element number `position`.
  init(_ extents: [Int], at position: Int = 0) {
    self.extents = extents
    indices = extents
    var rest = position
    for axis in extents.indices.reversed() {
      indices[axis] = rest % max(1, extents[axis])
      rest /= max(1, extents[axis])
    }
  }

  mutating func advance() {
    for axis in extents.indices.reversed() {
      indices[axis] += 1
      if indices[axis] < extents[axis] { return }
      indices[axis] = 0
    }
  }
}
