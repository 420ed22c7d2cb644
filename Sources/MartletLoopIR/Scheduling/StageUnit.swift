/// Stages of a group that share one nest of loops: maps over the same domain that use each other's elements in place, or
/// reductions over the same domain that do not use each other.
package struct StageUnit {
  package enum Kind { case maps, reductions, scan, scatter }
  package var kind: Kind
  package var stages: [Int]

  /// Cuts a run of stages into units.
  package static func units(of stages: Range<Int>, _ accesses: StageAccesses) -> [StageUnit] {
    let program = accesses.program
    var units: [StageUnit] = []
    for number in stages {
      let stage = program.stages[number]
      switch stage.kind {
      case .scan: units.append(StageUnit(kind: .scan, stages: [number]))
      case .scatter: units.append(StageUnit(kind: .scatter, stages: [number]))
      case .map:
        if let last = units.last, last.kind == .maps, program.stages[last.stages[0]].extents == stage.extents,
          accesses.loads(stage.roots).allSatisfy({ load in
            guard case .stage(let source) = Source(payload: program.scalars[load].payload) else { return true }
            return !last.stages.contains(source) || accesses.isIdentity(load, in: stage.extents)
          })
        {
          units[units.count - 1].stages.append(number)
        } else {
          units.append(StageUnit(kind: .maps, stages: [number]))
        }
      case .reduce:
        if let last = units.last, last.kind == .reductions,
          accesses.domain(of: program.stages[last.stages[0]]) == accesses.domain(of: stage),
          program.stages[last.stages[0]].extents == stage.extents,
          accesses.loads(stage.roots).allSatisfy({ load in
            guard case .stage(let source) = Source(payload: program.scalars[load].payload) else { return true }
            return !last.stages.contains(source)
          })
        {
          units[units.count - 1].stages.append(number)
        } else {
          units.append(StageUnit(kind: .reductions, stages: [number]))
        }
      }
    }
    return units
  }
}

/// Estimates how long a unit takes with its lanes along one axis or another, in vector operations for each element.
struct VectorCost {
  private struct Load {
    var offset: AffineForm
    var isGuarded: Bool
    /// Whether it reads what an earlier unit of the group left: lanes along a shared axis then lie side by side.
    var isInGroup: Bool
  }
  private struct Store {
    var strides: [Int]
    var isInGroup: Bool
  }
  private var operations = 0
  private var loads: [Load] = []
  /// The stores, where there is one for each element of the domain.
  private var stores: [Store] = []
  private let accesses: StageAccesses
  let domain: [Int]

  init(_ unit: StageUnit, in group: [StageUnit], _ accesses: StageAccesses) {
    self.accesses = accesses
    let stages = unit.stages.map { accesses.program.stages[$0] }
    domain = accesses.domain(of: stages[0])
    let roots = Array(Set(stages.flatMap { accesses.body(of: $0) })).sorted()
    operations = accesses.cost(roots)
    for load in accesses.loads(roots) {
      let row = accesses.program.scalars[load]
      var isInGroup = false
      if case .stage(let source) = Source(payload: row.payload) {
        if unit.kind == .maps, unit.stages.contains(source) { continue }
        isInGroup = group.contains { $0.stages.contains(source) }
      }
      loads.append(
        Load(offset: accesses.offset(of: load), isGuarded: row.condition != .none, isInGroup: isInGroup))
    }
    if unit.kind == .maps {
      stores = unit.stages.map { number in
        Store(
          strides: rowMajorStrides(accesses.program.stages[number].extents),
          isInGroup: !accesses.program.outputs.contains(.stage(number)))
      }
    }
  }

  /// The number of elements in the domain's axes from `first` on.
  func elements(from first: Int) -> Int { domain[first...].reduce(1, multipliedSaturating) }

  /// With lanes along a run of axes.
  func perElement(along run: Range<Int>, lanes: Int, isReduced: Bool = false, isShared: Bool = false) -> Double {
    let axis = run.last { domain[$0] > 1 } ?? run.upperBound - 1
    let extent = max(1, domain[run].reduce(1, multipliedSaturating))
    // Lanes apart are moved one by one; far apart, each from a cache line of its own.
    func apart(_ stride: Int64?) -> Double {
      guard let stride else { return Double(lanes) }
      return Double(lanes) * (stride.magnitude <= 8 ? 0.6 : stride.magnitude <= 64 ? 0.8 : 1)
    }
    var step = Double(operations)
    for load in loads {
      let stride = accesses.stride(of: load.offset, along: axis)
      switch stride {
      case 0: step += 0.1
      case 1, -1: step += 1
      default: step += isShared && load.isInGroup ? 1 : apart(stride)
      }
      if load.isGuarded { step += 1 }
    }
    for store in stores {
      let isNear = store.strides[axis] == 1 || (isShared && store.isInGroup)
      step += isNear ? 1 : 1.5 * apart(Int64(store.strides[axis]))
    }
    let groups = (extent + lanes - 1) / lanes
    var total = step * Double(groups) / Double(extent)
    if isReduced {
      // The lanes' states are merged at the end.
      var steps = 0
      while 1 << steps < lanes { steps += 1 }
      total += Double(steps * max(3, operations)) / Double(extent)
    }
    return total
  }

  /// Without lanes.
  var scalarPerElement: Double { Double(operations + loads.count + stores.count) }
}
