/// Instructions that are dealt to the workers and run at the same time, as far as they do not need each other.
public struct PlanGroup: Hashable, Sendable {
  /// The places of the instructions in the block. Carried out in this order by one worker, each finds what it needs.
  public var instructions: Range<Int>
  /// For each of them the worker that carries it out; a worker carries out its own in order.
  public var workers: [Int]
  /// What an instruction waits for beside those that its worker has carried out before it, by instruction.
  public var waits: [Wait]

  /// An instruction begins when another worker has come so far.
  public struct Wait: Hashable, Sendable {
    /// The instruction's place in the group.
    public var instruction: Int
    public var worker: Int
    /// How many of its instructions in the group that worker has to have carried out.
    public var count: Int

    public init(instruction: Int, worker: Int, count: Int) {
      (self.instruction, self.worker, self.count) = (instruction, worker, count)
    }
  }

  public init(instructions: Range<Int>, workers: [Int], waits: [Wait] = []) {
    (self.instructions, self.workers, self.waits) = (instructions, workers, waits)
  }
}
