import MartletTensors

/// softmax(scale · q · kᵀ + mask) · v, for each head of each element of a batch, without the scores in memory.
///
/// Operands: q, k, v, the mask if there is one, the selection's condition if it is one; result: as many rows as q, as wide
/// as v. Where an operand's elements lie is said by distances, so that heads may stand side by side in the rows of one
/// matrix.
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

  /// Which scores count. Rows are queries, columns are keys.
  public struct Selection: Hashable, Sendable {
    public enum Condition: Hashable, Sendable {
      /// Those for which a Boolean operand is `keeps`.
      case elements(Strides, keeps: Bool)
      /// Query i's with keys up to i + offset.
      case causal(offset: Int)
    }
    public var condition: Condition
    /// What becomes of the other scores, or with `isAdded` is added to them.
    public var value: Float
    public var isAdded: Bool
    /// Whether the mask is added afterwards.
    public var isBeforeMask: Bool

    public init(_ condition: Condition, value: Float, isAdded: Bool = false, isBeforeMask: Bool = false) {
      (self.condition, self.value, self.isAdded) = (condition, value, isAdded)
      self.isBeforeMask = isBeforeMask
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
  public var selection: Selection?
  /// Whether there are two more results, both [batch, heads, queries], for the gradient: each row's greatest score and
  /// the sum of the exponentials of its scores less that.
  public var keepsStatistics = false

  public init(
    elementType: ElementType, batch: Int, heads: Int, queries: Int, keys: Int, width: Int, valueWidth: Int,
    scale: Float, q: Strides, k: Strides, v: Strides, result: Strides, mask: Strides?, selection: Selection? = nil
  ) {
    self.elementType = elementType
    (self.batch, self.heads, self.queries, self.keys) = (batch, heads, queries, keys)
    (self.width, self.valueWidth, self.scale) = (width, valueWidth, scale)
    (self.q, self.k, self.v, self.result, self.mask) = (q, k, v, result, mask)
    self.selection = selection
  }

  /// Of the Boolean operand, if there is one.
  public var selected: Strides? {
    if case .elements(let strides, _) = selection?.condition { strides } else { nil }
  }

  /// How many operands there are.
  public var operandCount: Int { 3 + (mask == nil ? 0 : 1) + (selected == nil ? 0 : 1) }
}

/// The gradients of attention with respect to q, k and v, with weights computed again from what the forward call kept.
///
/// Operands: those of the attention, the gradient of its result, its result, and its two statistics. Results: the
/// gradients that are asked for, in the order q, k, v. With p the weights and o the result: dv = pᵀ · do,
/// ds = p ∘ (do · vᵀ − rowsum(do ∘ o)), dq = factor · ds · k, dk = factor · dsᵀ · q.
///
/// Dao et al., "FlashAttention", 2022, appendix B.2.
public struct AttentionGradient: Hashable, Sendable {
  public var attention: Attention
  /// What the scores' gradients are multiplied with.
  public var factor: Float
  /// Of the gradient of the result.
  public var resultGradient: Attention.Strides
  public var queryGradient: Attention.Strides?
  public var keyGradient: Attention.Strides?
  public var valueGradient: Attention.Strides?

  public init(
    _ attention: Attention, factor: Float, resultGradient: Attention.Strides, queryGradient: Attention.Strides?,
    keyGradient: Attention.Strides?, valueGradient: Attention.Strides?
  ) {
    (self.attention, self.factor, self.resultGradient) = (attention, factor, resultGradient)
    (self.queryGradient, self.keyGradient, self.valueGradient) = (queryGradient, keyGradient, valueGradient)
  }
}
