import MartletScheduling
import MartletTensors

/// The memory of one run of a plan: arena, pointer table, status. One run at a time uses it.
final class PlanInstance: @unchecked Sendable {
  private let plan: ExecutionPlan
  /// Keeps the records alive.
  private let arena: UnsafeMutableRawPointer
  private let arenaBytes: Int
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>
  let context = RunContext()

  /// The entries of the pointer table for each value that comes from outside the instance, and its present address.
  private struct Port {
    var entries: [(index: Int, offset: Int)] = []
    var address: UnsafeMutableRawPointer?
  }
  private var arguments: [Port]
  private var results: [Port]
  private var variables: [Port]

  init(_ bound: BoundPlan) {
    plan = bound.plan
    arenaBytes = bound.plan.arenaBytes
    arena = PagePool.shared.allocate(byteCount: arenaBytes)
    pointers = .allocate(capacity: max(bound.pointers.count, 1))
    arguments = Array(repeating: Port(), count: bound.plan.arguments.count)
    results = Array(repeating: Port(), count: bound.plan.results.count)
    variables = Array(repeating: Port(), count: bound.plan.variables.count)
    for (entry, pointer) in bound.pointers.enumerated() {
      var address: UnsafeMutableRawPointer?
      let offset = pointer?.offset ?? 0
      switch pointer?.place {
      case nil: break
      case .arena(let begin): address = arena + begin
      case .constant(let number): address = bound.constants[number].map { $0.storage.bytes + offset }
      case .argument(let number): arguments[number].entries.append((entry, offset))
      case .result(let number): results[number].entries.append((entry, offset))
      case .variable(let number): variables[number].entries.append((entry, offset))
      }
      (pointers + entry).initialize(to: address?.assumingMemoryBound(to: UInt8.self))
    }
  }

  deinit {
    pointers.deallocate()
    PagePool.shared.deallocate(arena, byteCount: arenaBytes)
  }

  func setArgument(_ number: Int, _ address: UnsafeMutableRawPointer) { set(&arguments[number], address) }
  func setResult(_ number: Int, _ address: UnsafeMutableRawPointer) { set(&results[number], address) }
  func setVariable(_ number: Int, _ address: UnsafeMutableRawPointer) { set(&variables[number], address) }

  private func set(_ port: inout Port, _ address: UnsafeMutableRawPointer) {
    guard port.address != address else { return }
    port.address = address
    let typed = address.assumingMemoryBound(to: UInt8.self)
    for (entry, offset) in port.entries { pointers[entry] = typed + offset }
  }
}
