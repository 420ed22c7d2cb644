import Foundation

/// Times of repeated runs.
public struct Measurement: Sendable {
  /// Seconds, from the shortest to the longest.
  public let times: [Double]

  public init(times: [Double]) {
    precondition(!times.isEmpty, "a measurement has runs")
    self.times = times.sorted()
  }

  /// Warms up for a second, or a quarter of the time if that is shorter, then runs until the time is over: 7 times at
  /// least and 20,000 times at most.
  public init(seconds: Double, _ run: () throws -> Void) rethrows {
    let clock = ContinuousClock()
    let warm = clock.now + .seconds(Swift.min(1, seconds / 4))
    var count = 0
    repeat {
      try run()
      count += 1
    } while count < 2 || clock.now < warm
    var times: [Double] = []
    let end = clock.now + .seconds(seconds)
    while times.count < 20_000, times.count < 7 || clock.now < end {
      let start = clock.now
      try run()
      times.append((clock.now - start) / .seconds(1))
    }
    self.init(times: times)
  }

  public var min: Double { times[0] }
  public var median: Double { quantile(0.5) }

  /// The time that a share `q` of the runs do not exceed, interpolated between the two runs nearest to it.
  public func quantile(_ q: Double) -> Double {
    let position = q * Double(times.count - 1)
    let lower = Int(position)
    let upper = Swift.min(lower + 1, times.count - 1)
    return times[lower] + (times[upper] - times[lower]) * (position - Double(lower))
  }
}
