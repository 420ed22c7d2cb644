import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// How an array is sliced, as the five masks of StridedSlice say: bit i of a mask speaks of entry i of `begin`, `end` and
/// `strides`.
struct SliceMasks: Hashable, Sendable {
  /// Entries that start at the first element, or with a negative stride at the last.
  var begin = 0
  /// Entries that reach to the end.
  var end = 0
  /// The entry that stands for as many whole dimensions as are left.
  var ellipsis = 0
  /// Entries that add a dimension of extent 1.
  var newAxis = 0
  /// Entries that choose one position and drop the dimension.
  var shrinkAxis = 0

  static func contains(_ mask: Int, _ entry: Int) -> Bool { mask & (1 << entry) != 0 }
}

/// One dimension in a slicing: of the sliced array, of the result, or of both.
enum SlicedDimension {
  /// A new dimension of extent 1.
  case new
  /// All of a dimension of the array.
  case whole(axis: Int)
  /// One position of a dimension.
  case position(axis: Int, entry: Int)
  /// Every `stride`-th element.
  case range(axis: Int, entry: Int)
}

extension SliceMasks {
  /// What `entryCount` entries do to the dimensions of an array of `rank`, in the order of the result.
  ///
  /// - Throws: a diagnostic if there are more entries than dimensions, or two ellipses.
  func dimensions(entryCount: Int, rank: Int) throws(Diagnostic) -> [SlicedDimension] {
    let ellipses = (0..<entryCount).filter { Self.contains(ellipsis, $0) }
    guard ellipses.count <= 1 else { throw Diagnostic("a slice has more than one ellipsis") }
    let used = (0..<entryCount).count { !Self.contains(newAxis, $0) && !ellipses.contains($0) }
    guard used <= rank else {
      throw Diagnostic("", operand: "begin", required: "at most \(rank) ranges and positions", found: "\(used)")
    }
    var result: [SlicedDimension] = []
    var axis = 0
    func rest() {
      for _ in 0..<rank - used {
        result.append(.whole(axis: axis))
        axis += 1
      }
    }
    for entry in 0..<entryCount {
      if ellipses.first == entry {
        rest()
      } else if Self.contains(newAxis, entry) {
        result.append(.new)
      } else {
        result.append(
          Self.contains(shrinkAxis, entry) ? .position(axis: axis, entry: entry) : .range(axis: axis, entry: entry))
        axis += 1
      }
    }
    if ellipses.isEmpty { rest() }
    return result
  }
}

/// A slicing with what is known of its operands.
struct Slicing {
  var masks: SliceMasks
  var begin: [Dimension]?
  var end: [Dimension]?
  var strides: [Int]?
  /// The number of entries; nil if unknown.
  var entryCount: Int?

  /// - Parameter operands: `begin`, `end` and `strides`.
  init(_ masks: SliceMasks, _ operands: ArraySlice<Operand>) throws(Diagnostic) {
    self.masks = masks
    for (operand, name) in zip(operands, ["begin", "end", "strides"]) {
      let length = try operand.shape(ofRank: 1, name)[0].known
      if let length, let entryCount, length != entryCount {
        throw Diagnostic("", operand: name, required: "\(entryCount) entries, as 'begin' has", found: "\(length)")
      }
      entryCount = entryCount ?? length
    }
    if let entryCount, entryCount > 62 {
      throw Diagnostic("", operand: "begin", required: "62 entries at most", found: "\(entryCount)")
    }
    let first = operands.startIndex
    (begin, end) = (operands[first].elements, operands[first + 1].elements)
    strides = operands[first + 2].integers
    if let strides, strides.contains(0) {
      throw Diagnostic("", operand: "strides", required: "numbers other than zero", found: "\(strides)")
    }
  }

  /// The extents of the result of slicing an array of these extents.
  func extents(_ source: [Dimension]) throws(Diagnostic) -> [Dimension]? {
    guard let entryCount else { return nil }
    var result: [Dimension] = []
    for dimension in try masks.dimensions(entryCount: entryCount, rank: source.count) {
      switch dimension {
      case .new: result.append(1)
      case .whole(let axis): result.append(source[axis])
      case .position(let axis, let entry): try check(entry, source[axis], axis)
      case .range(let axis, let entry): result.append(extent(entry, of: source[axis]))
      }
    }
    return result
  }

  private func check(_ entry: Int, _ extent: Dimension, _ axis: Int) throws(Diagnostic) {
    if let stride = strides?[entry], stride < 0 {
      throw Diagnostic(
        "", operand: "strides", required: "1 where a single position is chosen", found: "\(stride)")
    }
    guard let position = begin?[entry].known, let extent = extent.known else { return }
    guard position >= -extent, position < extent else {
      throw Diagnostic(
        "", operand: "begin", required: "positions within the array, whose extent along axis \(axis) is \(extent)",
        found: "\(position)")
    }
  }

