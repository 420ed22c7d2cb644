import MartletGraph
import MartletTensors

/// A long short-term memory over sequences.
///
///     // 20 steps of 8 sequences with 16 features each, 32 cells
///     let x = graph.placeholder(.float32, shape: [20, 8, 16])
///     let w = graph.variable("w", [1, 4 * 32, 16], .glorotUniform)
///     let r = graph.variable("r", [1, 4 * 32, 32], .orthogonal())
///     let (y, hidden, cell) = lstm(x, weights: w, recurrentWeights: r)
///
/// The gates stand in the order input, forget, candidate, output, as in PyTorch and cuDNN; see ``RecurrentCell``. Weights are
/// PyTorch's `weight_ih` and `weight_hh`, with a dimension for directions before them.
///
/// - Parameters:
///   - x: [steps, batch, inputs]; the number of steps must be known when the graph is compiled.
///   - weights: [directions, 4 · hidden, inputs], of one direction or of two: the second goes from the last step to the first.
///   - recurrentWeights: [directions, 4 · hidden, hidden].
///   - biases: [directions, 2, 4 · hidden], those of the input and those of the state; zeros if they are left out.
///   - initialHidden, initialCell: [directions, batch, hidden]; zeros if they are left out.
///   - isReversed: whether the sequences are read from their ends: a single direction then is the backward one.
/// - Returns: `y`, the hidden states of all steps, [steps, batch, directions · hidden]; the last hidden state and the last
///   cell state, [directions, batch, hidden].
public func lstm(
  _ x: Output, weights: Output, recurrentWeights: Output, biases: Output? = nil, initialHidden: Output? = nil,
  initialCell: Output? = nil, isReversed: Bool = false, name: String? = nil
) -> (y: Output, hidden: Output, cell: Output) {
  let results = recurrentLayer(
    .lstm, x, weights, recurrentWeights, biases, [initialHidden, initialCell], isReversed: isReversed, name: name)
  return (results[0], results[1], results[2])
}

/// A layer of gated recurrent units over sequences.
///
/// The gates stand in the order reset, update, candidate, as in PyTorch and cuDNN; see ``RecurrentCell``.
///
/// - Parameters:
///   - x: [steps, batch, inputs]; the number of steps must be known when the graph is compiled.
///   - weights: [directions, 3 · hidden, inputs], of one direction or of two: the second goes from the last step to the first.
///   - recurrentWeights: [directions, 3 · hidden, hidden].
///   - biases: [directions, 2, 3 · hidden], those of the input and those of the state; zeros if they are left out.
///   - initialHidden: [directions, batch, hidden]; zeros if it is left out.
///   - resetsAfterProduct: whether the reset gate is behind the product with the state, as in PyTorch, cuDNN, Keras, and ONNX
///     with `linear_before_reset`; else it is before, as in ONNX by default, and cuDNN cannot do it.
///   - isReversed: whether the sequences are read from their ends: a single direction then is the backward one.
/// - Returns: `y`, the hidden states of all steps, [steps, batch, directions · hidden], and the last, [directions, batch,
///   hidden].
public func gru(
  _ x: Output, weights: Output, recurrentWeights: Output, biases: Output? = nil, initialHidden: Output? = nil,
  resetsAfterProduct: Bool = true, isReversed: Bool = false, name: String? = nil
) -> (y: Output, hidden: Output) {
  let results = recurrentLayer(
    resetsAfterProduct ? .gru : .gruResetBefore, x, weights, recurrentWeights, biases, [initialHidden],
    isReversed: isReversed, name: name)
  return (results[0], results[1])
}

/// A layer of a plain recurrent network over sequences: each state is the activation of a linear function of the input and the
/// state before.
///
/// - Parameters:
///   - x: [steps, batch, inputs]; the number of steps must be known when the graph is compiled.
///   - weights: [directions, hidden, inputs], of one direction or of two: the second goes from the last step to the first.
///   - recurrentWeights: [directions, hidden, hidden].
///   - biases: [directions, 2, hidden], those of the input and those of the state; zeros if they are left out.
///   - initialHidden: [directions, batch, hidden]; zeros if it is left out.
///   - usesRelu: whether the activation is max(0, ·); else it is tanh.
///   - isReversed: whether the sequences are read from their ends: a single direction then is the backward one.
/// - Returns: `y`, the hidden states of all steps, [steps, batch, directions · hidden], and the last, [directions, batch,
///   hidden].
public func simpleRNN(
  _ x: Output, weights: Output, recurrentWeights: Output, biases: Output? = nil, initialHidden: Output? = nil,
  usesRelu: Bool = false, isReversed: Bool = false, name: String? = nil
) -> (y: Output, hidden: Output) {
  let results = recurrentLayer(
    usesRelu ? .relu : .tanh, x, weights, recurrentWeights, biases, [initialHidden], isReversed: isReversed, name: name)
  return (results[0], results[1])
}

private func recurrentLayer(
  _ cell: RecurrentCell, _ x: Output, _ weights: Output, _ recurrentWeights: Output, _ biases: Output?,
  _ initial: [Output?], isReversed: Bool, name: String?
) -> [Output] {
  // Arrays of another rank are the layer's to report.
  let isSound = [x, weights, recurrentWeights].allSatisfy { $0.rank ?? 3 == 3 }
  func zeros(_ places: (Output, Int)?...) -> Output {
    guard isSound else { return x.scalar(0) }
    let extents = places.map { place in place.map { extent($0.0, $0.1) } ?? x.integer(2) }
    return fill(stack(extents), with: x.scalar(0))
  }
  let known = initial.map { $0 ?? zeros((weights, 0), (x, 1), (recurrentWeights, 2)) }
  let operands = [weights, recurrentWeights, biases ?? zeros((weights, 0), nil, (weights, 1))] + known
  func inOrder(_ sequence: Output) -> Output { isReversed ? reverse(sequence, axes: [0]) : sequence }
  var results = x.graph.add(RecurrentLayer(cell), [inOrder(x)] + operands, name: name)
  results[0] = inOrder(results[0])
  return results
}

/// An extent of an array, as a scalar.
private func extent(_ x: Output, _ axis: Int) -> Output {
  if x.rank != nil, let known = x.shape[axis].known { return x.integer(known) }
  return shape(of: x)[axis]
}
