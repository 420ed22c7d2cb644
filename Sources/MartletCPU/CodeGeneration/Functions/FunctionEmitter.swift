import CMartletRuntime
import MartletLoopIR
import MartletTensors

/// Emits one phase of a nest as a function of type `martlet_kernel`.
///
/// Each row is emitted when a statement first needs it, at the outermost level where its operands are known and where no
/// store or assignment can change it. The block of a level stays open, without a branch at its end, while the loops
/// inside it are emitted, so that code can still be put in front of them; a *region* is such a chain of blocks, and
/// straight-line scopes share the region they stand in.
final class FunctionEmitter {
  let ir: IRBuilder
  let nest: Nest
  /// The nest with what of it is known only when it runs.
  let parametric: ParametricNest
  let facts: NestFacts
  let function: IRValue
  /// Memory full of zeros, which loads whose guard is false read instead.
  let zeros: IRValue

  var regions: [IRBlock] = []
  var levels: [Level] = []
  var values: [RowValue?]
  /// Rows with a value that a store or assignment may end.
  private var volatileRows: [Int] = []

  /// The lanes of the loop that is being emitted; 1 outside vector loops.
  var lanes = 1
  /// How many of the lanes stand for iterations, where not all do.
  var partialLanes: Int?
  /// Those that do, where their number is known only at run time.
  var partialMask: IRValue?
  var axes: [Int: RowValue] = [:]
  var states: [RowValue] = []
  var others: [RowValue] = []
  var registers: [Register: IRValue] = [:]
  /// For each register, how and where it was assigned last.
  var assignments: [Int: (lanes: Int, level: Int)] = [:]
  var bufferAddresses: [IRValue?]
  /// What loads fetch for the phase's next iteration.
  var rowsAhead = RowsAhead()
  /// Whether something was stored past the caches.
  var isStreaming = false
  private let entry: IRBlock

  /// A register's place in memory, before it is promoted to a value.
  struct Register: Hashable {
    var number: Int
    var lanes: Int
  }

  init(_ parametric: ParametricNest, _ facts: NestFacts, function: IRValue, zeros: IRValue, _ ir: IRBuilder) {
    self.ir = ir
    self.parametric = parametric
    nest = parametric.nest
    self.facts = facts
    self.function = function
    self.zeros = zeros
    values = Array(repeating: nil, count: nest.scalars.count)
    bufferAddresses = Array(repeating: nil, count: nest.buffers.count)
    entry = ir.append("entry", to: function)
  }

  // MARK: The function's parameters, as `martlet_kernel` orders them

  private func parameter(_ number: Int) -> IRValue { ir.llvm.pointee.GetParam(function, UInt32(number))! }
  var parameters: IRValue { parameter(0) }
  var slots: IRValue { parameter(1) }
  var status: IRValue { parameter(2) }
  var scratch: IRValue { parameter(3) }

  /// Emits the whole function.
  func emit(_ phase: NestPhase) {
    rowsAhead = RowsAhead(phase, of: nest)
    let (begin, end) = (parameter(4), parameter(5))
    let start = ir.append("start", to: function)
    let exit = ir.append("exit", to: function)
    regions = [start]
    levels = [Level(region: 0, mutated: ResourceSet())]
    _ = loop(from: begin, to: end, step: 1, mutating: NestFacts.mutated(by: phase.body)) { number, _ in
      axes[phase.axis] = RowValue(value: number, form: .uniform, level: level)
      emit(phase.body)
      return []
    }
    emit(at: 0) { ir.branch(exit) }
    ir.position(at: exit)
    if isStreaming { ir.fence() }
    ir.returnVoid()
    ir.position(at: entry)
    ir.branch(if: ir.compare(martlet_llvm_int_slt, begin, end), start, else: exit)
  }

  // MARK: Levels

  /// The innermost level.
  var level: Int { levels.count - 1 }

  /// Puts what `body` emits at the end of a level's code.
  @discardableResult
  func emit<Result>(at level: Int, _ body: () -> Result) -> Result {
    let region = levels[level].region
    ir.position(at: regions[region])
    defer { regions[region] = ir.block }
    return body()
  }

