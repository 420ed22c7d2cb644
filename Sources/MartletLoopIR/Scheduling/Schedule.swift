/// How the stages of a program are run: a value beside the program, to be compared, hashed, printed and tuned.
public struct Schedule: Hashable, Codable, Sendable {
  /// A long reduction with few results, run as `chunks` partial reductions that are merged afterwards.
  public struct Split: Hashable, Codable, Sendable {
    /// The stage, numbered as in the program before any split, with kept scalars as stages.
    public var stage: Int
    /// Which of the reduced axes is cut.
    public var axis: Int
    public var chunks: Int
    public init(stage: Int, axis: Int, chunks: Int) { (self.stage, self.axis, self.chunks) = (stage, axis, chunks) }

    /// About `wanted` parts of a reduction over axes of these extents, all of one length if possible; nil if there is nothing to
    /// cut. The first axis that is long enough is cut, or else the longest.
    package init?(stage: Int, extents: [Int], wanted: Int) {
      let longest = extents.indices.max { extents[$0] < extents[$1] }
      guard let axis = extents.firstIndex(where: { $0 >= wanted }) ?? longest else { return nil }
      let upper = min(wanted, extents[axis])
      let even = stride(from: upper, to: max(1, upper / 2), by: -1).first { extents[axis] % $0 == 0 }
      self.init(stage: stage, axis: axis, chunks: even ?? upper)
      if chunks < 2 { return nil }
    }
  }

  /// Where vector lanes come from.
  public enum Vector: Hashable, Codable, Sendable {
    /// Iterations one by one; nothing is vectorised.
    case none
    /// Lanes run along an axis that the stages of the group share: number `dimension` of the shared axes after those that can
    /// be are collapsed into one. A phase's iteration takes `block` of its indices.
    case shared(dimension: Int, lanes: Int, block: Int)
    /// Lanes run along an axis that each stage has to itself, within an iteration.
    case own(lanes: Int)
  }

  /// Stretches of a shared axis that an iteration goes through around its lanes, for transpositions: what the lanes of one
  /// index read from cache lines far apart, those of the next indices find beside it.
  public struct Tile: Hashable, Codable, Sendable {
    /// The number of the collapsed shared axis, before that of the lanes.
    public var dimension: Int
    public var size: Int
    public init(dimension: Int, size: Int) { (self.dimension, self.size) = (dimension, size) }
  }

  /// Consecutive stages that run in one loop over the leading axes that they share.
  public struct Group: Hashable, Codable, Sendable {
    /// The stages, numbered as in the program with kept scalars and splits.
    public var stages: Range<Int>
    /// The number of leading axes of the results that are shared.
    public var shared: Int
    public var vector: Vector
    /// With lanes along a shared axis only.
    public var tile: Tile?
    /// The fewest iterations of the phase that are worth a worker of their own.
    public var grain: Int

    public init(stages: Range<Int>, shared: Int, vector: Vector = .none, tile: Tile? = nil, grain: Int = 1) {
      (self.stages, self.shared, self.vector, self.tile, self.grain) = (stages, shared, vector, tile, grain)
    }
  }

  /// Whether costly scalars that several stages of a row compute are computed once and kept, as a stage of their own.
  public var keepsSharedScalars: Bool
  public var splits: [Split]
  public var groups: [Group]
  /// The outputs that are stored past the caches, in order. No stage reads them but in the unit that computes them.
  public var streamed: [Int]

  public init(keepsSharedScalars: Bool = false, splits: [Split] = [], groups: [Group], streamed: [Int] = []) {
    (self.keepsSharedScalars, self.splits, self.groups) = (keepsSharedScalars, splits, groups)
    self.streamed = streamed
  }
}

extension StageProgram {
  /// The program whose stages a schedule's groups number: with kept scalars, splits, and siblings side by side.
  func prepared(for schedule: Schedule) -> StageProgram {
    (schedule.keepsSharedScalars ? keepingSharedScalars() ?? self : self).splitting(schedule.splits)
  }
}

extension Schedule: CustomStringConvertible {
  public var description: String {
    let cuts = splits.map { "split s\($0.stage) axis \($0.axis) into \($0.chunks)" }
    let runs = groups.map { group in
      let vector =
        switch group.vector {
        case .none: "scalar"
        case .shared(let dimension, let lanes, let block): "vector(\(lanes)) along shared \(dimension) by \(block)"
        case .own(let lanes): "vector(\(lanes)) inside"
        }
      return "run s\(group.stages.lowerBound)...s\(group.stages.upperBound - 1) over \(group.shared) shared axes, "
        + "\(vector)" + (group.tile.map { ", tiles of \($0.size) along shared \($0.dimension)" } ?? "")
        + ", grain \(group.grain)"
    }
    let kept = keepsSharedScalars ? ["keep shared scalars"] : []
    let past = streamed.map { "stream output \($0)" }
    return (kept + cuts + runs + past).joined(separator: "\n") + "\n"
  }
}
