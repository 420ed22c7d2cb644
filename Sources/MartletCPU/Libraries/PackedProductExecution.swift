import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Products by code of our own with a matrix that is constant, and laid out once as the code reads it, or that is given so.
/// An epilogue is done on the way.
final class PackedProductExecution: LibraryExecution {
  let isWide = true
  let scratchBytes = 0
  private let product: MatrixProduct
  private let packedProduct: PackedProduct
  private let packed: LaidOutConstant?

  /// Nil where a library, or generated code, does better.
  init?(_ product: MatrixProduct, _ compiler: TileCompiler, _ machine: TargetMachine) {
    guard product.isRightConstant || product.panelWidth != nil, PackedProduct.isWorthwhile(product, compiler),
      let packedProduct = PackedProduct(product, compiler, machine),
      product.panelWidth == nil || product.panelWidth == packedProduct.blocking.width
    else { return nil }
    self.product = product
    self.packedProduct = packedProduct
    packed = nil
  }

  /// The width of panels for a matrix that several products share; nil where libraries do as well.
  static func panelWidth(for product: MatrixProduct, _ compiler: TileCompiler, _ machine: TargetMachine) -> Int? {
    guard PackedProduct.isWorthwhile(product, compiler) else { return nil }
    return ProductBlocking(m: product.m, n: product.n, k: product.k, lanes: compiler.lanes, machine).width
  }

  private init(_ other: PackedProductExecution, packed: LaidOutConstant) {
    (product, packedProduct) = (other.product, other.packedProduct)
    self.packed = packed
  }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    guard let matrix = constants[1], product.panelWidth == nil,
      let packed = layouts.constant(
        matrix, by: PanelLayout(product: product, blocking: packedProduct.blocking))
    else { return call }
    return PackedProductExecution(self, packed: packed).call
  }

  private var call: BoundCall {
    BoundCall(
      { _, slots, data in
        let execution = BoundCall.object(PackedProductExecution.self, at: data)
        guard let a = slots[0], let c = slots[2 + execution.product.epilogue.operandCount] else { return 1 }
        execution.run(a, slots[1], c, slots)
        return 0
      }, object: self, unread: packed == nil ? [] : [1])
  }

  private struct Task {
    var execution: Unmanaged<PackedProductExecution>
    var operands: PackedProduct.Operands
  }

  private func run(
    _ a: UnsafeMutablePointer<UInt8>, _ b: UnsafeMutablePointer<UInt8>?, _ c: UnsafeMutablePointer<UInt8>,
    _ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>
  ) {
    func floats(_ slot: Int) -> UnsafePointer<Float>? {
      slots[slot].map { UnsafePointer(UnsafeMutableRawPointer($0).assumingMemoryBound(to: Float.self)) }
    }
    let epilogue = product.epilogue
    // A plan's constants are known when it is bound; whoever binds without them waits for the packing.
    let packed =
      product.panelWidth == nil
      ? self.packed.map { $0.storage() } ?? b.map { packedProduct.blocking.packed($0, product) } : nil
    guard let panels = packed?.bytes ?? b.map({ UnsafeMutableRawPointer($0) }) else {
      preconditionFailure("a product has no right matrix")
    }
    var task = Task(
      execution: .passUnretained(self),
      operands: PackedProduct.Operands(
        a: UnsafeMutableRawPointer(a).assumingMemoryBound(to: Float.self),
        panels: panels.assumingMemoryBound(to: Float.self),
        c: UnsafeMutableRawPointer(c).assumingMemoryBound(to: Float.self), bias: epilogue.hasBias ? floats(2) : nil,
        residual: epilogue.hasResidual ? floats(2 + (epilogue.hasBias ? 1 : 0)) : nil))
    martlet_team_parallel(
      { context, worker, workers in
        guard let task = context?.assumingMemoryBound(to: Task.self).pointee else { return }
        task.execution.takeUnretainedValue().packedProduct.run(task.operands, Int(worker), Int(workers))
      }, &task)
    withExtendedLifetime(packed) {}
  }
}
