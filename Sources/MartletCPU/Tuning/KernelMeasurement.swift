import CMartletRuntime
import Glibc
import MartletExecution
import MartletLoopIR
import MartletTensors

/// Runs kernels to find out how long they take.
struct KernelMeasurement: Sendable {
  let compiler: NestCompiler
  let machine: MachineShape
  let workers: Int

  /// Nanoseconds for which each kernel is run, at least, after its first run.
  private static let duration: UInt64 = 4_000_000
  private static let rounds = 3

  /// Seconds of the fastest run of a program under each schedule; nil for those that cannot be compiled.
  ///
  /// They take turns, so that a slow moment of the machine hits all.
  func seconds(_ program: StageProgram, _ schedules: [Schedule]) -> [Double?] {
    let nests = schedules.map { lower(program, $0, for: machine) }
    guard let kernels = try? compiler.compile(nests) else { return schedules.map { _ in nil } }
    let operands = Operands(program)
    var times = [Double?](repeating: nil, count: schedules.count)
    for _ in 0..<Self.rounds {
      for (number, (nest, kernel)) in zip(nests, kernels).enumerated() {
        let time = Self.fastest(Runs(nest, kernel, operands, workers: workers))
        times[number] = min(times[number] ?? .infinity, time)
      }
    }
    return times
  }

  private static func fastest(_ task: Runs) -> Double {
    withExtendedLifetime(task) {
      martlet_team_run(
        { context in BoundCall.object(Runs.self, at: context).run() }, Unmanaged.passUnretained(task).toOpaque())
    }
    return task.fastest
  }

  /// The arrays of a program, which all its nests share.
  private final class Operands {
    let storages: [TensorStorage]

    init(_ program: StageProgram) {
      let types = program.inputs + program.outputs.map { program.type(of: $0) }
      storages = types.map { type in
        let storage = TensorStorage(byteCount: type.byteCount)
        // Numbers of common size; integers may be indices, for which only 0 is right.
        switch type.elementType {
        case .float32:
          for i in 0..<type.elementCount {
            storage.bytes.storeBytes(of: 0.5 + Float(i & 1023) / 1024, toByteOffset: 4 * i, as: Float.self)
          }
        case .float64:
          for i in 0..<type.elementCount {
            storage.bytes.storeBytes(of: 0.5 + Double(i & 1023) / 1024, toByteOffset: 8 * i, as: Double.self)
          }
        default: memset(storage.bytes, 0, type.byteCount)
        }
        return storage
      }
    }
  }

  /// Runs of one kernel, on the team's thread.
  private final class Runs {
    private let kernel: CompiledKernel
    private let operands: Operands
    private let temporaries: [TensorStorage]
    private let scratch: TensorStorage
    private let workers: Int
    private(set) var fastest = Double.infinity

    init(_ nest: Nest, _ kernel: CompiledKernel, _ operands: Operands, workers: Int) {
      (self.kernel, self.operands, self.workers) = (kernel, operands, workers)
      temporaries = nest.temporaries.map { TensorStorage(byteCount: $0.elementCount * $0.elementType.byteWidth) }
      scratch = TensorStorage(byteCount: max(64, workers * nest.scratchBytes))
    }

    func run() {
      let arguments: [UnsafeMutableRawPointer?] = (operands.storages + temporaries).map(\.bytes)
      let parameters = [Int64](repeating: 0, count: RunState.parameterCount)
      func once() { kernel.run(arguments, parameters: parameters, scratch: scratch.bytes, workers: workers) }
      once()
      let clock = ContinuousClock()
      let end = clock.now + .nanoseconds(Int64(KernelMeasurement.duration))
      repeat {
        let start = clock.now
        once()
        fastest = min(fastest, (clock.now - start) / .seconds(1))
      } while clock.now < end
    }
  }
}
