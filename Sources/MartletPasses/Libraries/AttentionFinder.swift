import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletTensors

/// Finds attention in a function: the product of a softmax of scaled and masked scores, themselves a product, with
/// values; and with it its gradient. Transposes in front of products and behind them become distances between elements.
struct AttentionFinder {
  /// One attention.
  struct Call {
    /// The node whose result it computes.
    var root: NodeID
    var contract: Attention
    /// q, k, v, the mask and the selection's condition.
    var operands: [ValueID]
    /// The operations it stands for, in order.
    var members: [NodeID]
    /// The masked scores.
    var scores: ValueID
    /// What masks but is no operand, since the contract says it all.
    var causalMask: ValueID?
    /// Masks that may be causal.
    var masks: [ValueID]
    var gradient: Gradient?
  }

  /// An attention's gradient.
  struct Gradient {
    /// The nodes whose results it computes, in the contract's order.
    var roots: [NodeID]
    var contract: AttentionGradient
    var resultGradient: ValueID
    /// The operations it stands for beside those of the attention, in order.
    var members: [NodeID]
  }

  /// A product's operands, and whether the last two axes of each are exchanged.
  struct Product {
    var operands: [ValueID]
    var isTransposed: [Bool]
  }

  /// Scores before the softmax, as an expression.
  struct Scores {
    var product: NodeID
    var scale = 1.0
    var mask: ValueID?
    var selection: Selection?
    var members: [NodeID] = []
  }

  /// What takes the place of scores that a condition excludes.
  struct Selection {
    var condition: ValueID
    var keeps: Bool
    var value: Double
    var isBeforeMask: Bool
  }

  let body: GraphStorage
  let order: [NodeID]
  let uses: ValueUses
  let views: MatrixViews
  private let bands: [ValueID: CausalBand]

  /// Nil where there is no softmax.
  ///
  /// - Parameter bands: the masks that are known to be causal.
  init?(_ function: GraphFunction, bands: [ValueID: CausalBand] = [:]) {
    body = function.body
    order = body.topologicalOrder(results: function.results, targets: function.targets)
    guard order.contains(where: { [body] in body.operation(of: $0) is Softmax }) else { return nil }
    uses = ValueUses(function, order)
    views = MatrixViews(body: body, uses: uses)
    self.bands = bands
  }

  /// All there are, in order.
  func calls() -> [Call] {
    var positions = [Int](repeating: 0, count: body.nodeCount)
    for (i, node) in order.enumerated() { positions[Int(node.index)] = i }
    return order.compactMap { call($0, positions) }
  }

