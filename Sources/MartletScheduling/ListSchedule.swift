/// When and on which worker the instructions of a stretch begin, as far as they have been placed; times in nanoseconds.
struct ListSchedule {
  /// The instructions in the order in which they were placed.
  private(set) var order: [Int] = []
  /// For each worker the end of its last instruction.
  private(set) var idleFrom: [Int]
  private var workers: [Int?]
  private var ends: [Int]

  init(_ count: Int, workerCount: Int) {
    idleFrom = Array(repeating: 0, count: workerCount)
    workers = Array(repeating: nil, count: count)
    ends = Array(repeating: 0, count: count)
    order.reserveCapacity(count)
  }

  /// The worker that has been idle longest.
  var idlest: Int { idleFrom.indices.min { (idleFrom[$0], $0) < (idleFrom[$1], $1) } ?? 0 }
  /// The end of the last instruction.
  var end: Int { idleFrom.max() ?? 0 }

  func isPlaced(_ instruction: Int) -> Bool { workers[instruction] != nil }
  func end(of instruction: Int) -> Int { ends[instruction] }

  /// The worker of an instruction that has been placed.
  func worker(of instruction: Int) -> Int {
    guard let worker = workers[instruction] else { preconditionFailure("instruction \(instruction) has no place yet") }
    return worker
  }

  mutating func put(_ instruction: Int, on worker: Int, at time: Int, for duration: Int) {
    workers[instruction] = worker
    ends[instruction] = time + duration
    idleFrom[worker] = ends[instruction]
    order.append(instruction)
  }
}
