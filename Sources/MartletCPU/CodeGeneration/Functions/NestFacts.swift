import MartletLoopIR
import MartletTensors

/// What is known of a nest's rows before any code is emitted.
struct NestFacts {
  /// For each row, the buffers and registers that change during the nest and that its value depends on.
  private(set) var resources: [ResourceSet] = []
  /// For each row of an integer type, bounds of its value.
  private(set) var ranges: [ClosedRange<Int64>] = []

  init(_ nest: Nest) {
    var written = ResourceSet()
    for phase in nest.phases { written.formUnion(Self.mutated(by: phase.body)) }
    let extents = Self.extents(of: nest)
    for row in nest.scalars.rows {
      var used = ResourceSet()
      for operand in row.operands + (row.condition == .none ? [] : [row.condition]) {
        used.formUnion(resources[Int(operand.index)])
      }
      if row.operation == .load {
        let buffer = ResourceSet.buffer(Int(row.payload))
        if written.intersects(buffer) { used.formUnion(buffer) }
      }
      if row.operation == .register { used.formUnion(.register(Int(row.payload))) }
      resources.append(used)
      ranges.append(Self.range(of: row, extents, ranges))
    }
  }

  /// The buffers and registers that statements change.
  static func mutated(by statements: [NestStatement]) -> ResourceSet {
    var set = ResourceSet()
    for statement in statements {
      switch statement {
      case .loop(let loop): set.formUnion(mutated(by: loop.body))
      case .store(let buffer, _, _, _): set.formUnion(.buffer(buffer))
      case .assign(let register, _): set.formUnion(.register(register))
      case .reduce(let reduction): for register in reduction.registers { set.formUnion(.register(register)) }
      }
    }
    return set
  }

  /// The number of values that each axis takes; lanes beyond the last iteration count.
  private static func extents(of nest: Nest) -> [Int: Int] {
    var extents: [Int: Int] = [:]
    func note(_ axis: Int, _ extent: Int, lanes: Int = 1) {
      extents[axis] = max(extents[axis] ?? 1, (extent + lanes - 1) / lanes * lanes)
    }
    func visit(_ statements: [NestStatement]) {
      for statement in statements {
        switch statement {
        case .loop(let loop):
          let lanes = if case .vector(let lanes) = loop.mark { lanes } else { 1 }
          note(loop.axis, loop.extent, lanes: lanes)
          visit(loop.body)
        case .reduce(let reduction):
          for loop in reduction.loops { note(loop.axis, loop.extent, lanes: reduction.lanes) }
        case .store, .assign: break
        }
      }
    }
    for phase in nest.phases {
      note(phase.axis, phase.extent)
      visit(phase.body)
    }
    return extents
  }

  /// All values of an integer type.
  static func range(of type: ElementType) -> ClosedRange<Int64> {
    switch type {
    case .int32: Int64(Int32.min)...Int64(Int32.max)
    case .uint8: 0...255
    case .bool: 0...1
    default: Int64.min...Int64.max
    }
  }

  private static func range(
    of row: ScalarRow, _ extents: [Int: Int], _ ranges: [ClosedRange<Int64>]
  ) -> ClosedRange<Int64> {
    let all = range(of: row.type)
    if row.type.isFloatingPoint { return all }
    func operand(_ i: Int) -> ClosedRange<Int64> { ranges[Int(row.operand(i).index)] }
    guard let found = range(of: row, extents, operand), all.contains(found.lowerBound), all.contains(found.upperBound)
    else { return all }
    return found
  }

  private static func range(
    of row: ScalarRow, _ extents: [Int: Int], _ operand: (Int) -> ClosedRange<Int64>
  ) -> ClosedRange<Int64>? {
    switch row.operation {
    case .constant: return row.payload...row.payload
    case .axis: return 0...Int64(extents[Int(row.payload), default: 1] - 1)
    case .add: return corners(operand(0), operand(1)) { $0.addingReportingOverflow($1) }
    case .subtract: return corners(operand(0), operand(1)) { $0.subtractingReportingOverflow($1) }
    case .multiply: return corners(operand(0), operand(1)) { $0.multipliedReportingOverflow(by: $1) }
    case .minimum:
      let (x, y) = (operand(0), operand(1))
      return min(x.lowerBound, y.lowerBound)...min(x.upperBound, y.upperBound)
    case .maximum:
      let (x, y) = (operand(0), operand(1))
      return max(x.lowerBound, y.lowerBound)...max(x.upperBound, y.upperBound)
    case .select:
      let (x, y) = (operand(1), operand(2))
      return min(x.lowerBound, y.lowerBound)...max(x.upperBound, y.upperBound)
    case .divide, .floorDivide:
      let (x, y) = (operand(0), operand(1))
      guard x.lowerBound >= 0, y.lowerBound > 0 else { return nil }
      return x.lowerBound / y.upperBound...x.upperBound / y.lowerBound
    case .floorModulo:
      let (x, y) = (operand(0), operand(1))
      guard y.lowerBound > 0 else { return nil }
      return 0...(x.lowerBound >= 0 ? min(x.upperBound, y.upperBound - 1) : y.upperBound - 1)
    case .checkIndex: return 0...(max(1, operand(1).upperBound) - 1)
    case .and:
      let (x, y) = (operand(0), operand(1))
      guard x.lowerBound >= 0, y.lowerBound >= 0 else { return nil }
      return 0...min(x.upperBound, y.upperBound)
    case .cast: return row.type == .bool ? nil : operand(0)
    default: return nil
    }
  }

  /// The bounds of a function that is monotonic in each of its operands.
  private static func corners(
    _ x: ClosedRange<Int64>, _ y: ClosedRange<Int64>, _ f: (Int64, Int64) -> (partialValue: Int64, overflow: Bool)
  ) -> ClosedRange<Int64>? {
    let values = [
      f(x.lowerBound, y.lowerBound), f(x.lowerBound, y.upperBound), f(x.upperBound, y.lowerBound),
      f(x.upperBound, y.upperBound),
    ]
    if values.contains(where: \.overflow) { return nil }
    return values.map(\.partialValue).min()!...values.map(\.partialValue).max()!
  }
}
