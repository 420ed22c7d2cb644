import MartletTensors

/// A dense row-major array that a program reads: its element type and extents.
public struct BufferType: Hashable, Sendable {
  public var elementType: ElementType
  public var extents: [Int]
  public init(_ elementType: ElementType, _ extents: [Int]) {
    (self.elementType, self.extents) = (elementType, extents)
  }
  public var elementCount: Int { extents.reduce(1, *) }
  public var byteCount: Int { elementCount * elementType.byteWidth }
}

/// One pure, unscheduled step of a kernel: it defines an array, element by element.
///
/// Scalars of a stage see the axes 0 ..< rank of its result; a reduction's element scalars see its reduced axes after
/// these, numbered rank ..< rank + reduced.
public struct Stage: Sendable {
  public enum Kind: Sendable {
    /// result[axes] = the scalar.
    case map(ScalarID)
    /// result[axes] = the finished state after all iterations over the reduced axes.
    case reduce(Reduction)
    /// As a reduction along one axis of the result that keeps every intermediate state.
    case scan(Scan)
    /// Updates combined into positions that are themselves computed.
    case scatter(Scatter)
  }

  /// For dumps: usually the operation that it came from.
  public var name: String
  public var result: BufferType
  public var kind: Kind

  public init(name: String, result: BufferType, kind: Kind) {
    (self.name, self.result, self.kind) = (name, result, kind)
  }
  public var extents: [Int] { result.extents }
}

/// A reduction with a tuple of scalars as its state: sums, maxima, arg-maxima, Welford's moments.
///
/// `merge` must be associative and commutative (an arg-max compares positions where values are equal) with `initial` as
/// neutral element, and merging `initial` stepped by one element must equal stepping by it: schedules split and reorder
/// the iterations within what the shape fixes.
public struct Reduction: Sendable {
  /// The extents of the reduced axes.
  public var extents: [Int]
  /// The start of the state; constants.
  public var initial: [ScalarID]
  /// The next state, from `state(i)` and scalars over all axes.
  public var step: [ScalarID]
  /// The state of two parts together, from `state(i)` and `other(i)`.
  public var merge: [ScalarID]
  /// The result's element, from `state(i)` and the result's axes.
  public var finish: ScalarID

  public init(extents: [Int], initial: [ScalarID], step: [ScalarID], merge: [ScalarID], finish: ScalarID) {
    (self.extents, self.initial, self.step, self.merge, self.finish) = (extents, initial, step, merge, finish)
  }
}

/// A running combination along one axis of the result.
public struct Scan: Sendable {
  public var axis: Int
  /// From the last position to the first.
  public var isReversed: Bool
  /// Whether position i holds the state before its own step.
  public var isExclusive: Bool
  public var initial: ScalarID
  /// The next state, from `state(0)` and scalars over the result's axes.
  public var step: ScalarID

  public init(axis: Int, isReversed: Bool, isExclusive: Bool, initial: ScalarID, step: ScalarID) {
    self.axis = axis
    self.isReversed = isReversed
    self.isExclusive = isExclusive
    self.initial = initial
    self.step = step
  }
}

/// Updates over a domain of their own, combined into computed positions in the order of that domain.
public struct Scatter: Sendable {
  /// Each element of the result before any update, over the result's axes.
  public var initial: ScalarID
  /// The extents of the updates' domain; the scalars below see its axes as 0 ..< updateExtents.count.
  public var updateExtents: [Int]
  /// The position in the result, an int64 for each of its axes; an update out of bounds is dropped.
  public var position: [ScalarID]
  /// The combined element: from `state(0)`, the element so far, and the update's scalars.
  public var combine: ScalarID

  public init(initial: ScalarID, updateExtents: [Int], position: [ScalarID], combine: ScalarID) {
    self.initial = initial
    self.updateExtents = updateExtents
    self.position = position
    self.combine = combine
  }
}

/// Stages over input buffers, and which of the arrays are results: what a kernel computes, before any schedule.
public struct StageProgram: Sendable {
  public var scalars: ScalarArena
  public var inputs: [BufferType]
  /// A stage loads only from inputs and from stages before it.
  public var stages: [Stage]
  public var outputs: [Source]

  public init(scalars: ScalarArena, inputs: [BufferType], stages: [Stage], outputs: [Source]) {
    (self.scalars, self.inputs, self.stages, self.outputs) = (scalars, inputs, stages, outputs)
  }

  public func type(of source: Source) -> BufferType {
    switch source {
    case .input(let i): inputs[i]
    case .stage(let i): stages[i].result
    }
  }

  /// Whether an index that it checks may end the run.
  public var canFail: Bool { scalars.rows.contains { $0.operation == .checkIndex } }

  /// Whether results depend on the run's parameters, as random numbers do.
  public var readsParameters: Bool { scalars.rows.contains { $0.operation == .parameter } }
}
