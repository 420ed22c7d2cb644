import CMartletRuntime
import MartletGraph

/// A recurrent layer as cuDNN is told of it, with one of its algorithms.
///
/// Weights and biases go through a space of cuDNN's, in which each gate's matrix is where cuDNN wants it; the matrices themselves
/// lie there as in the contract.
final class CuDNNRecurrentLayer: @unchecked Sendable {
  /// Device addresses, 0 for what there is none of.
  struct Spaces {
    var weights: UInt64
    var workspace: UInt64
    var reserve: UInt64
  }

  let algorithm: Int
  let weightBytes: Int
  let workspaceBytes: Int
  /// What a forward call in training leaves for the gradient.
  let reserveBytes: Int
  private let network: RecurrentNetwork
  private let owner: CuDNNHandle
  private let descriptors: CuDNNDescriptors
  private let operation: martlet_cudnn_network
  private let x: martlet_cudnn_sequences
  private let y: martlet_cudnn_sequences
  private let state: martlet_cudnn_tensor
  private let pieces: [Piece]

  /// Bytes of an operand, weights, recurrent weights or biases, that are together in the weight space.
  private struct Piece {
    var operand: Int
    var offset: Int
    var place: Int
    var byteCount: Int
  }

  /// Those whose numbers can be relied on without knowing the batch beforehand; the plain one first.
  static let algorithms = [
    martlet_cudnn_recurrent_standard, martlet_cudnn_recurrent_persistent, martlet_cudnn_recurrent_persistent_small,
  ].map { Int($0) }

  /// - Throws: Failures of cuDNN, which refuses what it does not do.
  init(
    _ network: RecurrentNetwork, cell: Int, algorithm: Int, _ owner: CuDNNHandle, _ options: CUDALibraryOptions
  ) throws(CUDAFailure) {
    (self.network, self.algorithm, self.owner) = (network, algorithm, owner)
    descriptors = CuDNNDescriptors(owner)
    let operation = try descriptors.network(
      network, cell: cell, algorithm: algorithm,
      mathematics: Int(options.allowsTF32 ? martlet_cudnn_default_mathematics : martlet_cudnn_multiply_add))
    self.operation = operation
    let x = try descriptors.sequences(steps: network.steps, batch: network.batch, width: network.inputs)
    self.x = x
    y = try descriptors.sequences(
      steps: network.steps, batch: network.batch, width: network.directions * network.hidden)
    state = try descriptors.tensor((network.directions, network.batch, network.hidden))
    var sizes = (weights: 0, workspace: 0, reserve: 0)
    let mode = Int32(network.role == .forward ? martlet_cudnn_inference : martlet_cudnn_training)
    try owner.use { (library, handle) throws(CUDAFailure) in
      try owner.check(
        library.pointee.GetRNNWeightSpaceSize(handle, operation, &sizes.weights), "cudnnGetRNNWeightSpaceSize")
      try owner.check(
        library.pointee.GetRNNTempSpaceSizes(handle, operation, mode, x, &sizes.workspace, &sizes.reserve),
        "cudnnGetRNNTempSpaceSizes")
    }
    (weightBytes, workspaceBytes, reserveBytes) = (sizes.weights, sizes.workspace, sizes.reserve)
    pieces = try Self.pieces(network, operation, descriptors, weightBytes: sizes.weights)
  }

  // MARK: Weights

  /// Where the weights go.
  ///
  /// - Throws: What says that cuDNN's matrices are not those of the contract, too.
  private static func pieces(
    _ network: RecurrentNetwork, _ operation: martlet_cudnn_network, _ descriptors: CuDNNDescriptors, weightBytes: Int
  ) throws(CUDAFailure) -> [Piece] {
    let (owner, gates, hidden) = (descriptors.owner, network.cell.gateCount, network.hidden)
    let space = try DeviceMemory(owner.context, byteCount: weightBytes)
    let (matrixType, biasType) = (try descriptors.tensor(), try descriptors.tensor())
    var pieces: [Piece] = []
    func add(_ operand: Int, _ offset: Int, _ address: UnsafeMutableRawPointer?, count: Int) throws(CUDAFailure) {
      let place = address.map { Int(bitPattern: $0) - Int(space.address) } ?? -1
      guard place >= 0, place + 4 * count <= weightBytes else { throw Self.mismatch("a place in the weight space") }
      pieces.append(Piece(operand: operand, offset: 4 * offset, place: place, byteCount: 4 * count))
    }
    for direction in 0..<network.directions {
      for layer in 0..<2 * gates {
        var matrix: UnsafeMutableRawPointer?
        var bias: UnsafeMutableRawPointer?
        try owner.use { (library, handle) throws(CUDAFailure) in
          try owner.check(
            library.pointee.GetRNNWeightParams(
              handle, operation, Int32(direction), weightBytes, UnsafeRawPointer(bitPattern: UInt(space.address)),
              Int32(layer), matrixType, &matrix, biasType, &bias), "cudnnGetRNNWeightParams")
        }
        let columns = layer < gates ? network.inputs : hidden
        try expect(matrixType, [1, hidden, columns], owner)
        try expect(biasType, [1, hidden, 1], owner)
        let gate = direction * gates + layer % gates
        try add(layer < gates ? 1 : 2, gate * hidden * columns, matrix, count: hidden * columns)
        try add(3, (direction * 2 * gates + layer) * hidden, bias, count: hidden)
      }
    }
    return merged(pieces)
  }

