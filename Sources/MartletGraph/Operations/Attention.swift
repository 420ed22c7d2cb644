import MartletTensors

/// softmax(scale · q · kᵀ + mask) · v, for each head of each element of a batch, without the scores in memory.
///
/// Operands: q, k, v, the mask if there is one; result: as many rows as q, as wide as v. Where an operand's elements lie
/// is said by distances, so that heads may stand side by side in the rows of one matrix.
///
/// Vaswani et al., "Attention Is All You Need", 2017; Milakov and Gimelshein, "Online normalizer calculation for
/// softmax", 2018; Dao et al., "FlashAttention", 2022.
public struct Attention: Hashable, Sendable {
  /// The distances, in elements, between neighbours along each dimension; 0 where all are the same.
  public struct Strides: Hashable, Sendable {
    public var batch: Int
    public var head: Int
    public var row: Int
    public var column: Int

    public init(batch: Int, head: Int, row: Int, column: Int) {
      (self.batch, self.head, self.row, self.column) = (batch, head, row, column)
    }
  }

  public var elementType: ElementType
  public var batch: Int
  public var heads: Int
  /// Rows of q and of the result.
  public var queries: Int
  /// Rows of k and of v.
  public var keys: Int
  /// Columns of q and of k.
  public var width: Int
  /// Columns of v and of the result.
  public var valueWidth: Int
  public var scale: Float
  public var q: Strides
  public var k: Strides
  public var v: Strides
  public var result: Strides
  /// Of what is added to the scores, whose rows are queries and whose columns are keys; nil for nothing.
  public var mask: Strides?

  public init(
    elementType: ElementType, batch: Int, heads: Int, queries: Int, keys: Int, width: Int, valueWidth: Int,
    scale: Float, q: Strides, k: Strides, v: Strides, result: Strides, mask: Strides?
  ) {
    self.elementType = elementType
    (self.batch, self.heads, self.queries, self.keys) = (batch, heads, queries, keys)
    (self.width, self.valueWidth, self.scale) = (width, valueWidth, scale)
    (self.q, self.k, self.v, self.result, self.mask) = (q, k, v, result, mask)
  }
}
