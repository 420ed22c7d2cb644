import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The gradient of a small filter in Winograd's way.
///
/// It is a convolution too: of tiles of 6×6 inputs by the gradients under them, 4×4 for the 3×3 weights of a filter and 2×2 for
/// 5×5, summed over all tiles. With both in the basis the sums are 36 products of matrices.
final class WinogradFilterGradient: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let shape: WinogradShape
  private let workers: Int
  private let compiler: NestCompiler
  /// Where things lie in scratch memory; the workers' own has the operands where they are not shared.
  private let offsets: (inputs: Int, gradients: Int, sums: Int, workers: Int)

  /// Nil for what is not done so, or not faster.
  init?(_ convolution: Convolution, compiler: NestCompiler, vectorBytes: Int, workers: Int) {
    guard convolution.role == .backwardFilter,
      let shape = WinogradShape(convolution, vectorBytes: vectorBytes, workers: workers), shape.isSumWorthwhile
    else { return nil }
    self.shape = shape
    self.workers = workers
    self.compiler = compiler
    var layout = ScratchLayout()
    let (inputs, gradients) = (4 * ((shape.sourceElements + 15) & -16), 4 * ((shape.resultElements + 15) & -16))
    let operands = layout.add(shape.isShared ? inputs + gradients : 0)
    let ownBytes = shape.halfBytes + (shape.isShared ? 0 : inputs + gradients)
    offsets = (
      operands, operands + inputs, layout.add(4 * shape.sumCount * shape.filterElements),
      layout.add(workers * ownBytes)
    )
    scratchBytes = layout.byteCount
  }

  var nests: [Nest] {
    let builder = WinogradFilterGradientNests(shape)
    return [builder.sums(), builder.filter()]
  }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) throws -> BoundCall {
    let kernels = try compiler.known(nests)
    let call = Call(sums: kernels[0], filter: kernels[1], shape: shape, offsets: offsets, workers: workers)
    return BoundCall(
      { _, slots, data in
        BoundCall.object(Call.self, at: data).run(slots)
        return 0
      }, object: call)
  }

  private final class Call: Sendable {
    private let sums: CompiledKernel
    private let filter: CompiledKernel
    private let shape: WinogradShape
    private let offsets: (inputs: Int, gradients: Int, sums: Int, workers: Int)
    private let workers: Int

    init(
      sums: CompiledKernel, filter: CompiledKernel, shape: WinogradShape,
      offsets: (inputs: Int, gradients: Int, sums: Int, workers: Int), workers: Int
    ) {
      (self.sums, self.filter, self.shape, self.offsets, self.workers) = (sums, filter, shape, offsets, workers)
    }

    /// Slots: the image, its filter's sizes, the gradient of the result, the filter's gradient, scratch memory.
    func run(_ addresses: UnsafePointer<UnsafeMutablePointer<UInt8>?>) {
      func address(_ slot: Int) -> UnsafeMutableRawPointer? { addresses[slot].map { UnsafeMutableRawPointer($0) } }
      func piece(_ offset: Int) -> UnsafeMutableRawPointer? { address(4).map { $0 + offset } }
      let own = piece(offsets.workers)
      var arguments = [address(0), address(2), piece(offsets.sums)]
      if shape.isShared {
        arguments += [piece(offsets.inputs), piece(offsets.gradients)]
        for block in 0..<shape.blockCount {
          sums.run(
            arguments, parameters: [Int64(block * shape.blockTiles)], scratch: own, workers: workers)
        }
      } else {
        sums.run(arguments, scratch: own, workers: workers)
      }
      filter.run([piece(offsets.sums), address(3)], scratch: own, workers: workers)
    }
  }
}

extension WinogradShape {
  /// Whether the gradient of the filter is faster so: where there is more to sum than to bring back from the basis.
  fileprivate var isSumWorthwhile: Bool {
    min(source.channels, result.channels) >= 32 && 4 * tileCount >= min(source.channels, result.channels)
  }
}
