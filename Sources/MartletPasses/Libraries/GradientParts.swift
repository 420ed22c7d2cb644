import MartletGraph
import MartletOperations
import MartletTensors

/// The parts of an attention's gradient, as reverse mode writes them: with p the weights and do the gradient of the
/// result, dv = pᵀ · do, dp = do · vᵀ, ds = (dp − rowsum(dp ∘ p)) ∘ p, masked and scaled as the scores were, dq = ds · k and
/// dk = dsᵀ · q.
struct GradientParts {
  /// A product that is one of the results.
  private struct Part {
    var node: NodeID
    /// Whether it computes the transpose.
    var isTransposed: Bool
    var view: MatrixViews.View
  }

  private var queries: Part?
  private var keys: Part?
  private var values: Part?
  private let resultGradient: MatrixViews.View
  private let plainResultGradient: MatrixViews.View
  private var factor = 1.0
  private var members: [NodeID] = []
  private let body: GraphStorage

  /// Of what is read and written.
  var views: [MatrixViews.View] {
    [resultGradient] + [queries, keys, values].compactMap { $0?.view }
  }

  /// Nil where the weights are used for anything else.
  ///
  /// - Parameters:
  ///   - node: the second product.
  ///   - scores: the expression between the first product and the softmax.
  init?(
    _ finder: AttentionFinder, _ node: NodeID, _ product: AttentionFinder.Product, _ softmax: NodeID,
    _ scores: AttentionFinder.Scores, _ first: AttentionFinder.Product
  ) {
    let (body, uses, views) = (finder.body, finder.uses, finder.views)
    self.body = body
    let weights = product.operands[0]
    var users = uses.users(weights).filter { $0 != node }
    guard uses.count(weights) == users.count + 1, !users.isEmpty else { return nil }
    func part(_ node: NodeID, isTransposed: Bool) -> Part? {
      views.written(body.results(of: node)[0], isTransposed: isTransposed).map {
        Part(node: node, isTransposed: isTransposed, view: $0)
      }
    }

    // dv = pᵀ · do, or its transpose doᵀ · p.
    var gradient: ValueID?
    if let index = users.firstIndex(where: { finder.product($0) != nil }) {
      let user = users.remove(at: index)
      guard let found = finder.product(user), found.isTransposed == [true, false],
        let place = found.operands.firstIndex(of: weights)
      else { return nil }
      gradient = found.operands[1 - place]
      values = part(user, isTransposed: place == 1)
      members.append(user)
    }

    if !users.isEmpty {
      guard let softmaxGradient = SoftmaxGradient(finder, weights, users),
        let outer = finder.product(body.producer(of: softmaxGradient.operand)),
        outer.operands[1] == product.operands[1], outer.isTransposed == [false, !product.isTransposed[1]],
        gradient == nil || gradient == outer.operands[0]
      else { return nil }
      gradient = outer.operands[0]
      members += [body.producer(of: softmaxGradient.operand)] + softmaxGradient.members
      guard let path = Self.follow(finder, softmaxGradient.result, scores.selection) else { return nil }
      members += path.members
      let value = path.value
      factor = path.factor
      let products = uses.users(value)
      guard uses.count(value) == products.count else { return nil }
      for user in products {
        guard let found = finder.product(user) else { return nil }
        let (q, k) = (first.operands[0], first.operands[1])
        let (isQTransposed, isKTransposed) = (first.isTransposed[0], first.isTransposed[1])
        if queries == nil, found.operands == [value, k], found.isTransposed == [false, !isKTransposed] {
          queries = part(user, isTransposed: false)
        } else if queries == nil, found.operands == [k, value], found.isTransposed == [isKTransposed, true] {
          queries = part(user, isTransposed: true)
        } else if keys == nil, found.operands == [value, q], found.isTransposed == [true, isQTransposed] {
          keys = part(user, isTransposed: false)
        } else if keys == nil, found.operands == [q, value], found.isTransposed == [!isQTransposed, false] {
          keys = part(user, isTransposed: true)
        } else {
          return nil
        }
        members.append(user)
      }
    }
    guard let gradient, let read = views.read(gradient, throughFactors: false), let plain = views.dense(gradient) else {
      return nil
    }
    (resultGradient, plainResultGradient) = (read, plain)
  }

