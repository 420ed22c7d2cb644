import MartletTensors

@testable import MartletLoopIR

/// A chain of random operations, each a program of its own, composed and fused.
struct RandomProgram {
  var random: SplitMix
  var parts: [StageProgram.Part] = []
  var values: [(wire: StageProgram.Wire, extents: [Int])]
  let inputs: [BufferType]

  /// Of inputs [m, n], [n] and [m, 1].
  init(seed: UInt64, _ m: Int = 3, _ n: Int = 4) {
    random = SplitMix(seed: seed)
    inputs = [BufferType(.float32, [m, n]), BufferType(.float32, [n]), BufferType(.float32, [m, 1])]
    values = inputs.enumerated().map { (.input($0), $1.extents) }
    for _ in 0..<8 { step() }
  }

  private mutating func step() {
    let (x, extents) = values[Int.random(in: 0..<values.count, using: &random)]
    switch Int.random(in: 0..<6, using: &random) {
    case 0:
      add([x], [extents], extents) { b, axes in b.exp(b.negate(b.absolute(b.load(.input(0), .float32, at: axes)))) }
    case 1:
      let other = values.last { $0.extents == extents } ?? (x, extents)
      add([x, other.wire], [extents, extents], extents) { b, axes in
        b.add(b.load(.input(0), .float32, at: axes), b.load(.input(1), .float32, at: axes))
      }
    case 2:
      // The axes in reverse order.
      add([x], [extents], extents.reversed()) { b, axes in b.load(.input(0), .float32, at: axes.reversed()) }
    case 3:
      // One element of padding at both ends of the last axis.
      guard let last = extents.last, extents.count < 4 else { return }
      add([x], [extents], extents.dropLast() + [last + 2]) { b, axes in
        let index = b.subtract(axes[axes.count - 1], b.integer(1))
        let inside = b.and(b.lessEqual(b.integer(0), index), b.less(index, b.integer(last)))
        return b.load(.input(0), .float32, at: axes.dropLast() + [index], if: inside)
      }
    case 4:
      guard extents.count > 1 else { return }
      reduce(x, extents)
    default:
      // A broadcast along a new leading axis.
      guard extents.count < 3 else { return }
      add([x], [extents], [2] + extents) { b, axes in b.load(.input(0), .float32, at: Array(axes.dropFirst())) }
    }
  }

  private mutating func add(
    _ wires: [StageProgram.Wire], _ inputs: [[Int]], _ extents: [Int],
    _ body: (inout ScalarBuilder, [Scalar]) -> Scalar
  ) {
    var b = StageBuilder(inputs: inputs.map { BufferType(.float32, $0) })
    let stage = b.map("map", .float32, extents, body)
    append(b.finish([stage]), wires, extents)
  }

  private mutating func reduce(_ x: StageProgram.Wire, _ extents: [Int]) {
    var b = StageBuilder(inputs: [BufferType(.float32, extents)])
    let kept = Array(extents.dropLast())
    let stage = b.reduce("sum", .float32, kept, over: [extents[extents.count - 1]], .sum) { b, axes, reduced in
      b.load(.input(0), .float32, at: axes + reduced)
    }
    append(b.finish([stage]), [x], kept)
  }

  private mutating func append(_ program: StageProgram, _ wires: [StageProgram.Wire], _ extents: [Int]) {
    values.append((.part(parts.count, output: 0), extents))
    parts.append(StageProgram.Part(program: program, inputs: wires))
  }

  var composed: StageProgram {
    StageProgram.composed(parts, inputs: inputs, outputs: values.suffix(2).map(\.wire))
  }
}

extension Schedule {
  /// Any legal schedule of a program: splits, groups and lanes at random.
  static func random(for program: StageProgram, _ machine: MachineShape, _ g: inout SplitMix) -> Schedule {
    var splits: [Split] = []
    for (number, stage) in program.stages.enumerated() {
      guard case .reduce(let reduction) = stage.kind, Bool.random(using: &g),
        let axis = reduction.extents.indices.randomElement(using: &g), reduction.extents[axis] > 1
      else { continue }
      splits.append(Split(stage: number, axis: axis, chunks: Int.random(in: 2...reduction.extents[axis], using: &g)))
    }
    let split = program.splitting(splits)
    let scheduler = Scheduler(split, machine)
    let isGrouped = Bool.random(using: &g)
    let groups =
      isGrouped
      ? scheduler.groups()
      : split.stages.enumerated().map { Group(stages: $0..<$0 + 1, shared: $1.extents.count) }
    return Schedule(
      splits: splits,
      groups: groups.map { group in
        var group = group
        // Fewer axes may always be shared.
        if group.stages.allSatisfy({ split.stages[$0].isMapOrReduction }) {
          group.shared = Int.random(in: 0...group.shared, using: &g)
        }
        let stages = group.stages.map { split.stages[$0] }
        let runs = StageAccesses(split).collapsedShared(group.shared, of: stages)
        let lanes = [2, 4, 8, 16].randomElement(using: &g)!
        switch Int.random(in: 0..<4, using: &g) {
        case 0: group.vector = .none
        case 1: group.vector = .own(lanes: lanes)
        default:
          guard let dimension = runs.indices.randomElement(using: &g) else { break }
          let extent = stages[0].extents[runs[dimension]].reduce(1, *)
          let block = Int.random(in: 1...max(1, extent), using: &g)
          group.vector = .shared(dimension: dimension, lanes: lanes, block: block)
          if dimension > 0, Bool.random(using: &g) {
            let outer = Int.random(in: 0..<dimension, using: &g)
            let length = stages[0].extents[runs[outer]].reduce(1, *)
            group.tile = Tile(dimension: outer, size: Int.random(in: 1...max(1, length), using: &g))
          }
        }
        return group
      })
  }
}

extension Stage {
  fileprivate var isMapOrReduction: Bool {
    switch kind {
    case .map, .reduce: true
    case .scan, .scatter: false
    }
  }
}
