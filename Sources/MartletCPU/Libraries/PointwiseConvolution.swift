import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Convolutions by 1×1 filters and the gradients of their images, as products by code of our own: the pixels are the rows of
/// the one matrix, and the filter is the other, which is laid out once if it is constant, else in each run.
final class PointwiseConvolution: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let convolution: MatrixProduct
  private let product: PackedProduct
  private let slots: Slots
  /// Where the filter in panels lies in scratch memory, and what the workers bring together.
  private let offsets: (panels: Int, gathered: Int)
  private let workers: Int
  private let packed: LaidOutConstant?

  private struct Slots {
    var pixels: Int
    var filter = 1
    var bias: Int?
    var residual: Int?
    var result: Int
    var scratch: Int { result + 1 }
  }

  /// A filter that changes has to be used for so many pixels for its being laid out to be worth it.
  private static let fewestPixels = 1024

  /// Nil for what is not done so, or not faster.
  init?(_ convolution: Convolution, _ compiler: TileCompiler, _ machine: TargetMachine, workers: Int) {
    guard let matrices = convolution.asProduct, PackedProduct.isWorthwhile(matrices, compiler),
      matrices.isRightConstant || matrices.m >= Self.fewestPixels
    else { return nil }
    let isDense = convolution.strideHeight == 1 && convolution.strideWidth == 1
    guard
      let product = PackedProduct(
        matrices, rowsFrom: isDense ? nil : StridedPixels(convolution), compiler, machine)
    else { return nil }
    self.product = product
    self.convolution = matrices
    self.workers = workers
    if convolution.role == .forward {
      let epilogue = convolution.epilogue
      slots = Slots(
        pixels: 0, bias: epilogue.hasBias ? 2 : nil, residual: epilogue.hasResidual ? 1 + epilogue.operandCount : nil,
        result: 2 + epilogue.operandCount)
    } else {
      slots = Slots(pixels: 2, result: 3)
    }
    var layout = ScratchLayout()
    offsets.panels = matrices.isRightConstant ? 0 : layout.add(product.blocking.packedBytes)
    offsets.gathered = layout.add(workers * product.gatheredBytes)
    scratchBytes = layout.byteCount
    packed = nil
  }

  private init(_ other: PointwiseConvolution, packed: LaidOutConstant) {
    (convolution, product, slots, offsets) = (other.convolution, other.product, other.slots, other.offsets)
    (scratchBytes, workers) = (other.scratchBytes, other.workers)
    self.packed = packed
  }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    guard convolution.isRightConstant, let filter = constants[slots.filter],
      let packed = layouts.constant(
        filter, by: PanelLayout(product: convolution, blocking: product.blocking))
    else { return call }
    return PointwiseConvolution(self, packed: packed).call
  }

  private var call: BoundCall {
    BoundCall(
      { _, slots, data in
        BoundCall.object(PointwiseConvolution.self, at: data).run(slots) ? 0 : 1
      }, object: self, unread: packed == nil ? [] : [slots.filter])
  }

  private struct Work {
    var execution: Unmanaged<PointwiseConvolution>
    var operands: PackedProduct.Operands
  }

  private func run(_ addresses: UnsafePointer<UnsafeMutablePointer<UInt8>?>) -> Bool {
    func floats(_ slot: Int, _ offset: Int = 0) -> UnsafeMutablePointer<Float>? {
      addresses[slot].map { UnsafeMutableRawPointer($0 + offset).assumingMemoryBound(to: Float.self) }
    }
    let isScratchNeeded = scratchBytes > 0
    var packed: TensorStorage?
    var panels: UnsafeMutablePointer<Float>?
    if convolution.isRightConstant {
      // A plan's constants are known when it is bound; whoever binds without them waits for the packing.
      packed =
        self.packed.map { $0.storage() } ?? addresses[slots.filter].map { product.blocking.packed($0, convolution) }
      panels = packed?.bytes.assumingMemoryBound(to: Float.self)
    } else {
      panels = floats(slots.scratch, offsets.panels)
      guard let filter = floats(slots.filter), let panels else { return false }
      product.blocking.pack(filter, convolution, to: panels)
    }
    guard let pixels = floats(slots.pixels), let result = floats(slots.result), let panels else { return false }
    var task = Work(
      execution: .passUnretained(self),
      operands: PackedProduct.Operands(
        a: UnsafePointer(pixels), panels: UnsafePointer(panels), c: result,
        bias: slots.bias.flatMap { UnsafePointer(floats($0)) },
        residual: slots.residual.flatMap { UnsafePointer(floats($0)) },
        gathered: isScratchNeeded ? floats(slots.scratch, offsets.gathered) : nil))
    martlet_team_parallel(
      { context, worker, team in
        guard let task = context?.assumingMemoryBound(to: Work.self).pointee else { return }
        let execution = task.execution.takeUnretainedValue()
        // No more take part, whatever the team's size: the others have no scratch memory.
        let workers = min(Int(team), execution.workers)
        guard worker < workers else { return }
        execution.product.run(task.operands, Int(worker), workers)
      }, &task)
    withExtendedLifetime(packed) {}
    return true
  }
}

extension Convolution {
  /// Whether filters are 1×1 and there are no zeros around the images.
  var isPointwise: Bool {
    !isChannelsFirst && groups == 1 && !isDepthwise && kernelHeight == 1 && kernelWidth == 1 && paddingTop == 0
      && paddingLeft == 0 && (outputHeight - 1) * strideHeight < inputHeight
      && (outputWidth - 1) * strideWidth < inputWidth
  }

  /// The product of matrices that a convolution by 1×1 filters is, or the gradient of its image; nil for all else.
  fileprivate var asProduct: MatrixProduct? {
    let isForward = role == .forward
    guard isPointwise, isForward || role == .backwardData,
      isForward || (inputHeight, inputWidth) == (outputHeight, outputWidth)
    else { return nil }
    var product = MatrixProduct(
      elementType: elementType, m: batch * outputHeight * outputWidth, n: isForward ? outputChannels : inputChannels,
      k: isForward ? inputChannels : outputChannels, transposeA: false, transposeB: !isForward)
    product.isRightConstant = isFilterConstant
    product.epilogue = isForward ? epilogue : Epilogue()
    return product
  }
}
