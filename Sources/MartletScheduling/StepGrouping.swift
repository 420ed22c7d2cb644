/// Deals stretches of a block's order to the workers: kernels and library calls that are too small for the whole team.
///
/// List scheduling (R. L. Graham, "Bounds on Multiprocessing Timing Anomalies", 1969): what can begin first is next. Of what can
/// begin at the same time it is the first in the block's order, which is careful with memory, unless a way to the end is as
/// long as what is left for each worker: then it is the instruction at which the longest such way begins, as after T. C. Hu
/// (1961). An instruction that needs another worker's waits for it, and only for it.
struct StepGrouping {
  /// The nanoseconds that a group must save: a parallel region costs up to 1,000, more where a worker has to be woken.
  private static let leastGain = 3_000
  /// From the end of an instruction until one of another worker begins that waits for it, in nanoseconds, and what it takes
  /// longer because its operand is in the other core's cache, in bytes a nanosecond. Measured with products of matrices of 48×48
  /// to 60×60, which read in no simple order; a plain loop reads such an array at 60. Measured on one machine: what is off on another
  /// deals instructions less well, and changes no results.
  private static let handover = 300
  private static let handoverBytes = 12
  /// How many places of the order are looked at in any case, and at most until there is something for every worker.
  private static let window = (least: 64, most: 4096)

  private let draft: BlockDraft
  private let order: [Int]
  private let workerCount: Int
  /// For each node an estimate of its nanoseconds; negative for one that runs by itself.
  private let costs: [Int]
  private let predecessors: [[Int]]
  /// For each node its step in the order that came in.
  private let steps: [Int]

  /// The order with the stretches in the order in which their instructions begin, the groups and the nanoseconds that they
  /// save.
  struct Result {
    var order: [Int]
    var groups: [PlanGroup] = []
    var saved = 0
  }

  /// - Parameter costs: for each node its time in nanoseconds on one worker; nil for a node that runs by itself.
  static func deal(_ draft: BlockDraft, order: [Int], costs: [Int?], workers: Int) -> Result {
    guard workers > 1, costs.count(where: { $0 != nil }) > 1 else { return Result(order: order) }
    return StepGrouping(draft, order, costs.map { $0 ?? -1 }, workers).deal()
  }

  private init(_ draft: BlockDraft, _ order: [Int], _ costs: [Int], _ workers: Int) {
    self.draft = draft
    self.order = order
    self.costs = costs
    workerCount = workers
    var predecessors: [[Int]] = Array(repeating: [], count: draft.nodes.count)
    for (node, all) in draft.successors.enumerated() { for next in all { predecessors[next].append(node) } }
    self.predecessors = predecessors
    var steps = Array(repeating: 0, count: draft.nodes.count)
    for (step, node) in order.enumerated() { steps[node] = step }
    self.steps = steps
  }

  private func deal() -> Result {
    var result = Result(order: order)
    var start = 0
    while start < order.count {
      guard costs[order[start]] >= 0 else {
        start += 1
        continue
      }
      let end = order[start...].firstIndex { costs[$0] < 0 } ?? order.count
      if end - start > 1 { deal(start..<end, into: &result) }
      start = end
    }
    return result
  }

  /// Makes a stretch a group, if that saves anything.
  private func deal(_ stretch: Range<Int>, into result: inout Result) {
    let schedule = schedule(stretch)
    let alone = stretch.reduce(0) { $0 + costs[order[$1]] }
    guard alone - schedule.end >= Self.leastGain else { return }
    result.saved += alone - schedule.end
    result.groups.append(group(of: schedule, stretch))
    for (i, place) in schedule.order.enumerated() {
      result.order[stretch.lowerBound + i] = order[stretch.lowerBound + place]
    }
  }

  // MARK: Scheduling

  /// An instruction whose operands have their times. Places are those in the stretch.
  private struct Ready {
    var place: Int
    /// When the operands are where they are needed: on the workers that compute one of them, and on any other.
    var arrivals: [(worker: Int, time: Int)]
    var arrivalElsewhere: Int

    /// Where it can begin first, and when.
    func start(_ schedule: ListSchedule, idlest: Int) -> (worker: Int, time: Int) {
      var best = (worker: idlest, time: max(schedule.idleFrom[idlest], arrivalElsewhere))
      for (worker, time) in arrivals {
        let start = max(schedule.idleFrom[worker], time)
        if worker == best.worker || (start, worker) < (best.time, best.worker) { best = (worker, start) }
      }
      return best
    }
  }

