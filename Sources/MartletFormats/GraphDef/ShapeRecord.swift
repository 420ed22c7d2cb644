import MartletTensors

/// A `TensorShapeProto`: the shape in an attribute or a tensor of a GraphDef.
public struct ShapeRecord: Hashable, Sendable {
  /// One dimension of a shape.
  public struct Dimension: Hashable, Sendable {
    /// The extent, or -1 where it is not known.
    public var size: Int64
    /// A name, which TensorFlow carries and does not use.
    public var name: String

    public init(size: Int64, name: String = "") {
      self.size = size
      self.name = name
    }
  }

  /// The dimensions, outermost first; none where the rank is not known.
  public var dimensions: [Dimension]
  /// Whether not even the rank is known.
  public var hasUnknownRank: Bool
  /// Fields that Martlet does not read.
  public var otherFields: [FieldRecord] = []

  public init(dimensions: [Dimension], hasUnknownRank: Bool = false) {
    self.dimensions = dimensions
    self.hasUnknownRank = hasUnknownRank
  }

  /// A shape whose extents are all known.
  public init(_ extents: [Int]) {
    self.init(dimensions: extents.map { Dimension(size: Int64($0)) })
  }

  /// A shape of which nothing is known.
  public static let unknown = ShapeRecord(dimensions: [], hasUnknownRank: true)

  /// The extents where all are known, else nil.
  public var extents: [Int]? {
    if hasUnknownRank || dimensions.contains(where: { $0.size < 0 }) { return nil }
    return dimensions.map { Int($0.size) }
  }
}
