import MartletGraph
import MartletTensors

/// What may stand in the brackets of a slice: an integer chooses one position and drops the dimension; see ``SliceRange``
/// for the rest.
public protocol SliceIndex {
  var sliceEntry: SliceRange { get }
}

/// A range of positions along one dimension, a new dimension, or an ellipsis.
///
/// Bounds count from the end where they are negative, and stop at the array's, as in NumPy. Ranges of literals and of
/// `Int` are written as everywhere; inside the brackets `1 ..< -1` leaves out the first element and the last.
public struct SliceRange: SliceIndex, Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    case position(Int)
    case range(from: Int?, to: Int?, by: Int)
    case newAxis
    case ellipsis
  }
  let kind: Kind
  init(_ kind: Kind) { self.kind = kind }
  public var sliceEntry: SliceRange { self }
}

extension Int: SliceIndex {
  public var sliceEntry: SliceRange { SliceRange(.position(self)) }
}

extension SliceIndex where Self == SliceRange {
  /// A new dimension of extent 1.
  public static var newAxis: SliceRange { SliceRange(.newAxis) }
  /// As many whole dimensions as are left.
  public static var ellipsis: SliceRange { SliceRange(.ellipsis) }
  /// The whole dimension.
  public static var all: SliceRange { SliceRange(.range(from: nil, to: nil, by: 1)) }
  /// Every `step`-th position from `start` to before `end`; a negative step goes backwards. A bound that is left out is
  /// the array's.
  public static func stride(from start: Int? = nil, to end: Int? = nil, by step: Int) -> SliceRange {
    SliceRange(.range(from: start, to: end, by: step))
  }
}

// Ranges inside the brackets of a slice may run to a negative bound, which Swift's own may not. Elsewhere Swift's are
// preferred.

@_disfavoredOverload public func ..< (start: Int, end: Int) -> SliceRange {
  SliceRange(.range(from: start, to: end, by: 1))
}
@_disfavoredOverload public func ... (start: Int, end: Int) -> SliceRange {
  SliceRange(.range(from: start, to: end == -1 ? nil : end + 1, by: 1))
}
@_disfavoredOverload public postfix func ... (start: Int) -> SliceRange {
  SliceRange(.range(from: start, to: nil, by: 1))
}
@_disfavoredOverload public prefix func ..< (end: Int) -> SliceRange {
  SliceRange(.range(from: nil, to: end, by: 1))
}
@_disfavoredOverload public prefix func ... (end: Int) -> SliceRange {
  SliceRange(.range(from: nil, to: end == -1 ? nil : end + 1, by: 1))
}

extension Output {
  /// A slice, as in NumPy.
  ///
  /// ```swift
  /// x[0]                              // the first row
  /// x[1..., .ellipsis, ..<3]          // all rows but the first, three columns
  /// x[.newAxis, 1 ..< -1]             // without first and last row, in front a dimension of extent 1
  /// x[.all, .stride(by: -1)]          // columns in reverse order
  /// ```
  public subscript<each Index: SliceIndex>(_ indices: repeat each Index) -> Output {
    var entries: [SliceRange] = []
    repeat entries.append((each indices).sliceEntry)
    return strided(entries)
  }

  /// The element, row or sub-array at `position`, a scalar integer that may be computed when the graph runs.
  public subscript(at position: Output) -> Output { gather(self, position, axis: 0) }

  private func strided(_ entries: [SliceRange]) -> Output {
    var masks = SliceMasks()
    var (begin, end, strides): ([Int], [Int], [Int]) = ([], [], [])
    for (i, entry) in entries.enumerated() {
      var bounds = (first: 0, last: 0, step: 1)
      switch entry.kind {
      case .position(let position):
        masks.shrinkAxis |= 1 << i
        bounds = (position, position &+ 1, 1)
      case .range(let start, let stop, let step):
        if start == nil { masks.begin |= 1 << i }
        if stop == nil { masks.end |= 1 << i }
        bounds = (start ?? 0, stop ?? 0, step)
      case .newAxis: masks.newAxis |= 1 << i
      case .ellipsis: masks.ellipsis |= 1 << i
      }
      begin.append(bounds.first)
      end.append(bounds.last)
      strides.append(bounds.step)
    }
    let type: ElementType = (begin + end + strides).allSatisfy { Int32(exactly: $0) != nil } ? .int32 : .int64
    let operands = [begin, end, strides].map { graph.constant(Tensor($0, shape: [$0.count], as: type)) }
    return graph.addOne(StridedSlice(masks), [self] + operands)
  }
}
