import MartletTensors

extension Schedule {
  /// Schedules that differ from this one in one respect and compute the same bits, to be tried on a machine: the lists of
  /// alternatives in each respect that there is.
  ///
  /// What they vary is how much an iteration takes, how many iterations a worker, how wide the lanes of maps are, tiles,
  /// and stores past the caches. What would change the order of sums stays: splits, and the lanes of reductions.
  package func variants(for program: StageProgram, machine: MachineShape) -> [[Schedule]] {
    let prepared = program.prepared(for: self)
    let scheduler = Scheduler(prepared, machine)
    var lists: [[Schedule]] = []
    for number in groups.indices {
      let group = groups[number]
      let units = StageUnit.units(of: group.stages, scheduler.accesses)
      let extents = scheduler.accesses.collapsedShared(group.shared, of: group.stages.map { prepared.stages[$0] })
        .map { prepared.stages[group.stages.lowerBound].extents[$0].reduce(1, *) }
      for alternatives in [
        group.withOtherBlocks(extents), group.withOtherTiles(extents),
        units.allSatisfy { $0.kind == .maps } ? group.withOtherLanes() : [], group.withOtherGrains(extents),
      ] where !alternatives.isEmpty {
        lists.append(
          alternatives.map {
            var schedule = self
            schedule.groups[number] = $0
            return schedule
          })
      }
    }
    let streamable = scheduler.streamable(groups, leastBytes: Self.leastStreamed)
    let choices = [[], streamable].filter { $0 != streamed }
    if !streamable.isEmpty, !choices.isEmpty {
      lists.append(
        choices.map {
          var schedule = self
          schedule.streamed = $0
          return schedule
        })
    }
    return lists
  }

  /// Arrays of fewer bytes are found in a cache by whoever reads them.
  private static let leastStreamed = 1 << 20
}

extension Schedule.Group {
  /// Iterations that take more or less of the axis along which the lanes run. The work of a worker stays.
  fileprivate func withOtherBlocks(_ extents: [Int]) -> [Self] {
    guard tile == nil, case .shared(let dimension, let lanes, let block) = vector else { return [] }
    let extent = extents[dimension]
    let blocks = [1, 2, 8, 16].map { max(lanes, block * $0 / 4 / lanes * lanes) }.map { min($0, extent) }
    return Set(blocks).subtracting([block]).sorted().filter { $0 > 0 }.map {
      var group = self
      group.vector = .shared(dimension: dimension, lanes: lanes, block: $0)
      group.grain = max(1, grain * block / $0)
      return group
    }
  }

  fileprivate func withOtherTiles(_ extents: [Int]) -> [Self] {
    guard let tile else { return [] }
    return [8, 16, 32, 64].filter { $0 != tile.size && $0 <= extents[tile.dimension] }.map {
      var group = self
      group.tile?.size = $0
      group.grain = max(1, grain * tile.size / $0)
      return group
    }
  }

  /// The widest lanes of maps, four registers of single precision.
  static let mostLanes = 64

  fileprivate func withOtherLanes() -> [Self] {
    let factors = [(1, 2), (2, 1), (4, 1)]
    switch vector {
    case .none: return []
    case .own(let lanes):
      return factors.map { lanes * $0.0 / $0.1 }.filter { $0 > 1 && $0 <= Self.mostLanes }.map {
        var group = self
        group.vector = .own(lanes: $0)
        return group
      }
    case .shared(let dimension, let lanes, let block):
      return factors.map { lanes * $0.0 / $0.1 }.filter { $0 > 1 && $0 <= min(block, Self.mostLanes) }.map {
        var group = self
        group.vector = .shared(dimension: dimension, lanes: $0, block: block)
        return group
      }
    }
  }

  /// More and fewer iterations for a worker, and all for one.
  fileprivate func withOtherGrains(_ extents: [Int]) -> [Self] {
    let all = extents.reduce(1, *)
    return Set([grain / 4, grain * 4, all].map { min(max(1, $0), max(1, all)) }).subtracting([grain]).sorted().map {
      var group = self
      group.grain = $0
      return group
    }
  }
}
