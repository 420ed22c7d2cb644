import CMartletRuntime
import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletScheduling
import MartletTensors

/// Runs plans by interpreting their kernels' stages: slow, without any library or code generator, and the oracle for the
/// back ends that have them.
public final class InterpreterBackend: HostBackend {
  public let name = "interpreter"
  /// It is the reference for all.
  public let deviceKinds = ["interpreter", "cpu", "cuda"]
  public let machine = TargetMachine()
  public let workerCount = 1

  public init() {}

  public func claims(_ contract: LibraryContract) -> Bool { false }
  public func scratchBytes(for contract: LibraryContract) -> Int { 0 }
  public func isWide(_ contract: LibraryContract) -> Bool { false }

  public func bind(
    _ kernels: [PlanKernel], before contracts: [LibraryContract], for use: ExecutionPlan.Use,
    report: inout BindingReport
  ) throws -> [BoundCall] {
    kernels.map { kernel in
      guard let program = kernel.program else { preconditionFailure("'\(kernel.label)' was made for another device") }
      return InterpretedKernel(program).call
    }
  }

  public func bind(_ contract: LibraryContract, constants: [Int: Constant]) throws -> BoundCall {
    throw Diagnostic("the interpreter has no libraries", found: "\(contract)")
  }

  public func run(
    isWide: Bool, _ task: @convention(c) (UnsafeMutableRawPointer?) -> Void, _ context: UnsafeMutableRawPointer
  ) { task(context) }
}

/// A kernel as its stages.
private final class InterpretedKernel: Sendable {
  let program: StageProgram

  init(_ program: StageProgram) { self.program = program }

  var call: BoundCall {
    BoundCall(
      { state, slots, data in
        let state = RunState.at(state)
        do throws(InterpretationError) {
          try BoundCall.object(InterpretedKernel.self, at: data).run(slots, state.pointee.parameters)
          return 0
        } catch .badIndex(let code, let index) {
          martlet_status_raise(state.pointee.status, 1, code, index)
        } catch {
          state.pointee.fail(error)
        }
        return 1
      }, object: self)
  }

  private func run(
    _ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>, _ parameters: UnsafeMutablePointer<Int64>
  ) throws(InterpretationError) {
    let inputs = program.inputs.enumerated().map { i, type in
      guard let bytes = slots[i] else { preconditionFailure("input \(i) has no memory") }
      return Tensor(
        elementType: type.elementType, shape: type.extents,
        storage: TensorStorage(adopting: bytes, byteCount: type.byteCount) { _ in })
    }
    let results = try program.interpret(
      inputs: inputs, parameters: Array(UnsafeBufferPointer(start: parameters, count: RunState.parameterCount)))
    // All results exist before the first is stored: one may lie over an input.
    for (i, result) in results.enumerated() {
      guard let target = slots[inputs.count + i] else { continue }
      result.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress, base != UnsafeRawPointer(target) {
          UnsafeMutableRawPointer(target).copyMemory(from: base, byteCount: bytes.count)
        }
      }
    }
  }
}
