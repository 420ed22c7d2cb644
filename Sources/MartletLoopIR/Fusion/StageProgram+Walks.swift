import MartletTensors

extension StageProgram {
  /// How a stage goes through an input. Stages with equal walks can do so in one loop.
  public struct Walk: Hashable, Sendable {
    /// The extents of the stage's result, then those that it reduces, without those of extent 1.
    public var extents: [Int]
    /// How many of them are reduced.
    public var reducedCount: Int
    /// How far the place in the input moves along each; nil where it does not always move as far.
    public var strides: [Int64?]
    /// The number of iterations over leading axes of the input that are the stage's own leading axes too.
    public var sharedIterations: Int

    /// Whether the stage reads each element once.
    public var isOnceEach: Bool { strides.allSatisfy { $0 != nil && $0 != 0 } }
  }

  /// For each map and reduction that reads an input, how it does so; empty if a scan or a scatter reads it too.
  public func walks(ofInput input: Int) -> [Walk] {
    let accesses = StageAccesses(self)
    var walks: [Walk] = []
    for stage in stages {
      let loads = accesses.loads(stage.roots).filter { scalars[$0].payload == Source.input(input).payload }
      guard let first = loads.first else { continue }
      let reduced: [Int]
      switch stage.kind {
      case .map: reduced = []
      case .reduce(let reduction): reduced = reduction.extents
      case .scan, .scatter: return []
      }
      let all = stage.extents + reduced
      let axes = all.indices.filter { all[$0] != 1 }
      let offset = accesses.offset(of: first)
      let shared = loads.map { accesses.identicalIndices(of: $0, in: stage.extents) }.min() ?? 0
      walks.append(
        Walk(
          extents: axes.map { all[$0] }, reducedCount: reduced.count { $0 != 1 },
          strides: axes.map { accesses.stride(of: offset, along: $0) },
          sharedIterations: stage.extents.prefix(shared).reduce(1, multipliedSaturating)))
    }
    return walks
  }

  /// The most iterations that one of the stages has.
  public var largestDomain: Int {
    let accesses = StageAccesses(self)
    return stages.reduce(0) { max($0, accesses.domain(of: $1).reduce(1, multipliedSaturating)) }
  }

  /// An estimate of the work of all stages, in floating-point additions.
  public var work: Int {
    let accesses = StageAccesses(self)
    return stages.reduce(0) { min($0 + accesses.work($1), 1 << 60) }
  }

  /// What an element of the only stage costs, in floating-point additions; nil if there are several, or if it is no map.
  public var elementCost: Int? {
    guard stages.count == 1, case .map(let value) = stages[0].kind else { return nil }
    return StageAccesses(self).cost([value])
  }

  /// Whether an output is what a map or a reduction computes.
  public func isComputedInLoops(output: Int) -> Bool {
    guard case .stage(let number) = outputs[output] else { return false }
    switch stages[number].kind {
    case .map, .reduce: return true
    case .scan, .scatter: return false
    }
  }
}