  /// The extent that a range leaves of one dimension; a new unknown where too little is known.
  private func extent(_ entry: Int, of whole: Dimension) -> Dimension {
    guard let stride = strides?[entry] else { return .fresh() }
    let isForward = stride > 0
    let step = Dimension(stride.magnitude > UInt(Int.max) ? .max : abs(stride))
    let first = SliceMasks.contains(masks.begin, entry) ? nil : begin?[entry] ?? .fresh()
    let last = SliceMasks.contains(masks.end, entry) ? nil : end?[entry] ?? .fresh()
    let distance: Dimension
    if isForward {
      switch (first.map { Place($0) } ?? .front(0), last.map { Place($0) } ?? .back(0)) {
      case (.front(let a), .front(let b)): distance = a.known == 0 ? Place.least(b, whole) : Place.least(b, whole) - a
      case (.front(let a), .back(let b)): distance = whole - b - a
      // From the end on, there are at most as many elements as the array has.
      case (.back(let a), .back(let b)) where b.known == 0: distance = Place.least(a, whole)
      case (.back(let a), .back(let b)): distance = whole - b - (whole - a).max(0)
      case (.back(let a), .front(let b)): distance = Place.least(b, whole) - (whole - a).max(0)
      default: return .fresh()
      }
      return Place.positive(distance).ceilDivided(by: step)
    }
    let top = whole - 1
    let start: Dimension
    switch first.map({ Place($0) }) ?? .back(1) {
    case .front(let a): start = a.min(top)
    case .back(let a): start = a.known == 1 ? top : (whole - a).max(-1)
    case .unknown: return .fresh()
    }
    let stop: Dimension
    switch last.map({ Place($0) }) {
    case nil: stop = -1
    case .front(let b): stop = b.min(top)
    case .back(let b): stop = (whole - b).max(-1)
    case .unknown: return .fresh()
    }
    let count = start - stop
    return Place.positive(count).ceilDivided(by: step)
  }

  /// A bound, counted from the front or from the end of its dimension.
  private enum Place {
    case front(Dimension)
    case back(Dimension)
    /// Nobody can say whether it is negative.
    case unknown

    init(_ bound: Dimension) {
      if let number = bound.known {
        self = number < 0 ? .back(-bound) : .front(bound)
      } else {
        self = bound.isExtentLike ? .front(bound) : .unknown
      }
    }

    /// The smaller of two, where extents are not negative.
    static func least(_ a: Dimension, _ whole: Dimension) -> Dimension { a.known == 0 ? 0 : a.min(whole) }
    static func positive(_ a: Dimension) -> Dimension { a.isExtentLike ? a : a.max(0) }
  }

  /// For known operands and extents, the position in the sliced array along each of its axes: of the result's index `i`
  /// along `resultAxis`, `first + i * step`; the result's axis is nil where a single position is chosen.
  func steps(_ source: [Int]) throws(Diagnostic) -> [(resultAxis: Int?, first: Int, step: Int)] {
    guard let entryCount, let begin, let strides else {
      throw Diagnostic(
        "must be known when the graph is compiled", operand: "begin", hint: "choose positions at run time with gather")
    }
    var result: [(resultAxis: Int?, first: Int, step: Int)] = []
    var resultAxis = 0
    for dimension in try masks.dimensions(entryCount: entryCount, rank: source.count) {
      switch dimension {
      case .new: resultAxis += 1
      case .whole:
        result.append((resultAxis, 0, 1))
        resultAxis += 1
      case .position(let axis, let entry):
        try check(entry, Dimension(source[axis]), axis)
        guard let position = begin[entry].known else { throw Self.unknown }
        result.append((nil, position < 0 ? position + source[axis] : position, 1))
      case .range(let axis, let entry):
        let (extent, step) = (source[axis], strides[entry])
        let top = step > 0 ? extent : extent - 1
        let bottom = step > 0 ? 0 : -1
        var first = step > 0 ? 0 : top
        if !SliceMasks.contains(masks.begin, entry) {
          guard let bound = begin[entry].known else { throw Self.unknown }
          first = bound < 0 ? max(bound + extent, bottom) : min(bound, top)
        }
        result.append((resultAxis, first, step))
        resultAxis += 1
      }
    }
    return result
  }

  private static var unknown: Diagnostic {
    Diagnostic("must be known when the graph is compiled", operand: "begin", hint: "choose positions with gather")
  }
}

extension Dimension {
  /// Whether the dimension is made of extents in a way that shows that it is not negative.
  var isExtentLike: Bool {
    terms.allSatisfy { term in term.coefficient > 0 && term.factors.allSatisfy { $0.atom.form.isExtentLike } }
  }
}

extension Dimension.Atom.Form {
  fileprivate var isExtentLike: Bool {
    switch self {
    case .symbol: true
    case .minimum(let a, let b), .product(let a, let b): a.isExtentLike && b.isExtentLike
    case .maximum(let a, let b): a.isExtentLike || b.isExtentLike
    case .floorQuotient(let a, let b): a.isExtentLike && b.known ?? 0 > 0
    }
  }
}
