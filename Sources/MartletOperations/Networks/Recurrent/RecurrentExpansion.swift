import MartletDiagnostics
import MartletGraph
import MartletTensors

/// A recurrent layer and its gradient, written in other operations, step by step. The products of all steps' inputs are one,
/// and so are those that give the gradients of the weights and of the inputs.
struct RecurrentExpansion {
  private let cell: RecurrentCell
  private let operands: [Output]
  private let steps: Int
  private let inputs: Int
  private let hidden: Int
  private let directions: Int
  /// -1 if it is not known.
  private let batch: Int

  /// - Parameter operands: Those of `RecurrentLayer`.
  /// - Throws: a diagnostic if another extent than the batch is not known.
  init(_ cell: RecurrentCell, _ operands: [Output]) throws(Diagnostic) {
    func extent(_ i: Int, _ axis: Int, _ name: String) throws(Diagnostic) -> Int {
      if operands[i].rank == 3, let known = operands[i].shape[axis].known { return known }
      throw Diagnostic(
        "its steps cannot be written out", operand: name, required: "a known extent \(axis)",
        found: "\(operands[i].type)", hint: "give the placeholder of \(name) a shape in which only the batch is open")
    }
    steps = try extent(0, 0, "x")
    directions = try extent(1, 0, "weights")
    inputs = try extent(1, 2, "weights")
    hidden = try extent(2, 2, "recurrent_weights")
    batch = operands[0].rank == 3 ? operands[0].shape[1].known ?? -1 : -1
    if batch < 0, [steps, inputs, hidden].contains(0) {
      // A reshape could not tell the batch from arrays without elements.
      throw Diagnostic(
        "its steps cannot be written out", operand: "x", required: "a known batch where other extents are 0",
        found: "\(operands[0].type)", hint: "give the placeholder of x a known shape")
    }
    (self.cell, self.operands) = (cell, operands)
  }

  // MARK: Forward

  /// The results of `RecurrentLayer`.
  func forward() -> [Output] {
    let runs = (0..<directions).map { run(direction: $0) }
    let y = concatenated(runs.map { $0.y }, axis: 2)
    return [y] + (0..<cell.stateCount).map { i in stack(runs.map { $0.last[i] }) }
  }

  /// One direction of the layer.
  private struct Run {
    var equations: any RecurrentEquations
    var weights: Output
    /// [steps · batch, inputs].
    var x: Output
    /// The steps in the order in which they are made, by time, and what each begins with.
    var order: [Int]
    var steps: [RecurrentStep] = []
    var states: [[Output]] = []
    var last: [Output]
    var y: Output
  }

  private func run(direction: Int) -> Run {
    let weights = operands[1][direction]
    let equations = cell.equations(
      operands[2][direction], biases: (operands[3][direction, 0], operands[3][direction, 1]))
    let x = reshape(operands[0], [batch < 0 ? -1 : steps * batch, inputs])
    let product = biasAdd(matMul(x, weights, transposeB: true), equations.inputBias)
    let projected = reshape(product, [steps, batch, cell.gateCount * hidden])
    let order = direction == 0 ? Array(0..<steps) : (0..<steps).reversed()
    let initial = operands[4...].map { $0[direction] }
    var run = Run(
      equations: equations, weights: weights, x: x, order: order, last: initial,
      // Of the right shape where there are no steps.
      y: steps == 0 ? projected[.all, .all, 0..<hidden] : projected)
    guard steps > 0 else { return run }
    let parts = unstack(projected, count: steps)
    for time in order {
      run.states.append(run.last)
      let step = equations.step(parts[time], run.last)
      run.last = step.state
      run.steps.append(step)
    }
    run.y = stack(inTime(run.steps.map { $0.state[0] }, run))
    return run
  }

  /// What there is for each step, by time.
  private func inTime(_ values: [Output], _ run: Run) -> [Output] {
    run.order.first == 0 ? values : values.reversed()
  }

  private func concatenated(_ values: [Output], axis: Int) -> Output {
    values.count == 1 ? values[0] : concat(values, axis: axis)
  }

  // MARK: Backward

  /// The gradients of the operands.
  ///
  /// - Parameter upstream: The gradients of the results.
  func backward(_ upstream: [Output]) -> [Output] {
    guard steps > 0 else { return operands[..<4].map { zerosLike($0) } + upstream.dropFirst() }
    let towardsY = directions == 1 ? [upstream[0]] : split(upstream[0], into: directions, axis: 2)
    var x: [Output] = []
    var parts: [[Output]] = []
    for direction in 0..<directions {
      let run = run(direction: direction)
      let gradients = backward(
        run, unstack(towardsY[direction], count: steps), upstream.dropFirst().map { $0[direction] })
      x.append(gradients.x)
      parts.append(gradients.parameters + gradients.initial)
    }
    let sum = x.dropFirst().reduce(x[0], +)
    return [reshape(sum, [steps, batch, inputs])] + parts[0].indices.map { i in stack(parts.map { $0[i] }) }
  }

  private func backward(
    _ run: Run, _ upstream: [Output], _ last: [Output]
  ) -> (x: Output, parameters: [Output], initial: [Output]) {
    var state = last
    var steps: [RecurrentStepGradient] = []
    for (i, time) in run.order.enumerated().reversed() {
      state[0] = state[0] + upstream[time]
      let step = run.equations.gradient(of: run.steps[i], from: run.states[i], state)
      state = step.state
      steps.append(step)
    }
    steps.reverse()
    // The order of steps is that of time for what is multiplied with the inputs; for the rest any order will do.
    let projected = concat(inTime(steps.map(\.projected), run), axis: 0)
    var recurrent: [Output] = []
    var bias: [Output] = []
    for block in steps[0].products.indices {
      let gradient = concat(inTime(steps.map { $0.products[block].gradient }, run), axis: 0)
      let operand = concat(inTime(steps.map { $0.products[block].operand }, run), axis: 0)
      recurrent.append(matMul(gradient, operand, transposeA: true))
      bias.append(sum(gradient, axes: [0]))
    }
    let parameters = [
      matMul(projected, run.x, transposeA: true), concatenated(recurrent, axis: 0),
      stack([sum(projected, axes: [0]), concatenated(bias, axis: 0)]),
    ]
    return (matMul(projected, run.weights), parameters, state)
  }
}