  private func call(_ node: NodeID, _ positions: [Int]) -> Call? {
    guard let product = product(node), !product.isTransposed[0] else { return nil }
    let softmax = body.producer(of: product.operands[0])
    guard body.operation(of: softmax) is Softmax, body.controls(of: softmax).isEmpty,
      let scores = scores(under: body.operands(of: softmax)[0]), let first = self.product(scores.product),
      let shape = views.extents(body.results(of: scores.product)[0]), let result = body.results(of: node).first,
      let resultShape = views.extents(result)
    else { return nil }
    let outer = Array(shape.dropLast(2))
    let read = [first.operands[0], first.operands[1], product.operands[1]]
    guard read.allSatisfy({ views.extents($0)?.dropLast(2) == outer[...] }) else { return nil }
    let isTrained = uses.count(product.operands[0]) > 1
    // The gradient of what is multiplied with a factor is wanted, so it stays as it is.
    guard let q = views.read(read[0], throughFactors: !isTrained),
      let k = views.read(read[1], throughFactors: !isTrained), let v = views.read(read[2], throughFactors: false),
      let left = views.extents(read[0]), let written = views.written(result), let dense = views.dense(result)
    else { return nil }
    var masking = Masking(scores)
    masking.simplify(bands)
    guard let mask = maskView(masking.mask, shape, .float32), let condition = maskView(masking.condition, shape, .bool)
    else { return nil }
    let found = GradientParts(self, node, product, softmax, scores, first)
    if isTrained, found == nil { return nil }
    var axes: [[MatrixViews.Axis]] = [mask, condition].compactMap { $0.view?.outer }
    axes += [q, k, v, written].map(\.outer) + (found?.views.map(\.outer) ?? [])
    let heads = HeadAxes(count: outer.reduce(1, *), axes)
    func strides(_ view: MatrixViews.View) -> Attention.Strides? { heads.strides(view) }
    var isFitting = true
    func operand(_ view: MatrixViews.View, _ value: ValueID) -> (MatrixViews.View, Attention.Strides)? {
      if let own = strides(view) { return (view, own) }
      return view.factor == 1 ? views.dense(value).flatMap { dense in strides(dense).map { (dense, $0) } } : nil
    }
    func masked(_ view: MaskView) -> Attention.Strides? {
      guard let view = view.view else { return nil }
      let own = strides(view)
      if own == nil { isFitting = false }
      return own
    }
    let (maskStrides, conditionStrides) = (masked(mask), masked(condition))
    guard isFitting, let q = operand(q, read[0]), let k = operand(k, read[1]), let v = operand(v, read[2]) else {
      return nil
    }
    let target = strides(written) == nil ? dense : written
    guard let targetStrides = strides(target) else { return nil }
    let scale = scores.scale * q.0.factor * k.0.factor
    var contract = Attention(
      elementType: body.type(of: result).elementType ?? .float32, batch: heads.batch, heads: heads.heads,
      queries: shape[outer.count], keys: shape[outer.count + 1],
      width: first.isTransposed[0] ? left[outer.count] : left[outer.count + 1],
      valueWidth: resultShape[outer.count + 1], scale: Float(scale),
      q: q.1.transposed(first.isTransposed[0]),
      // The product's right matrix has keys as columns.
      k: k.1.transposed(!first.isTransposed[1]), v: v.1.transposed(product.isTransposed[1]), result: targetStrides,
      mask: maskStrides, selection: masking.selection(conditionStrides))
    contract.keepsStatistics = isTrained
    let root = target.nodes.last ?? node
    var members = q.0.nodes + k.0.nodes + v.0.nodes + [scores.product, softmax, node] + scores.members + target.nodes
    members = Set(members).sorted { positions[Int($0.index)] < positions[Int($1.index)] }
    var call = Call(
      root: root, contract: contract,
      operands: [q.0.value, k.0.value, v.0.value] + [masking.mask, masking.condition].compactMap { $0 },
      members: members, scores: body.operands(of: softmax)[0], causalMask: masking.causalMask,
      masks: [scores.mask, scores.selection?.condition].compactMap { $0 })
    if let found {
      guard let gradient = found.gradient(contract, heads, positions),
        let start = gradient.roots.map({ positions[Int($0.index)] }).min(), positions[Int(root.index)] < start,
        call.operands.allSatisfy({ positions[Int(body.producer(of: $0).index)] < start })
      else { return nil }
      call.gradient = gradient
    }
    return call
  }

  // MARK: Parts

  /// The node that computes a value which only one other node uses.
  private func inner(_ value: ValueID) -> NodeID? {
    let node = body.producer(of: value)
    return uses.count(value) == 1 && body.controls(of: node).isEmpty ? node : nil
  }

  func product(_ node: NodeID) -> Product? {
    guard body.controls(of: node).isEmpty else { return nil }
    switch body.operation(of: node) {
    case let product as MatMul:
      return Product(operands: body.operands(of: node), isTransposed: [product.transposeA, product.transposeB])
    case let product as BatchMatMulV2:
      return Product(operands: body.operands(of: node), isTransposed: [product.adjX, product.adjY])
    default: return nil
    }
  }

