import MartletTensors

/// What surrounds images under a window that moves over them.
public enum Padding: Hashable, Sendable {
  /// Nothing: the window stays inside.
  case valid
  /// As many zeros as it takes for ⌈extent / stride⌉ positions, the odd one at the end.
  case same
  /// The given numbers of rows and columns.
  case explicit(top: Int, bottom: Int, left: Int, right: Int)
}

/// A number for each of the two dimensions of an image: `2`, or `[1, 2]` for height and width.
public struct PerDimension: Hashable, Sendable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
  public var height: Int
  public var width: Int
  public init(height: Int, width: Int) { (self.height, self.width) = (height, width) }
  /// The same number for both.
  public init(_ both: Int) { self.init(height: both, width: both) }
  public init(integerLiteral value: Int) { self.init(value) }
  /// Height, then width.
  public init(arrayLiteral elements: Int...) {
    precondition(elements.count == 2, "a height and a width are needed")
    self.init(height: elements[0], width: elements[1])
  }
}
