import MartletTensors

/// A layer of a recurrent network over whole sequences, in one or both directions. All arrays are dense, row-major and of the
/// element type; the second direction's part of y stands behind the first's.
///
/// Operands of `forward`: x [steps, batch, inputs], W [directions, gates · hidden, inputs], R [directions, gates · hidden,
/// hidden], biases [directions, 2, gates · hidden], and the initial h, and c where there is one, [directions, batch,
/// hidden]. Results: y [steps, batch, directions · hidden], the last h, and c.
///
/// Operands of `backward`: those, then the gradients of the results. Results: the gradients of the operands of `forward`.
public struct RecurrentNetwork: Hashable, Sendable {
  public enum Role: Hashable, Sendable { case forward, backward }

  public var role: Role
  public var cell: RecurrentCell
  public var elementType: ElementType
  public var steps: Int
  public var batch: Int
  /// The width of a step's input.
  public var inputs: Int
  /// The width of the state.
  public var hidden: Int
  /// 1, or 2 with another layer that goes from the last step to the first.
  public var directions: Int

  public init(
    role: Role, cell: RecurrentCell, elementType: ElementType, steps: Int, batch: Int, inputs: Int, hidden: Int,
    directions: Int
  ) {
    (self.role, self.cell, self.elementType) = (role, cell, elementType)
    (self.steps, self.batch, self.inputs, self.hidden) = (steps, batch, inputs, hidden)
    self.directions = directions
  }

  /// Rows of a direction's weights.
  public var rows: Int { cell.gateCount * hidden }

  /// The elements of each operand of `forward`.
  public var operandCounts: [Int] {
    [steps * batch * inputs, directions * rows * inputs, directions * rows * hidden, directions * 2 * rows]
      + Array(repeating: directions * batch * hidden, count: cell.stateCount)
  }

  /// The elements of each result of `forward`.
  public var resultCounts: [Int] {
    [steps * batch * directions * hidden]
      + Array(repeating: directions * batch * hidden, count: cell.stateCount)
  }

  /// Whether there is nothing to compute or nothing to compute it from.
  public var isEmpty: Bool { [steps, batch, inputs, hidden].contains(0) }
}
