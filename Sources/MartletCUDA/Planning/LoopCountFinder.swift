import MartletLoopIR
import MartletScheduling
import MartletTensors

/// Finds loops that count: whose condition compares integers that the body changes by constants.
struct LoopCountFinder {
  private let plan: ExecutionPlan
  private let block: Int
  private let index: Int
  private let loop: PlanLoop
  /// What each counting state is; nil for one that is being looked at, or does not count.
  private var states: [Int: LoopCount.Counter?] = [:]
  private var bounded: Set<LoopCount.Bound> = []

  /// How often a loop runs its body, if the host can know.
  ///
  /// - Parameter index: the loop's place in `block`.
  static func count(of loop: PlanLoop, at index: Int, in block: Int, of plan: ExecutionPlan) -> LoopCount? {
    // A condition that does more than decide has to run.
    let isPure = plan.blocks[loop.condition].instructions.allSatisfy { instruction in
      switch instruction.action {
      case .kernel(let kernel): !plan.kernels[kernel].canFail
      case .copy: true
      case .library, .host, .join, .conditional, .loop: false
      }
    }
    guard isPure else { return nil }
    var finder = LoopCountFinder(plan: plan, block: block, index: index, loop: loop)
    guard let limits = finder.conditions(loop.predicate, loop.condition), !limits.isEmpty else { return nil }
    let order: (LoopCount.Bound, LoopCount.Bound) -> Bool = { "\($0)" < "\($1)" }
    return LoopCount(untilZero: limits, bounded: finder.bounded.sorted(by: order))
  }

  private init(plan: ExecutionPlan, block: Int, index: Int, loop: PlanLoop) {
    (self.plan, self.block, self.index, self.loop) = (plan, block, index, loop)
  }

  /// A scalar that an instruction's kernel computes.
  private struct Place {
    var program: StageProgram
    var scalar: ScalarID
    var operands: [Int]
    var block: Int
    /// The instructions before it.
    var end: Int
  }

  // MARK: Slots

  /// Where the value that a slot has behind the first `end` instructions of a block comes from: a place in a kernel, or another
  /// slot.
  private enum Origin {
    case computed(Place)
    case copied(from: Int, end: Int)
  }

  private func origin(of slot: Int, in block: Int, before end: Int) -> Origin? {
    let instructions = plan.blocks[block].instructions
    guard let number = instructions[..<end].lastIndex(where: { $0.results.contains(slot) }) else { return nil }
    let instruction = instructions[number]
    switch instruction.action {
    case .copy: return .copied(from: instruction.operands[0], end: number)
    case .kernel(let kernel):
      guard let program = plan.kernels[kernel].program, let output = instruction.results.firstIndex(of: slot),
        let root = root(program.outputs[output], program)
      else { return nil }
      return .computed(
        Place(program: program, scalar: root, operands: instruction.operands, block: block, end: number))
    case .library, .host, .join, .conditional, .loop: return nil
    }
  }

  /// The scalar that a stage of one element maps to.
  private func root(_ source: Source, _ program: StageProgram) -> ScalarID? {
    guard case .stage(let stage) = source, program.stages[stage].result.elementCount == 1,
      case .map(let root) = program.stages[stage].kind
    else { return nil }
    return root
  }

  /// What a slot holds in a block, of the loop or around it, behind `end` instructions.
  private mutating func counter(_ slot: Int, _ block: Int, before end: Int) -> LoopCount.Counter? {
    guard let type = plan.slots[slot].type, type.shape.elementCount?.known == 1,
      type.elementType == .int32 || type.elementType == .int64
    else { return nil }
    if block != self.block, let state = loop.states.firstIndex(where: { $0.read == slot }) {
      return counter(state: state)
    }
    switch origin(of: slot, in: block, before: end) {
    case .computed(let place): return counter(place)
    case .copied(let source, let end): return counter(source, block, before: end)
    case nil: break
    }
    switch plan.slots[slot].place {
    case .constant(let number):
      let tensor = plan.constants[number].tensor
      guard plan.slots[slot].offset == 0, tensor.elementCount == 1 else { return nil }
      return .constant(
        type.elementType == .int32 ? Int64(tensor.scalars(as: Int32.self)[0]) : tensor.scalars(as: Int64.self)[0])
    case .argument(let number) where plan.arguments[number].type.shape.elementCount?.known == 1:
      return LoopCount.Counter(arguments: [number: 1])
    case .argument, .arena, .result, .variable:
      // What a loop reads from the block around.
      return block == self.block ? nil : counter(slot, self.block, before: index)
    }
  }

