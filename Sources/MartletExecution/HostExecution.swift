import MartletDiagnostics
import MartletGraph
import MartletScheduling
import MartletTensors

/// Runs an operation's host code on the arrays in an instruction's slots.
final class HostExecution: Sendable {
  private let body: @Sendable ([Tensor]) throws -> [Tensor]
  private let operandTypes: [(type: ElementType, shape: [Int], byteCount: Int)]
  private let resultTypes: [(type: ElementType, shape: [Int], byteCount: Int)]

  init(_ call: HostCall) throws(Diagnostic) {
    var context = LoweringContext(operands: call.operands, results: call.results, name: call.name)
    guard case .host(let function) = try call.operation.lowering(&context) else {
      throw Diagnostic("\(call.operation.schema.name) '\(call.name)' has no host code")
    }
    body = function.body
    operandTypes = call.operands.map { Self.layout($0.elementType ?? .float32, $0.shape.known ?? []) }
    resultTypes = call.results.map { Self.layout($0.elementType, $0.shape.known ?? []) }
  }

  private static func layout(_ type: ElementType, _ shape: [Int]) -> (ElementType, [Int], Int) {
    (type, shape, Tensor.checkedByteCount(elementType: type, shape: shape) ?? 0)
  }

  var call: BoundCall {
    BoundCall(
      { state, slots, data in
        let code = BoundCall.object(HostExecution.self, at: data)
        do {
          try code.run(slots)
          return 0
        } catch {
          RunState.at(state).pointee.fail(error)
          return 1
        }
      }, object: self)
  }

  private func run(_ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>) throws {
    var operands: [Tensor] = []
    for (i, layout) in operandTypes.enumerated() {
      guard let bytes = slots[i] else { preconditionFailure("operand \(i) of host code has no memory") }
      let storage = TensorStorage(adopting: bytes, byteCount: layout.byteCount) { _ in }
      operands.append(Tensor(elementType: layout.type, shape: layout.shape, storage: storage))
    }
    let results = try body(operands)
    guard results.count == resultTypes.count else {
      throw Diagnostic(
        "the host code gave a wrong number of results", required: "\(resultTypes.count)", found: "\(results.count)")
    }
    for (i, (result, layout)) in zip(results, resultTypes).enumerated() {
      guard result.elementType == layout.type, result.shape == layout.shape else {
        throw Diagnostic(
          "the host code gave another result than was inferred", required: "\(layout.type)\(layout.shape)",
          found: "\(result.type)")
      }
      guard let target = slots[operandTypes.count + i] else { continue }
      result.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress {
          UnsafeMutableRawPointer(target).copyMemory(from: base, byteCount: bytes.count)
        }
      }
    }
  }
}
