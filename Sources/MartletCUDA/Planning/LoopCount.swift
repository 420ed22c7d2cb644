import MartletTensors

/// How often a loop runs its body, as far as that follows from numbers that the host has: constants and feeds.
struct LoopCount: Hashable, Sendable {
  /// An integer that changes by the same amount in each iteration.
  struct Counter: Hashable, Sendable {
    /// Before the first iteration, beside feeds.
    var start: Int64 = 0
    /// What each of the run's arguments, integers of no dimensions, counts for in it.
    var arguments: [Int: Int64] = [:]
    var step: Int64 = 0

    static func constant(_ value: Int64) -> Counter { Counter(start: value) }
  }

  /// What goes up to a limit: the body runs while it is less than zero, for each of these.
  var untilZero: [Counter]
  /// What must be numbers of a type all along, or the device's arithmetic would wrap.
  var bounded: [Bound]

  struct Bound: Hashable, Sendable {
    var counter: Counter
    var type: ElementType
  }

  /// The number of iterations in a run; nil where only running the condition can tell.
  func iterations(_ arguments: [Tensor]) -> Int? {
    var count = Int64.max
    for counter in untilZero {
      guard let start = counter.value(arguments, after: 0) else { return nil }
      if start >= 0 {
        count = 0
      } else if counter.step > 0 {
        let (below, overflow) = start.subtractingReportingOverflow(counter.step - 1)
        guard !overflow else { return nil }
        count = min(count, -(below / counter.step))
      }
    }
    guard count < .max else { return nil }
    for bound in bounded {
      for place in [0, count] {
        guard let value = bound.counter.value(arguments, after: place) else { return nil }
        if bound.type == .int32, Int32(exactly: value) == nil { return nil }
      }
    }
    return Int(count)
  }
}

extension LoopCount.Counter {
  /// The value after a number of iterations; nil if it is not a 64-bit integer.
  fileprivate func value(_ tensors: [Tensor], after iterations: Int64) -> Int64? {
    var value = start
    func add(_ a: Int64, _ b: Int64) -> Bool {
      let (product, isTooLarge) = a.multipliedReportingOverflow(by: b)
      let (sum, overflow) = value.addingReportingOverflow(product)
      value = sum
      return !isTooLarge && !overflow
    }
    for (number, factor) in arguments {
      let tensor = tensors[number]
      let element =
        tensor.elementType == .int32 ? Int64(tensor.scalars(as: Int32.self)[0]) : tensor.scalars(as: Int64.self)[0]
      guard add(element, factor) else { return nil }
    }
    return add(step, iterations) ? value : nil
  }

  /// The sum with a multiple of another.
  func adding(_ other: LoopCount.Counter, times factor: Int64) -> LoopCount.Counter? {
    var isExact = true
    func sum(_ a: Int64, _ b: Int64) -> Int64 {
      let (product, isTooLarge) = b.multipliedReportingOverflow(by: factor)
      let (sum, overflow) = a.addingReportingOverflow(product)
      isExact = isExact && !isTooLarge && !overflow
      return sum
    }
    var result = LoopCount.Counter(start: sum(start, other.start), arguments: arguments, step: sum(step, other.step))
    for (number, own) in other.arguments { result.arguments[number] = sum(arguments[number] ?? 0, own) }
    return isExact ? result : nil
  }
}
