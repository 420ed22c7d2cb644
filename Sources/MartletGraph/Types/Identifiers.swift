/// The address of a node's row in its graph.
public struct NodeID: Hashable, Sendable, Comparable {
  public var index: Int32
  @inlinable public init(_ index: Int) { self.index = Int32(truncatingIfNeeded: index) }
  @inlinable public static func < (a: NodeID, b: NodeID) -> Bool { a.index < b.index }
}

/// The address of a value, a result of a node, in its graph.
public struct ValueID: Hashable, Sendable, Comparable {
  public var index: Int32
  @inlinable public init(_ index: Int) { self.index = Int32(truncatingIfNeeded: index) }
  @inlinable public static func < (a: ValueID, b: ValueID) -> Bool { a.index < b.index }
}

/// The address of an interned operation: what it is with all its attributes.
public struct OperationID: Hashable, Sendable, Comparable {
  public var index: Int32
  @inlinable public init(_ index: Int) { self.index = Int32(truncatingIfNeeded: index) }
  @inlinable public static func < (a: OperationID, b: OperationID) -> Bool { a.index < b.index }
}