  private func schedule(_ stretch: Range<Int>) -> ListSchedule {
    var schedule = ListSchedule(stretch.count, workerCount: workerCount)
    let lengths = pathLengths(stretch)
    var waiting = stretch.map { sources(of: $0, in: stretch).count }
    var left = stretch.reduce(0) { $0 + cost(of: order[$1]) }
    var ready: [Ready] = []
    var seen = 0
    var firstLeft = 0
    while schedule.order.count < stretch.count {
      while schedule.isPlaced(firstLeft) { firstLeft += 1 }
      while seen
        < min(firstLeft + (ready.count < 2 * workerCount ? Self.window.most : Self.window.least), stretch.count)
      {
        if waiting[seen] == 0 { ready.append(self.ready(seen, stretch, schedule)) }
        seen += 1
      }
      let idlest = schedule.idlest
      var best = (choice: -1, start: (worker: 0, time: Int.max), rank: 0, place: 0)
      for (choice, candidate) in ready.enumerated() {
        let start = candidate.start(schedule, idlest: idlest)
        let rank = lengths[candidate.place] * workerCount > left ? -lengths[candidate.place] : 0
        if (start.time, rank, candidate.place) < (best.start.time, best.rank, best.place) {
          best = (choice, start, rank, candidate.place)
        }
      }
      let place = ready.remove(at: best.choice).place
      let node = order[stretch.lowerBound + place]
      schedule.put(place, on: best.start.worker, at: best.start.time, for: cost(of: node))
      left -= cost(of: node)
      for next in draft.successors[node] where stretch.contains(steps[next]) {
        let next = steps[next] - stretch.lowerBound
        waiting[next] -= 1
        if waiting[next] == 0, next < seen { ready.append(self.ready(next, stretch, schedule)) }
      }
    }
    return schedule
  }

  private func cost(of node: Int) -> Int { max(costs[node], 1) }

  /// The places in a stretch of what comes before the instruction at a step.
  private func sources(of step: Int, in stretch: Range<Int>) -> [Int] {
    predecessors[order[step]].compactMap { stretch.contains(steps[$0]) ? steps[$0] - stretch.lowerBound : nil }
  }

  /// For each place of the stretch the nanoseconds of the longest chain that begins with it.
  private func pathLengths(_ stretch: Range<Int>) -> [Int] {
    var lengths = [Int](repeating: 0, count: stretch.count)
    for step in stretch.reversed() {
      var longest = 0
      for next in draft.successors[order[step]] where stretch.contains(steps[next]) {
        longest = max(longest, lengths[steps[next] - stretch.lowerBound])
      }
      lengths[step - stretch.lowerBound] = cost(of: order[step]) + longest
    }
    return lengths
  }

  private func ready(_ place: Int, _ stretch: Range<Int>, _ schedule: ListSchedule) -> Ready {
    var arrivals: [(worker: Int, time: Int)] = []
    var elsewhere = 0
    let sources = sources(of: stretch.lowerBound + place, in: stretch)
    for source in sources {
      let worker = schedule.worker(of: source)
      elsewhere = max(elsewhere, schedule.end(of: source) + handover(from: order[stretch.lowerBound + source]))
      if !arrivals.contains(where: { $0.worker == worker }) { arrivals.append((worker, 0)) }
    }
    for i in arrivals.indices {
      for source in sources {
        let isOwn = schedule.worker(of: source) == arrivals[i].worker
        let time = schedule.end(of: source) + (isOwn ? 0 : handover(from: order[stretch.lowerBound + source]))
        arrivals[i].time = max(arrivals[i].time, time)
      }
    }
    return Ready(place: place, arrivals: arrivals, arrivalElsewhere: elsewhere)
  }

  private func handover(from node: Int) -> Int {
    Self.handover + draft.nodes[node].results.reduce(0) { $0 + draft.values[$1].byteCount } / Self.handoverBytes
  }

  // MARK: Waiting

  /// The group of a schedule, with as few waits as do.
  private func group(of schedule: ListSchedule, _ stretch: Range<Int>) -> PlanGroup {
    var group = PlanGroup(instructions: stretch, workers: schedule.order.map { schedule.worker(of: $0) })
    var clocks = GroupClocks(workerCount: workerCount)
    var placeInGroup = [Int](repeating: 0, count: stretch.count)
    for (i, place) in schedule.order.enumerated() { placeInGroup[place] = i }
    for (i, place) in schedule.order.enumerated() {
      // The latest first: what that one has waited for needs no wait of its own.
      for source in sources(of: stretch.lowerBound + place, in: stretch).map({ placeInGroup[$0] }).sorted(by: >) {
        guard let count = clocks.wait(group.workers[i], for: source) else { continue }
        group.waits.append(PlanGroup.Wait(instruction: i, worker: group.workers[source], count: count))
      }
      clocks.add(for: group.workers[i])
    }
    return group
  }
}
