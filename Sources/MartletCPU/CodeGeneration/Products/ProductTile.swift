import MartletGraph

/// The innermost part of a matrix product: some rows of a times one panel of b, all of whose sums are in registers.
///
/// Code for a tile is a function that takes the address of a `martlet_tile`. A panel is as wide as a few vector registers and
/// holds for each step of the summed dimension that many elements of b, one step after the other.
struct ProductTile: Hashable, Sendable {
  var rows: Int
  /// The panel's width in vector registers.
  var vectors: Int
  /// Whether elements of one column of a lie side by side, not those of one row.
  var isByColumns: Bool
  /// Whether b is no panel but a matrix in rows, of which the columns are some.
  var isRightStrided: Bool
  /// What is done to the sums when they are complete.
  var activation: Epilogue.Activation?
}
