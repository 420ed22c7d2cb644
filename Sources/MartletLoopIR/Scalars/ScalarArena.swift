import MartletTensors

/// The address of a scalar row in its kernel's arena.
public struct ScalarID: Hashable, Sendable, Comparable {
  public var index: UInt32
  @inlinable public init(_ index: Int) { self.index = UInt32(truncatingIfNeeded: index) }
  @inlinable public static func < (a: ScalarID, b: ScalarID) -> Bool { a.index < b.index }
  /// Stands for "no scalar", as in a load without a guard.
  public static let none = ScalarID(-1)
}

/// A scalar value as builders pass it around: its row and its element type.
public struct Scalar: Hashable, Sendable {
  public var id: ScalarID
  public var type: ElementType
  @inlinable public init(_ id: ScalarID, _ type: ElementType) { (self.id, self.type) = (id, type) }
}

/// What a load reads: an input buffer of the program, or the result of one of its stages.
public enum Source: Hashable, Sendable {
  case input(Int)
  case stage(Int)

  /// The form a load's payload holds: inputs count up from 0, stages down from −1.
  public var payload: Int64 {
    switch self {
    case .input(let i): Int64(i)
    case .stage(let i): -1 - Int64(i)
    }
  }
  public init(payload: Int64) { self = payload >= 0 ? .input(Int(payload)) : .stage(Int(-1 - payload)) }
}

/// One hash-consed scalar expression node. Rows only refer to rows before them.
public struct ScalarRow: Hashable, Sendable {
  public var operation: ScalarOperation
  public var type: ElementType
  public var operandCount: UInt8
  /// For a load, the Boolean without which nothing is read; else `.none`.
  public var condition: ScalarID
  public var payload: Int64
  /// Up to eight operands; unused lanes are zero.
  public var lanes: SIMD8<UInt32>

  public init(
    _ operation: ScalarOperation, _ type: ElementType, _ operands: [ScalarID] = [], payload: Int64 = 0,
    condition: ScalarID = .none
  ) {
    precondition(operands.count <= 8, "a scalar row has at most eight operands")
    self.operation = operation
    self.type = type
    self.operandCount = UInt8(operands.count)
    self.condition = condition
    self.payload = payload
    self.lanes = .zero
    for (i, operand) in operands.enumerated() { lanes[i] = operand.index }
  }

  /// The payload of a `cast` to a type of 16 bits that is not meant as a rounding: it only follows from where its operand was
  /// computed for elements of that type. A `cast` back to `float32` may give the operand itself.
  public static let relaxed: Int64 = 1

  /// Whether the row is a cast that is not meant as a rounding.
  var isRelaxedCast: Bool { operation == .cast && payload == Self.relaxed }

  public var operands: [ScalarID] { (0..<Int(operandCount)).map { ScalarID(Int(lanes[$0])) } }
  public func operand(_ i: Int) -> ScalarID { ScalarID(Int(lanes[i])) }
}

/// The scalar rows of one kernel: equal rows have equal addresses, and every operand precedes its user, so that a walk
/// in row order meets definitions first and nothing recurses on the depth of an expression.
public struct ScalarArena: Sendable {
  public private(set) var rows: [ScalarRow] = []
  private var index: [ScalarRow: ScalarID] = [:]

  public init() {}

  public subscript(id: ScalarID) -> ScalarRow { rows[Int(id.index)] }
  public func type(of id: ScalarID) -> ElementType { rows[Int(id.index)].type }
  public var count: Int { rows.count }

  /// Returns the address of `row`, adding it if it is new.
  public mutating func intern(_ row: ScalarRow) -> ScalarID {
    if let id = index[row] { return id }
    let id = ScalarID(rows.count)
    rows.append(row)
    index[row] = id
    return id
  }
}
