import MartletScheduling

/// Bytes of one of the memories of a run. Each exists on the device and, as far as it is used there, on the host.
struct DeviceRange: Hashable, Sendable {
  enum Space: Hashable, Sendable {
    case arena
    case argument(Int)
    case constant(Int)
    case result(Int)
    case variable(Int)
    /// A copy of what is not aligned as a library wants it.
    case staging(Int)
  }
  var space: Space
  var bytes: Range<Int>

  init(_ space: Space, _ bytes: Range<Int>) { (self.space, self.bytes) = (space, bytes) }

  init(_ slot: PlanSlot) {
    let (space, start): (Space, Int) =
      switch slot.place {
      case .arena(let offset): (.arena, offset)
      case .argument(let number): (.argument(number), slot.offset)
      case .constant(let number): (.constant(number), slot.offset)
      case .result(let number): (.result(number), slot.offset)
      case .variable(let number): (.variable(number), slot.offset)
      }
    self.init(space, start..<start + slot.byteCount)
  }

  /// Of libraries' operands and results, in bytes.
  static let libraryAlignment = 16

  var isConstant: Bool { if case .constant = space { true } else { false } }
  var isVariable: Bool { if case .variable = space { true } else { false } }
}

extension DeviceRange: CustomStringConvertible {
  var description: String {
    let name =
      switch space {
      case .arena: "arena"
      case .argument(let number): "argument \(number)"
      case .constant(let number): "constant \(number)"
      case .result(let number): "result \(number)"
      case .variable(let number): "variable \(number)"
      case .staging(let number): "staging \(number)"
      }
    return "\(name) \(bytes)"
  }
}