  /// Follows the gradient of masked scores back through the mask and factors.
  private static func follow(
    _ finder: AttentionFinder, _ value: ValueID, _ selection: AttentionFinder.Selection?
  ) -> (value: ValueID, factor: Double, members: [NodeID])? {
    let (body, uses) = (finder.body, finder.uses)
    var (value, factor, isSelected) = (value, 1.0, selection == nil)
    var members: [NodeID] = []
    while let node = uses.sole(value), finder.product(node) == nil {
      guard body.controls(of: node).isEmpty else { return nil }
      let operands = body.operands(of: node)
      switch body.operation(of: node) {
      case is Mul:
        guard let (number, _) = finder.views.split(operands, by: { body.number($0) }) else { return nil }
        factor *= number
      case is RealDiv:
        guard operands[0] == value, let number = body.number(operands[1]) else { return nil }
        factor /= number
      case is SelectV2:
        guard let selection, !isSelected, operands[0] == selection.condition,
          operands[selection.keeps ? 1 : 2] == value, body.number(operands[selection.keeps ? 2 : 1]) == 0
        else { return nil }
        isSelected = true
      default: return nil
      }
      guard body.type(of: body.results(of: node)[0]) == body.type(of: value) else { return nil }
      members.append(node)
      value = body.results(of: node)[0]
    }
    return isSelected ? (value, factor, members) : nil
  }

  /// The gradient, with its distances; nil where they cannot be said.
  func gradient(_ attention: Attention, _ heads: HeadAxes, _ positions: [Int]) -> AttentionFinder.Gradient? {
    var members = members
    var roots: [NodeID] = []
    var isFitting = true
    func strides(_ part: Part?) -> Attention.Strides? {
      guard let part else { return nil }
      guard let strides = heads.strides(part.view) else {
        isFitting = false
        return nil
      }
      roots.append(part.view.nodes.last ?? part.node)
      members += part.view.nodes
      return strides.transposed(part.isTransposed)
    }
    let all = [strides(queries), strides(keys), strides(values)]
    let read = heads.strides(resultGradient) == nil ? plainResultGradient : resultGradient
    guard isFitting, !roots.isEmpty, let outer = heads.strides(read) else { return nil }
    members = Set(members + read.nodes).sorted { positions[Int($0.index)] < positions[Int($1.index)] }
    return AttentionFinder.Gradient(
      roots: roots,
      contract: AttentionGradient(
        attention, factor: Float(factor), resultGradient: outer, queryGradient: all[0], keyGradient: all[1],
        valueGradient: all[2]),
      resultGradient: read.value, members: members)
  }
}

/// The gradient of a softmax, (dp − Σ dp ∘ p) ∘ p.
private struct SoftmaxGradient {
  /// dp
  var operand: ValueID
  var result: ValueID
  var members: [NodeID]

  /// - Parameter users: the nodes that use the weights beside products.
  init?(_ finder: AttentionFinder, _ weights: ValueID, _ users: [NodeID]) {
    let (body, uses) = (finder.body, finder.uses)
    func other(_ node: NodeID, _ value: ValueID) -> ValueID? {
      let operands = body.operands(of: node)
      guard operands.count == 2, let place = operands.firstIndex(of: value) else { return nil }
      return operands[1 - place]
    }
    guard users.count == 2, users.allSatisfy({ body.operation(of: $0) is Mul && body.controls(of: $0).isEmpty }) else {
      return nil
    }
    for (inner, last) in [(users[0], users[1]), (users[1], users[0])] {
      guard let operand = other(inner, weights), let sum = uses.sole(body.results(of: inner)[0]),
        let reduction = body.operation(of: sum) as? Sum, reduction.keepDims,
        let rank = finder.views.extents(weights)?.count, let axes = body.operand(body.operands(of: sum)[1]).integers,
        axes == [-1] || axes == [rank - 1], let difference = uses.sole(body.results(of: sum)[0]),
        body.operation(of: difference) is Sub,
        body.operands(of: difference) == [operand, body.results(of: sum)[0]],
        uses.sole(body.results(of: difference)[0]) == last, uses.count(operand) == 2,
        body.controls(of: sum).isEmpty, body.controls(of: difference).isEmpty
      else { continue }
      (self.operand, result) = (operand, body.results(of: last)[0])
      members = [inner, sum, difference, last]
      return
    }
    return nil
  }
}
