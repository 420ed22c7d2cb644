/// Which of a group's instructions are over when another one begins, whatever the workers' speed.
///
/// Each instruction has a vector clock (F. Mattern, "Virtual Time and Global States of Distributed Systems", 1989): how many
/// instructions of each worker it comes after. Instructions are named by their places in the group.
struct GroupClocks {
  private var workers: [Int] = []
  /// For each instruction its number among those of its worker.
  private var numbers: [Int] = []
  /// For each instruction and each worker how many of the worker's instructions are over when it begins.
  private var clocks: [[Int]] = []
  /// For each worker its instructions.
  private var shares: [[Int]]
  /// For each worker what is over when its next instruction begins.
  private var present: [[Int]]

  init(workerCount: Int) {
    shares = Array(repeating: [], count: workerCount)
    present = Array(repeating: Array(repeating: 0, count: workerCount), count: workerCount)
  }

  /// The clocks of a group; waits for what does not come before are left out.
  init(_ group: PlanGroup) {
    self.init(workerCount: (group.workers.max() ?? 0) + 1)
    var next = group.waits.startIndex
    for (i, worker) in group.workers.enumerated() {
      while next < group.waits.endIndex, group.waits[next].instruction == i {
        let wait = group.waits[next]
        if shares.indices.contains(wait.worker), shares[wait.worker].indices.contains(wait.count - 1) {
          self.wait(worker, for: shares[wait.worker][wait.count - 1])
        }
        next += 1
      }
      add(for: worker)
    }
  }

  /// The next instruction, which a worker carries out.
  mutating func add(for worker: Int) {
    workers.append(worker)
    numbers.append(shares[worker].count)
    clocks.append(present[worker])
    shares[worker].append(workers.count - 1)
    present[worker][worker] = shares[worker].count
  }

  /// Has a worker's next instruction wait for another one.
  ///
  /// - Returns: how many instructions the other one's worker has to have carried out, or nil if they are over in any case.
  @discardableResult
  mutating func wait(_ worker: Int, for instruction: Int) -> Int? {
    let (other, number) = (workers[instruction], numbers[instruction])
    guard present[worker][other] <= number else { return nil }
    for (i, count) in clocks[instruction].enumerated() { present[worker][i] = max(present[worker][i], count) }
    present[worker][other] = number + 1
    return number + 1
  }

  /// Whether one instruction is over when another begins.
  func isOver(_ first: Int, before second: Int) -> Bool { clocks[second][workers[first]] > numbers[first] }

  /// For each instruction the last one in order, maybe itself, that may begin before it is over.
  var lastBeside: [Int] {
    var last = Array(workers.indices)
    for (worker, own) in shares.enumerated() {
      for (other, others) in shares.enumerated() where other != worker {
        // The later an instruction is in its worker's share, the more of another's may begin before it is over.
        var beside = 0
        for i in own {
          while beside < others.count, !isOver(i, before: others[beside]) { beside += 1 }
          if beside > 0 { last[i] = max(last[i], others[beside - 1]) }
        }
      }
    }
    return last
  }
}
