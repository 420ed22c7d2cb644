import MartletLoopIR

/// How the stages of a program are run on a GPU: a value beside the program, as `Schedule` is for processors.
///
/// Sums depend on the program and this alone, not on the device, so that results have the same bits everywhere.
public struct CUDASchedule: Hashable, Sendable {
  /// How the elements of a group's stages are dealt to threads.
  public enum Shape: Hashable, Sendable {
    /// Maps over one domain: a thread for `lanes` neighbouring elements, with intermediates in registers.
    case elements(lanes: Int)
    /// A map that reads along another axis than it writes: blocks of `size` × `size` elements, read along axis `axis` of the
    /// result's and passed through shared memory.
    case tiles(axis: Int, size: Int)
    /// Stages that share leading axes: `threads` of them work on `width` neighbouring indices over these axes. Up to 32
    /// threads are part of a warp, more are a block.
    case team(shared: Int, width: Int, threads: Int)
    /// Stages that share leading axes and that beyond them have one row of elements of the same length each: `threads` of them
    /// work on a row. A thread takes `lanes` neighbouring elements at a time, and does so `steps` times, with all that it reads
    /// and computes in registers; or, if `steps` is 0, as often as it takes, with nothing kept from one time to the next.
    case rows(shared: Int, threads: Int, lanes: Int, steps: Int)
    /// A scan: a thread for each line along its axis.
    case lines
    /// A scan whose steps can be taken in any grouping: a warp or a block of `threads` for each line, which is cut into
    /// `chunks` for different blocks. A thread takes `lanes` neighbouring elements at a time.
    case scan(threads: Int, lanes: Int, chunks: Int)
    /// A scatter: each of `ranges` blocks owns a stretch of the result along its leading axes, and combines the updates
    /// that fall into it in their order. `width` threads share a position's trailing elements.
    case owners(ranges: Int, width: Int)
    /// A scatter: a thread for each update, which is combined by an atomic operation, in no fixed order.
    case atomics
  }

  /// Consecutive stages that run in one launch (a scatter, and a scan in chunks, in two).
  public struct Group: Hashable, Sendable {
    /// The stages, numbered as in the program after its splits.
    public var stages: Range<Int>
    public var shape: Shape
    /// Whether these elements have blocks of their own in the launch of the group before, also of elements, which they do not
    /// need.
    public var joinsLaunch: Bool
    public init(stages: Range<Int>, shape: Shape, joinsLaunch: Bool = false) {
      (self.stages, self.shape, self.joinsLaunch) = (stages, shape, joinsLaunch)
    }
  }

  /// Long reductions with few results, run in parts that a later launch merges.
  public var splits: [Schedule.Split]
  public var groups: [Group]

  public init(splits: [Schedule.Split] = [], groups: [Group]) { (self.splits, self.groups) = (splits, groups) }
}

extension CUDASchedule: CustomStringConvertible {
  public var description: String {
    let cuts = splits.map { "split s\($0.stage) axis \($0.axis) into \($0.chunks)" }
    let runs = groups.map { group in
      let how =
        switch group.shape {
        case .elements(let lanes): "elements by \(lanes)"
        case .tiles(let axis, let size): "tiles of \(size) along axis \(axis)"
        case .team(let shared, let width, let threads):
          "\(threads) threads for \(width) of \(shared) shared axes"
        case .rows(let shared, let threads, let lanes, let steps):
          "\(threads) threads for rows of \(shared) shared axes by \(lanes), "
            + (steps > 0 ? "\(steps) times in registers" : "in loops")
        case .lines: "lines"
        case .scan(let threads, let lanes, let chunks):
          "\(threads) threads for lines\(chunks > 1 ? " in \(chunks) chunks" : "") by \(lanes)"
        case .atomics: "atomics"
        case .owners(let ranges, let width): "\(ranges) owners of \(width) columns"
        }
      return
        "\(group.joinsLaunch ? "and" : "run") s\(group.stages.lowerBound)...s\(group.stages.upperBound - 1): \(how)"
    }
    return (cuts + runs).joined(separator: "\n") + "\n"
  }
}
