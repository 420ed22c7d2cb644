import MartletDiagnostics
import MartletGraph
import MartletTensors

/// The shapes of a recurrent layer's arrays, which have their extents in common.
struct RecurrentShapes {
  let x: Shape
  let weights: Shape
  let recurrentWeights: Shape
  let biases: Shape
  let state: Shape
  let y: Shape

  /// - Parameter operands: x, weights, recurrent weights and biases.
  /// - Throws: a diagnostic that names the first array that does not fit those before it.
  init(_ cell: RecurrentCell, _ operands: ArraySlice<Operand>, initial: ArraySlice<Operand>) throws(Diagnostic) {
    guard initial.count == cell.stateCount else {
      throw Diagnostic(
        "has another number of arrays than the cell has states", operand: "initial",
        required: cell.stateCount == 1 ? "h" : "h and c", found: "\(initial.count) arrays")
    }
    let names = ["x", "weights", "recurrent_weights", "biases"]
    var given: [Shape] = []
    for (name, operand) in zip(names, operands) { given.append(try operand.shape(ofRank: 3, name)) }
    var states: [Shape] = []
    for (i, operand) in initial.enumerated() { states.append(try operand.shape(ofRank: 3, "initial[\(i)]")) }
    /// The extent that several arrays have, each at an axis: a known one if there is any.
    func common(_ places: [(Shape, Int)]) -> Dimension {
      places.map { $0[$1] }.first { $0.known != nil } ?? places[0].0[places[0].1]
    }
    let (steps, batch) = (given[0][0], common([(given[0], 1)] + states.map { ($0, 1) }))
    let inputs = common([(given[0], 2), (given[1], 2)])
    let directions = common([(given[1], 0), (given[2], 0), (given[3], 0)] + states.map { ($0, 0) })
    let hidden = common([(given[2], 2)] + states.map { ($0, 2) })
    let rows = hidden * cell.gateCount
    if let count = directions.known, !(1...2).contains(count) {
      throw Diagnostic(
        "has a wrong outermost extent", operand: "weights", required: "1 or 2 directions", found: "\(operands[1].type)",
        hint: "weights are [directions, gates · hidden, inputs]")
    }
    x = Shape([steps, batch, inputs])
    weights = Shape([directions, rows, inputs])
    recurrentWeights = Shape([directions, rows, hidden])
    biases = Shape([directions, 2, rows])
    state = Shape([directions, batch, hidden])
    y = Shape([steps, batch, directions * hidden])
    let wanted = [x, weights, recurrentWeights, biases] + initial.map { _ in state }
    let all = Array(operands) + Array(initial)
    for (i, shape) in (given + states).enumerated() where !shape.isCompatible(with: wanted[i]) {
      throw Diagnostic(
        "the extents of \(cell.rawValue)'s arrays differ", operand: i < 4 ? names[i] : "initial[\(i - 4)]",
        required: "the shape \(wanted[i])\(i == 0 ? "" : ", \(Self.roles[min(i, 4)])")", found: "\(all[i].type)")
    }
  }

  /// What the extents are.
  private static let roles = [
    "steps × batch × inputs", "directions × gates · hidden × inputs", "directions × gates · hidden × hidden",
    "directions × 2 × gates · hidden", "directions × batch × hidden",
  ]
}