  /// Follows factors, one sum and one selection down to a product.
  private func scores(under value: ValueID) -> Scores? {
    var scores = Scores(product: body.producer(of: value))
    var value = value
    while let node = inner(value) {
      let operands = body.operands(of: node)
      switch body.operation(of: node) {
      case is MatMul, is BatchMatMulV2:
        scores.product = node
        return scores
      case is Mul:
        guard let (factor, other) = views.split(operands, by: { body.number($0) }) else { return nil }
        scores.scale *= factor
        value = other
      case is RealDiv:
        guard let divisor = body.number(operands[1]) else { return nil }
        scores.scale /= divisor
        value = operands[0]
      case is AddV2:
        // Behind a factor the mask would be scaled as well.
        guard scores.mask == nil, scores.scale == 1, operands[0] != operands[1],
          let (_, other) = views.split(operands, by: { leadsToProduct($0) ? nil : $0 })
        else { return nil }
        scores.mask = operands[0] == other ? operands[1] : operands[0]
        value = other
      case is SelectV2:
        guard scores.selection == nil, scores.scale == 1 else { return nil }
        let keeps = body.number(operands[2]) != nil
        guard let number = body.number(operands[keeps ? 2 : 1]) else { return nil }
        scores.selection = Selection(
          condition: operands[0], keeps: keeps, value: number, isBeforeMask: scores.mask != nil)
        value = operands[keeps ? 1 : 2]
      default: return nil
      }
      guard body.type(of: value) == body.type(of: body.results(of: node)[0]) else { return nil }
      scores.members.append(node)
    }
    return nil
  }

  /// Whether a value is a product but for factors and a selection.
  private func leadsToProduct(_ value: ValueID) -> Bool {
    var value = value
    while let node = inner(value) {
      let operands = body.operands(of: node)
      switch body.operation(of: node) {
      case is MatMul, is BatchMatMulV2: return true
      case is Mul:
        guard let (_, other) = views.split(operands, by: { body.number($0) }) else { return false }
        value = other
      case is RealDiv: value = operands[0]
      case is SelectV2: value = operands[body.number(operands[2]) != nil ? 1 : 2]
      default: return false
      }
    }
    return false
  }

  // MARK: Masks

  /// What a call's scores are masked with.
  private struct Masking {
    var mask: ValueID?
    var condition: ValueID?
    var causalMask: ValueID?
    private var selected: Selection?
    private var causal: Attention.Selection?

    init(_ scores: Scores) {
      (mask, condition, selected) = (scores.mask, scores.selection?.condition, scores.selection)
    }

    /// Takes a causal mask into the contract.
    mutating func simplify(_ bands: [ValueID: CausalBand]) {
      if let selected, let band = bands[selected.condition], band.kept == (selected.keeps ? 1 : 0) {
        causal = Attention.Selection(
          .causal(offset: band.offset), value: Float(selected.value), isBeforeMask: selected.isBeforeMask)
        (causalMask, condition) = (condition, nil)
      } else if selected == nil, let mask, let band = bands[mask], band.kept == 0, band.excluded < 0 {
        causal = Attention.Selection(.causal(offset: band.offset), value: band.excluded, isAdded: true)
        (causalMask, self.mask) = (mask, nil)
      }
    }

    func selection(_ strides: Attention.Strides?) -> Attention.Selection? {
      if let causal { return causal }
      guard let selected, let strides else { return nil }
      return Attention.Selection(
        .elements(strides, keeps: selected.keeps), value: Float(selected.value), isBeforeMask: selected.isBeforeMask)
    }
  }

  /// Where a mask's elements are, if there is one.
  private struct MaskView {
    var view: MatrixViews.View?
  }

  /// The distances of a mask that is broadcast to the scores; nil where it is not.
  private func maskView(_ value: ValueID?, _ scores: [Int], _ type: ElementType) -> MaskView? {
    guard let value else { return MaskView(view: nil) }
    guard let own = views.extents(value), own.count <= scores.count, body.type(of: value).elementType == type else {
      return nil
    }
    let full = Array(repeating: 1, count: scores.count - own.count) + own
    guard zip(full, scores).allSatisfy({ $0 == 1 || $0 == $1 }) else { return nil }
    let strides = zip(MatrixViews.strides(full), full).map { stride, extent in extent == 1 ? 0 : stride }
    let axes = zip(scores, strides).map { MatrixViews.Axis(extent: $0, stride: $1) }
    let count = axes.count
    return MaskView(
      view: MatrixViews.View(
        value: value, outer: Array(axes.dropLast(2)), row: strides[count - 2], column: strides[count - 1]))
  }
}

extension Attention.Strides {
  /// With rows and columns exchanged.
  func transposed(_ isTransposed: Bool) -> Attention.Strides {
    isTransposed ? Attention.Strides(batch: batch, head: head, row: column, column: row) : self
  }
}
