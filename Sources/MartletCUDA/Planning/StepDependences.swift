/// Finds out which steps of a segment must wait for which: those that read for the ones that wrote, those that write for the
/// ones that used the bytes before.
struct StepDependences {
  /// The steps that used bytes last.
  private struct Uses {
    var writer: Int?
    var readers: [Int] = []
  }
  private struct Memory: Hashable {
    var space: DeviceRange.Space
    var isOnHost: Bool
  }

  private var uses: [Memory: RangeMap<Uses>] = [:]

  /// The steps before that a step needs; steps come in their order.
  mutating func add(_ step: DeviceStep, number: Int) -> Set<Int> {
    var needed: Set<Int> = []
    for access in step.reads {
      uses[Memory(space: access.range.space, isOnHost: access.isOnHost), default: RangeMap()]
        .update(access.range.bytes, initial: Uses()) { _, uses in
          if let writer = uses.writer { needed.insert(writer) }
          if uses.readers.last != number { uses.readers.append(number) }
        }
    }
    for access in step.writes {
      uses[Memory(space: access.range.space, isOnHost: access.isOnHost), default: RangeMap()]
        .update(access.range.bytes, initial: Uses()) { _, uses in
          if let writer = uses.writer { needed.insert(writer) }
          needed.formUnion(uses.readers)
          uses = Uses(writer: number)
        }
    }
    needed.remove(number)
    return needed
  }
}