  /// Emits a loop that runs at least once, in a level of its own.
  ///
  /// - Parameters:
  ///   - mutated: What the body stores to and assigns.
  ///   - initial: The values that the loop carries, before the first iteration.
  ///   - body: Is given the loop's variable and the carried values, and returns the next ones.
  /// - Returns: The carried values after the last iteration.
  func loop(
    from begin: IRValue, to end: IRValue, step: Int, mutating mutated: ResourceSet, carrying initial: [IRValue] = [],
    _ body: (IRValue, [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    loop(from: begin, to: end, by: ir.int(step), mutating: mutated, carrying: initial, body)
  }

  /// The same with a step that may be known only at run time.
  func loop(
    from begin: IRValue, to end: IRValue, by step: IRValue, mutating mutated: ResourceSet,
    carrying initial: [IRValue] = [], _ body: (IRValue, [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    forget(mutated)
    let header = ir.append("loop", to: function)
    let exit = ir.append("end", to: function)
    ir.position(at: header)
    let number = ir.phi(ir.int64)
    let carried = initial.map { ir.phi(ir.type(of: $0)) }
    regions.append(header)
    levels.append(Level(region: regions.count - 1, mutated: mutated))
    let next = body(number, carried)
    let following = emit(at: level) {
      let following = ir.add(number, step)
      ir.branch(if: ir.compare(martlet_llvm_int_slt, following, end), header, else: exit)
      return following
    }
    let latch = regions.removeLast()
    leaveLevel()
    let outer = levels[level].region
    ir.position(at: regions[outer])
    ir.branch(header)
    for (phi, (first, later)) in zip([number] + carried, zip([begin] + initial, [following] + next)) {
      ir.addIncoming(phi, first, from: regions[outer])
      ir.addIncoming(phi, later, from: latch)
    }
    regions[outer] = exit
    return next
  }

  /// Emits code that runs only if a condition is true, in a level of its own. What does not depend on that level is put in
  /// front of it, and must be right in any case.
  ///
  /// - Parameters:
  ///   - mutated: What the body stores to and assigns.
  ///   - initial: The carried values where the condition is false.
  ///   - body: Is given them, and returns the next ones.
  /// - Returns: The carried values.
  @discardableResult
  func when(
    _ condition: IRValue, mutating mutated: ResourceSet, carrying initial: [IRValue] = [],
    _ body: ([IRValue]) -> [IRValue]
  ) -> [IRValue] {
    forget(mutated)
    let then = ir.append("then", to: function)
    let exit = ir.append("end", to: function)
    regions.append(then)
    levels.append(Level(region: regions.count - 1, mutated: mutated))
    let next = body(initial)
    emit(at: level) { ir.branch(exit) }
    let last = regions.removeLast()
    leaveLevel()
    let outer = levels[level].region
    ir.position(at: regions[outer])
    ir.branch(if: condition, then, else: exit)
    ir.position(at: exit)
    let carried = initial.map { ir.phi(ir.type(of: $0)) }
    for (phi, (first, later)) in zip(carried, zip(initial, next)) {
      ir.addIncoming(phi, first, from: regions[outer])
      ir.addIncoming(phi, later, from: last)
    }
    regions[outer] = exit
    return carried
  }

  /// Emits straight-line code whose values are forgotten afterwards.
  func scope<Result>(_ body: () -> Result) -> Result {
    levels.append(Level(region: levels[level].region, mutated: ResourceSet()))
    defer { leaveLevel() }
    return body()
  }

  private func leaveLevel() {
    for row in levels.removeLast().rows { values[row] = nil }
  }

  /// Forgets what depends on buffers and registers that change.
  func forget(_ changed: ResourceSet) {
    if changed.isEmpty { return }
    volatileRows.removeAll { row in
      if values[row] == nil { return true }
      if !facts.resources[row].intersects(changed) { return false }
      values[row] = nil
      return true
    }
  }

  /// The outermost level at which buffers and registers keep their contents.
  func outermostLevel(reading resources: ResourceSet) -> Int {
    if resources.isEmpty { return 0 }
    return levels.lastIndex { $0.mutated.intersects(resources) } ?? 0
  }

  // MARK: Lanes

  /// How many lanes stand for iterations.
  var activeLanes: Int { partialLanes ?? lanes }
  /// Those lanes; nil for all.
  var activeMask: IRValue? { partialLanes.map { ir.mask(lanes, active: $0) } ?? partialMask }

  // MARK: Values

  /// The value of a row, emitted now unless it is at hand.
  func value(_ id: ScalarID) -> RowValue {
    if let known = values[Int(id.index)] { return known }
    var pending = [id]
    while let next = pending.last {
      if values[Int(next.index)] != nil {
        pending.removeLast()
        continue
      }
      let row = nest.scalars[next]
      let count = pending.count
      for i in 0..<Int(row.operandCount) where values[Int(row.lanes[i])] == nil { pending.append(row.operand(i)) }
      if row.condition != .none, values[Int(row.condition.index)] == nil { pending.append(row.condition) }
      if pending.count > count { continue }
      pending.removeLast()
      define(next, emit(next, row))
    }
    return values[Int(id.index)]!
  }

  private func define(_ id: ScalarID, _ value: RowValue) {
    values[Int(id.index)] = value
    levels[value.level].rows.append(Int(id.index))
    if !facts.resources[Int(id.index)].isEmpty { volatileRows.append(Int(id.index)) }
  }

  /// The row as a vector of the loop's lanes, or as a scalar outside vector loops.
  func vector(_ id: ScalarID) -> IRValue {
    let known = value(id)
    if lanes == 1 || known.form == .vector { return known.value }
    if let vector = known.vector, vector.lanes == lanes { return vector.value }
    let vector = emit(at: known.level) { expand(known) }
    values[Int(id.index)]!.vector = (vector, lanes)
    return vector
  }

  /// A uniform or affine value in the loop's lanes, emitted here.
  func expand(_ known: RowValue) -> IRValue {
    switch known.form {
    case .vector: return known.value
    case .uniform: return ir.splat(known.value, lanes)
    case .affine(let stride):
      return ir.add(ir.splat(known.value, lanes), ir.steps(ir.int64, lanes, stride: stride))
    }
  }

  /// The type of a register or of a value in computations; Booleans are single bits, floats of 16 bits are their bits.
  func type(_ type: ElementType) -> IRType {
    switch type {
    case .float32: ir.float
    case .float64: ir.double
    case .int32: ir.int32
    case .int64: ir.int64
    case .float16, .bfloat16: ir.int16
    case .uint8: ir.int8
    case .bool: ir.int1
    default: preconditionFailure("no code is generated for \(type)")
    }
  }

  /// Memory for a register, in the entry block.
  func registerAddress(_ number: Int, lanes: Int) -> IRValue {
    let key = Register(number: number, lanes: lanes)
    if let known = registers[key] { return known }
    ir.position(at: entry)
    let address = ir.alloca(ir.lanes(type(nest.registers[number]), lanes))
    registers[key] = address
    return address
  }
}
