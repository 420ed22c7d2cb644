import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Convolutions by small filters, 3×3 to 5×5, in Winograd's way, by code of our own.
final class WinogradExecution: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let shape: WinogradShape
  private let compiler: NestCompiler
  /// The numbers of the slots.
  private let slots: Slots
  /// Where the filter, the source, the products and the workers' own memory lie in scratch memory.
  private let offsets: Offsets
  private let isFilterConstant: Bool
  private let workers: Int

  fileprivate typealias Slots = (source: Int, filter: Int, epilogue: Range<Int>, result: Int, scratch: Int)
  fileprivate typealias Offsets = (filter: Int, source: Int, products: Int, workers: Int)

  /// Nil for what is not done so, or not faster.
  init?(_ convolution: Convolution, compiler: NestCompiler, vectorBytes: Int, workers: Int) {
    guard convolution.role != .backwardFilter,
      let shape = WinogradShape(convolution, vectorBytes: vectorBytes, workers: workers), shape.isWorthwhile
    else { return nil }
    self.shape = shape
    self.compiler = compiler
    self.workers = workers
    isFilterConstant = convolution.isFilterConstant
    let operands = shape.epilogue.operandCount
    slots =
      shape.isTurned
      ? (source: 2, filter: 1, epilogue: 3..<3, result: 3, scratch: 4)
      : (source: 0, filter: 1, epilogue: 2..<2 + operands, result: 2 + operands, scratch: 3 + operands)
    var layout = ScratchLayout()
    var offsets = (filter: 0, source: 0, products: 0, workers: 0)
    if !convolution.isFilterConstant { offsets.filter = layout.add(4 * shape.filterElements) }
    if shape.isShared {
      offsets.source = layout.add(4 * shape.sourceElements)
      offsets.products = layout.add(4 * shape.resultElements)
    }
    let blockBytes = 4 * ((shape.sourceElements + 15) & -16) + 4 * ((shape.resultElements + 15) & -16)
    offsets.workers = layout.add(workers * (shape.halfBytes + (shape.isShared ? 0 : blockBytes)))
    self.offsets = offsets
    scratchBytes = layout.byteCount
  }

  var nests: [Nest] { [WinogradNests.filter(shape), WinogradNests.images(shape)] }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) throws -> BoundCall {
    let kernels = try compiler.known(nests)
    var call = WinogradCall(
      filter: kernels[0], images: kernels[1], slots: slots, offsets: offsets, isShared: shape.isShared,
      workers: workers)
    let size = 4 * shape.filterElements
    if isFilterConstant, let constant = constants[slots.filter] {
      let source = WinogradLayout(
        layout: .winograd(panelWidth: shape.panelWidth, isTurned: shape.isTurned), byteCount: size, call: call)
      call.packed = layouts.constant(constant, by: source)
    } else if isFilterConstant {
      call.memory = TensorStorage(byteCount: size)
    }
    let box = Box(call)
    return BoundCall(
      { _, slots, data in
        BoundCall.object(Box.self, at: data).call.run(slots) ? 0 : 1
      }, object: box, unread: call.packed == nil ? [] : [slots.filter])
  }

  private final class Box: Sendable {
    let call: WinogradCall
    init(_ call: WinogradCall) { self.call = call }
  }
}

/// The compiled kernels of a Winograd convolution, with its filter where that is constant.
private struct WinogradCall: Sendable {
  let filter: CompiledKernel
  let images: CompiledKernel
  let slots: WinogradExecution.Slots
  let offsets: WinogradExecution.Offsets
  let isShared: Bool
  /// No more take part, whatever the team's size: the others have no scratch memory.
  let workers: Int
  /// A constant filter in the basis.
  var packed: LaidOutConstant?
  /// Where a constant filter goes that was not known when the call was bound.
  var memory: TensorStorage?

  /// Moves a filter, from outside of runs.
  func pack(_ from: UnsafeMutableRawPointer, to: UnsafeMutableRawPointer) {
    let scratch = TensorStorage(byteCount: workers * filter.scratchBytes)
    let task = Packing(kernel: filter, workers: workers, from: from, to: to, scratch: scratch)
    withExtendedLifetime(task) {
      martlet_team_run(
        { context in BoundCall.object(Packing.self, at: context).run() }, Unmanaged.passUnretained(task).toOpaque())
    }
  }

  private final class Packing {
    private let kernel: CompiledKernel
    private let workers: Int
    private let from: UnsafeMutableRawPointer
    private let to: UnsafeMutableRawPointer
    private let scratch: TensorStorage

    init(
      kernel: CompiledKernel, workers: Int, from: UnsafeMutableRawPointer, to: UnsafeMutableRawPointer,
      scratch: TensorStorage
    ) {
      (self.kernel, self.workers, self.from, self.to, self.scratch) = (kernel, workers, from, to, scratch)
    }

    func run() { kernel.run([from, to], scratch: scratch.bytes, workers: workers) }
  }

  func run(_ addresses: UnsafePointer<UnsafeMutablePointer<UInt8>?>) -> Bool {
    func address(_ slot: Int) -> UnsafeMutableRawPointer? { addresses[slot].map { UnsafeMutableRawPointer($0) } }
    let scratch = address(slots.scratch)
    func piece(_ offset: Int) -> UnsafeMutableRawPointer? { scratch.map { $0 + offset } }
    let own = piece(offsets.workers)
    let packed = self.packed?.storage()
    let moved = packed?.bytes ?? memory?.bytes ?? piece(offsets.filter)
    if self.packed == nil {
      filter.run([address(slots.filter), moved], scratch: own, workers: workers)
    } else if packed == nil {
      return false
    }
    var arguments = [address(slots.source), moved]
    for slot in slots.epilogue { arguments.append(address(slot)) }
    arguments.append(address(slots.result))
    if isShared { arguments += [piece(offsets.source), piece(offsets.products)] }
    images.run(arguments, scratch: own, workers: workers)
    withExtendedLifetime(packed) {}
    return true
  }
}

/// A filter in Winograd's basis.
private struct WinogradLayout: LayoutSource {
  let layout: ConstantLayouts.Layout
  let byteCount: Int
  let call: WinogradCall

  func laidOut(_ array: Tensor, to storage: TensorStorage) -> TensorStorage? {
    array.withUnsafeBytes { _ in call.pack(array.storage.bytes, to: storage.bytes) }
    return storage
  }
}

extension CompiledKernel {
  /// Runs a kernel that cannot fail on the team.
  ///
  /// - Parameter scratch: `scratchBytes` for each worker.
  func run(
    _ arguments: [UnsafeMutableRawPointer?], parameters: [Int64] = [], scratch: UnsafeMutableRawPointer? = nil,
    workers: Int
  ) {
    var status = martlet_status()
    let slots = arguments.map { $0?.assumingMemoryBound(to: UInt8.self) }
    let runs = parameters.prefix(ParametricNest.firstParameter)
    let padding = Array(repeating: Int64(0), count: ParametricNest.firstParameter - runs.count)
    let parameters = self.parameters.isEmpty ? parameters : runs + padding + self.parameters
    for phase in phases {
      let share = (phase.extent + workers - 1) / workers
      martlet_team_kernel(
        phase.function, parameters, slots, &status, scratch?.assumingMemoryBound(to: UInt8.self), Int64(scratchBytes),
        Int64(phase.extent), Int64(max(phase.grain, share, 1)))
    }
  }
}