  private mutating func counter(state: Int) -> LoopCount.Counter? {
    if let known = states[state] { return known }
    states[state] = .some(nil)
    let (read, written) = (loop.states[state].read, loop.states[state].written)
    guard var counter = counter(written, block, before: index),
      let step = step(of: written, over: read, plan.blocks[loop.body].instructions.count)
    else { return nil }
    counter.step = step
    states[state] = counter
    return counter
  }

  /// By how much the body changes a state.
  private func step(of slot: Int, over read: Int, _ end: Int) -> Int64? {
    switch origin(of: slot, in: loop.body, before: end) {
    case .copied(let source, let end): return source == read ? 0 : step(of: source, over: read, end)
    case .computed(let place):
      let row = place.program.scalars[place.scalar]
      func constant(_ i: Int) -> Int64? {
        let row = place.program.scalars[row.operand(i)]
        return row.operation == .constant ? row.payload : nil
      }
      func isState(_ i: Int) -> Bool {
        let row = place.program.scalars[row.operand(i)]
        guard row.operation == .load, row.condition == .none, case .input(let input) = Source(payload: row.payload)
        else {
          return false
        }
        return place.operands[input] == read
      }
      switch row.operation {
      case .add: return isState(0) ? constant(1) : isState(1) ? constant(0) : nil
      case .subtract: return isState(0) ? constant(1).map { 0 &- $0 } : nil
      default: return nil
      }
    case nil: return nil
    }
  }

  // MARK: Scalars

  private mutating func counter(_ place: Place) -> LoopCount.Counter? {
    let row = place.program.scalars[place.scalar]
    guard row.type == .int32 || row.type == .int64, row.condition == .none else { return nil }
    func operand(_ i: Int) -> Place {
      var inner = place
      inner.scalar = row.operand(i)
      return inner
    }
    switch row.operation {
    case .constant: return .constant(row.payload)
    case .load:
      switch Source(payload: row.payload) {
      case .input(let input): return counter(place.operands[input], place.block, before: place.end)
      case .stage:
        guard let root = root(Source(payload: row.payload), place.program) else { return nil }
        var inner = place
        inner.scalar = root
        return counter(inner)
      }
    case .add, .subtract:
      guard let a = counter(operand(0)), let b = counter(operand(1)) else { return nil }
      return a.adding(b, times: row.operation == .add ? 1 : -1)
    case .cast:
      guard row.type == .int64, let inner = counter(operand(0)) else { return nil }
      bounded.insert(LoopCount.Bound(counter: inner, type: place.program.scalars.type(of: row.operand(0))))
      return inner
    default: return nil
    }
  }

  /// The conditions under which a Boolean is true, each as a counter that is less than zero.
  private mutating func conditions(_ slot: Int, _ block: Int) -> [LoopCount.Counter]? {
    switch origin(of: slot, in: block, before: plan.blocks[block].instructions.count) {
    case .computed(let place): conditions(place)
    case .copied(let source, _): conditions(source, block)
    case nil: nil
    }
  }

  private mutating func conditions(_ place: Place) -> [LoopCount.Counter]? {
    let row = place.program.scalars[place.scalar]
    func operand(_ i: Int) -> Place {
      var inner = place
      inner.scalar = row.operand(i)
      return inner
    }
    switch row.operation {
    case .less, .lessEqual:
      guard let a = counter(operand(0)), let b = counter(operand(1)), let difference = a.adding(b, times: -1) else {
        return nil
      }
      let type = place.program.scalars.type(of: row.operand(0))
      bounded.formUnion([LoopCount.Bound(counter: a, type: type), LoopCount.Bound(counter: b, type: type)])
      return (row.operation == .less ? difference : difference.adding(.constant(-1), times: 1)).map { [$0] }
    case .and:
      guard let a = conditions(operand(0)), let b = conditions(operand(1)) else { return nil }
      return a + b
    case .load:
      switch Source(payload: row.payload) {
      case .input(let input):
        let slot = place.operands[input]
        guard case .computed(let inner)? = origin(of: slot, in: place.block, before: place.end) else { return nil }
        return conditions(inner)
      case .stage:
        guard let root = root(Source(payload: row.payload), place.program) else { return nil }
        var inner = place
        inner.scalar = root
        return conditions(inner)
      }
    default: return nil
    }
  }
}
