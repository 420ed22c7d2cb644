/// What a scalar row is in the code that is being emitted: one value for all lanes, or one for each.
struct RowValue {
  enum Form: Equatable {
    /// `value` is the same in every lane.
    case uniform
    /// Lane i holds `value` + i · stride; `value` is an int64.
    case affine(stride: Int64)
    /// `value` is a vector with an element for each lane.
    case vector
  }

  var value: IRValue
  var form: Form
  /// The deepest level that the row depends on: its code stands there.
  var level: Int
  /// For a uniform or affine int64: a number that divides `value`; 0 if that is zero.
  var divisor: Int64 = 1
  /// The row as a vector, where it was asked for, and of how many lanes.
  var vector: (value: IRValue, lanes: Int)?
}

/// A loop, or a stretch of straight code inside one, that is being emitted.
struct Level {
  /// Index into the emitter's regions, whose blocks take the code of this level.
  var region: Int
  /// The buffers and registers that change while the level's code repeats.
  var mutated: ResourceSet
  /// The rows whose values stand in this level and are forgotten with it.
  var rows: [Int] = []
}

/// A set of buffers and registers of one nest.
struct ResourceSet: Equatable {
  private var words: [UInt64] = []

  static func buffer(_ number: Int) -> ResourceSet { ResourceSet(bit: 2 * number) }
  static func register(_ number: Int) -> ResourceSet { ResourceSet(bit: 2 * number + 1) }

  init() {}
  private init(bit: Int) {
    words = Array(repeating: 0, count: bit / 64 + 1)
    words[bit / 64] = 1 << UInt64(bit % 64)
  }

  var isEmpty: Bool { words.isEmpty }

  mutating func formUnion(_ other: ResourceSet) {
    if other.words.count > words.count {
      words += Array(repeating: 0, count: other.words.count - words.count)
    }
    for i in other.words.indices { words[i] |= other.words[i] }
  }

  func intersects(_ other: ResourceSet) -> Bool {
    zip(words, other.words).contains { $0 & $1 != 0 }
  }
}
