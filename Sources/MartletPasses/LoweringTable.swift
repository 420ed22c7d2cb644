import MartletDiagnostics
import MartletGraph

/// What the nodes of a function lower to and are to the grouping, worked out once for all nodes that lower to the same: in an
/// unrolled loop most do.
struct LoweringTable {
  private let body: GraphStorage
  /// Whether each operation rounds its results to 16 bits, whatever it becomes part of.
  private let isExact: Bool
  /// For each node the number of its lowering, if it was asked for.
  private var numbers: [Int32]
  private var known: [[Int32]: Int32] = [:]
  private var lowerings: [Lowering] = []
  /// By number; apart for nodes on the processor beside the target, whose libraries are others.
  private var roles: [KernelGrouping.Role?] = []
  private var rolesOnHost: [Int: KernelGrouping.Role] = [:]

  init(_ body: GraphStorage, exact: Bool = false) {
    self.body = body
    isExact = exact
    numbers = Array(repeating: -1, count: body.nodeCount)
  }

  /// The same for two nodes only if they lower to the same.
  mutating func number(of node: NodeID) throws(Diagnostic) -> Int {
    let i = Int(node.index)
    if numbers[i] >= 0 { return Int(numbers[i]) }
    let key = body.loweringKey(of: node)
    if let key, let number = known[key] {
      numbers[i] = number
      return Int(number)
    }
    var lowering = try body.lowering(of: node)
    if isExact {
      switch lowering {
      case .compute(let program): lowering = .compute(program.rounding())
      case .library(let contract, let program): lowering = .library(contract, reference: program.rounding())
      default: break
      }
    }
    numbers[i] = Int32(lowerings.count)
    if let key { known[key] = numbers[i] }
    lowerings.append(lowering)
    roles.append(nil)
    return lowerings.count - 1
  }

  mutating func lowering(of node: NodeID) throws(Diagnostic) -> Lowering { lowerings[try number(of: node)] }

  mutating func role(of node: NodeID, _ target: any Target) throws(Diagnostic) -> KernelGrouping.Role {
    let number = try number(of: node)
    let isOnHost = body.isOnHost(node, beside: target)
    if let role = isOnHost ? rolesOnHost[number] : roles[number] { return role }
    let role = try KernelRoles.role(of: node, lowerings[number], body, target)
    if isOnHost { rolesOnHost[number] = role } else { roles[number] = role }
    return role
  }
}
