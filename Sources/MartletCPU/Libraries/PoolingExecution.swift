import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Pooling and its gradients by oneDNN.
///
/// The gradient of maxima needs to know where they were; oneDNN finds out by pooling once more.
final class PoolingExecution: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let primitive: DNNPrimitive
  /// Finds the places of the maxima, for their gradient.
  private let finder: DNNPrimitive?
  private let slots: (image: Int?, result: Int, gradient: Int?, scratch: Int)
  private let offsets: (workspace: Int, result: Int, finderScratch: Int, scratch: Int)

  /// Nil where oneDNN does not do it.
  init?(_ pooling: Pooling, isOnOneThread: Bool = false) {
    guard pooling.elementType == .float32, !pooling.isEmpty else { return nil }
    var description = martlet_dnn_description()
    description.algorithm =
      pooling.kind == .maximum ? martlet_dnn_maximum : martlet_dnn_average_excluding_padding
    description.setWindow(
      (pooling.kernelHeight, pooling.kernelWidth), strides: (pooling.strideHeight, pooling.strideWidth),
      before: (pooling.paddingTop, pooling.paddingLeft), after: (pooling.paddingBottom, pooling.paddingRight))
    description.source = martlet_dnn_tensor(
      images: pooling.batch, pooling.channels, pooling.inputHeight, pooling.inputWidth,
      isChannelsFirst: pooling.isChannelsFirst)
    description.destination = martlet_dnn_tensor(
      images: pooling.batch, pooling.channels, pooling.outputHeight, pooling.outputWidth,
      isChannelsFirst: pooling.isChannelsFirst)
    let isGradient = pooling.role == .backward
    description.kind = isGradient ? martlet_dnn_pooling_gradient : martlet_dnn_pooling
    description.one_thread = isOnOneThread ? 1 : 0
    guard let primitive = DNNPrimitive(description) else { return nil }
    self.primitive = primitive
    var layout = ScratchLayout()
    var offsets = (workspace: 0, result: 0, finderScratch: 0, scratch: 0)
    offsets.scratch = layout.add(primitive.bytes(martlet_dnn_scratch_role))
    if isGradient, pooling.kind == .maximum {
      description.kind = martlet_dnn_pooling
      description.training = 1
      guard let finder = DNNPrimitive(description) else { return nil }
      self.finder = finder
      offsets.workspace = layout.add(finder.bytes(martlet_dnn_workspace_role))
      offsets.result = layout.add(finder.bytes(martlet_dnn_destination_role))
      offsets.finderScratch = layout.add(finder.bytes(martlet_dnn_scratch_role))
      slots = (image: 0, result: 3, gradient: 2, scratch: 4)
    } else {
      finder = nil
      slots =
        isGradient ? (image: nil, result: 2, gradient: 1, scratch: 3) : (image: 0, result: 1, gradient: nil, scratch: 2)
    }
    self.offsets = offsets
    scratchBytes = layout.byteCount
  }

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    BoundCall({ _, slots, data in BoundCall.object(PoolingExecution.self, at: data).run(slots) ? 0 : 1 }, object: self)
  }

  private func run(_ addresses: UnsafePointer<UnsafeMutablePointer<UInt8>?>) -> Bool {
    func address(_ slot: Int?) -> UnsafeMutableRawPointer? {
      slot.flatMap { addresses[$0] }.map { UnsafeMutableRawPointer($0) }
    }
    let scratch = scratchBytes > 0 ? address(slots.scratch) : nil
    func piece(_ offset: Int) -> UnsafeMutableRawPointer? { scratch.map { $0 + offset } }
    return withUnsafeTemporaryAllocation(
      of: UnsafeMutableRawPointer?.self, capacity: Int(martlet_dnn_role_count.rawValue)
    ) { table in
      table.initialize(repeating: nil)
      guard let memory = table.baseAddress else { return false }
      let (source, destination) = (
        Int(martlet_dnn_source_role.rawValue), Int(martlet_dnn_destination_role.rawValue)
      )
      let isGradient = slots.gradient != nil
      if let finder {
        memory[source] = address(slots.image)
        memory[destination] = piece(offsets.result)
        memory[Int(martlet_dnn_workspace_role.rawValue)] = piece(offsets.workspace)
        memory[Int(martlet_dnn_scratch_role.rawValue)] = piece(offsets.finderScratch)
        guard finder.run(memory) else { return false }
      }
      memory[source] = isGradient ? address(slots.result) : address(slots.image)
      memory[destination] = isGradient ? address(slots.gradient) : address(slots.result)
      memory[Int(martlet_dnn_scratch_role.rawValue)] = piece(offsets.scratch)
      return primitive.run(memory)
    }
  }
}