  private static func expect(
    _ type: martlet_cudnn_tensor, _ wanted: [Int], _ owner: CuDNNHandle
  ) throws(CUDAFailure) {
    var (element, count): (Int32, Int32) = (-1, 0)
    var extents = [Int32](repeating: 0, count: 8)
    var strides = extents
    try owner.check(
      owner.library.pointee.GetTensorNdDescriptor(type, 8, &element, &count, &extents, &strides),
      "cudnnGetTensorNdDescriptor")
    let isDense = Int(strides[1]) == wanted[2] && (strides[2] == 1 || wanted[2] == 1)
    guard element == Int32(martlet_cudnn_float32), extents.prefix(Int(count)).map({ Int($0) }) == wanted, isDense else {
      throw mismatch("the shape \(extents.prefix(Int(count))) of \(wanted)")
    }
  }

  private static func mismatch(_ what: String) -> CUDAFailure {
    CUDAFailure(call: "cudnnGetRNNWeightParams", code: 0, name: "unexpected", text: "cuDNN says \(what)")
  }

  /// Pieces that are next to each other in both places are one.
  private static func merged(_ pieces: [Piece]) -> [Piece] {
    var result: [Piece] = []
    for piece in pieces.sorted(by: { ($0.operand, $0.offset) < ($1.operand, $1.offset) }) {
      if let last = result.last, last.operand == piece.operand, last.offset + last.byteCount == piece.offset,
        last.place + last.byteCount == piece.place
      {
        result[result.count - 1].byteCount += piece.byteCount
      } else {
        result.append(piece)
      }
    }
    return result
  }

  /// Puts weights, recurrent weights and biases into the weight space.
  ///
  /// - Parameter operands: Their addresses behind that of x, which is not read.
  func pack(on stream: CUDAStream, from operands: [UInt64], to space: UInt64) throws(CUDAFailure) {
    for piece in pieces {
      try stream.copy(
        to: space + UInt64(piece.place), from: operands[piece.operand] + UInt64(piece.offset),
        byteCount: piece.byteCount)
    }
  }

  /// The other way: gradients out of a weight space.
  func unpack(on stream: CUDAStream, from space: UInt64, to operands: [UInt64]) throws(CUDAFailure) {
    for piece in pieces {
      try stream.copy(
        to: operands[piece.operand] + UInt64(piece.offset), from: space + UInt64(piece.place),
        byteCount: piece.byteCount)
    }
  }

  // MARK: Calls

  /// - Parameters:
  ///   - initial: h, and c where there is one.
  ///   - last: The same behind the last step; empty if it is not wanted.
  func forward(
    on stream: CUDAStream, x: UInt64, initial: [UInt64], y: UInt64, last: [UInt64], _ spaces: Spaces
  ) throws(CUDAFailure) {
    let isTraining = network.role == .backward
    try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
      try owner.check(
        library.pointee.RNNForward(
          handle, operation, Int32(isTraining ? martlet_cudnn_training : martlet_cudnn_inference), nil, self.x,
          pointer(x), self.y, pointer(y), state, pointer(initial[0]), pointer(last.first ?? 0), state,
          pointer(initial.dropFirst().first ?? 0), pointer(last.dropFirst().first ?? 0), weightBytes,
          pointer(spaces.weights), workspaceBytes, pointer(spaces.workspace), isTraining ? reserveBytes : 0,
          isTraining ? pointer(spaces.reserve) : nil), "cudnnRNNForward")
    }
  }

  /// What a gradient reads and writes beside the spaces.
  struct Gradient {
    var x: UInt64
    var y: UInt64
    var dy: UInt64
    var initial: [UInt64]
    var dlast: [UInt64]
    var dx: UInt64
    var dinitial: [UInt64]
    /// A weight space for the weights' gradients.
    var dweights: UInt64
  }

  /// The gradients, behind a forward call with the same spaces.
  func backward(on stream: CUDAStream, _ g: Gradient, _ spaces: Spaces) throws(CUDAFailure) {
    func second(_ addresses: [UInt64]) -> UnsafeMutableRawPointer? { pointer(addresses.dropFirst().first ?? 0) }
    try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
      try owner.check(
        library.pointee.RNNBackwardData_v8(
          handle, operation, nil, y, pointer(g.y), pointer(g.dy), x, pointer(g.dx), state, pointer(g.initial[0]),
          pointer(g.dlast[0]), pointer(g.dinitial[0]), state, second(g.initial), second(g.dlast), second(g.dinitial),
          weightBytes, pointer(spaces.weights), workspaceBytes, pointer(spaces.workspace), reserveBytes,
          pointer(spaces.reserve)), "cudnnRNNBackwardData_v8")
    }
    // cuDNN only adds to what is there.
    try stream.fill(g.dweights, byte: 0, byteCount: weightBytes)
    try owner.use(on: stream) { (library, handle) throws(CUDAFailure) in
      try owner.check(
        library.pointee.RNNBackwardWeights_v8(
          handle, operation, Int32(martlet_cudnn_add_gradients), nil, x, pointer(g.x), state, pointer(g.initial[0]), y,
          pointer(g.y), weightBytes, pointer(g.dweights), workspaceBytes, pointer(spaces.workspace), reserveBytes,
          pointer(spaces.reserve)), "cudnnRNNBackwardWeights_v8")
    }
  }

  private func pointer(_ address: UInt64) -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(bitPattern: UInt(address))
  }
}
