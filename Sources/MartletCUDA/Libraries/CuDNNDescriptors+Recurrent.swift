import CMartletRuntime
import MartletGraph

extension CuDNNDescriptors {
  /// Sequences of the same length, with padding that there is none of: [steps, batch, width].
  func sequences(steps: Int, batch: Int, width: Int) throws(CUDAFailure) -> martlet_cudnn_sequences {
    var sequences: martlet_cudnn_sequences?
    try owner.check(owner.library.pointee.CreateRNNDataDescriptor(&sequences), "cudnnCreateRNNDataDescriptor")
    let made = try keep(sequences, "cudnnCreateRNNDataDescriptor", owner.library.pointee.DestroyRNNDataDescriptor)
    let lengths = [Int32](repeating: Int32(steps), count: batch)
    try owner.check(
      owner.library.pointee.SetRNNDataDescriptor(
        made, Int32(martlet_cudnn_float32), Int32(martlet_cudnn_steps_first), Int32(steps), Int32(batch), Int32(width),
        lengths, nil), "cudnnSetRNNDataDescriptor")
    return made
  }

  /// A tensor without extents yet, for cuDNN to describe something with.
  func tensor() throws(CUDAFailure) -> martlet_cudnn_tensor {
    var tensor: martlet_cudnn_tensor?
    try owner.check(owner.library.pointee.CreateTensorDescriptor(&tensor), "cudnnCreateTensorDescriptor")
    return try keep(tensor, "cudnnCreateTensorDescriptor", owner.library.pointee.DestroyTensorDescriptor)
  }

  /// A dense array of three dimensions.
  func tensor(_ extents: (Int, Int, Int)) throws(CUDAFailure) -> martlet_cudnn_tensor {
    let made = try tensor()
    try owner.check(
      owner.library.pointee.SetTensorNdDescriptor(
        made, Int32(martlet_cudnn_float32), 3, [Int32(extents.0), Int32(extents.1), Int32(extents.2)],
        [Int32(extents.1 * extents.2), Int32(extents.2), 1]), "cudnnSetTensorNdDescriptor")
    return made
  }

  /// A layer with two biases.
  ///
  /// - Parameter cell: One that cuDNN has, by its number.
  func network(
    _ network: RecurrentNetwork, cell: Int, algorithm: Int, mathematics: Int
  ) throws(CUDAFailure) -> martlet_cudnn_network {
    let library = owner.library
    // cuDNN asks for a dropout between layers even where there is one layer.
    var dropout: martlet_cudnn_dropout?
    try owner.check(library.pointee.CreateDropoutDescriptor(&dropout), "cudnnCreateDropoutDescriptor")
    let none = try keep(dropout, "cudnnCreateDropoutDescriptor", library.pointee.DestroyDropoutDescriptor)
    try owner.use { (library, handle) throws(CUDAFailure) in
      try owner.check(
        library.pointee.SetDropoutDescriptor(none, handle, 0, nil, 0, 0), "cudnnSetDropoutDescriptor")
    }
    var made: martlet_cudnn_network?
    try owner.check(library.pointee.CreateRNNDescriptor(&made), "cudnnCreateRNNDescriptor")
    let operation = try keep(made, "cudnnCreateRNNDescriptor", library.pointee.DestroyRNNDescriptor)
    try owner.check(
      library.pointee.SetRNNDescriptor_v8(
        operation, Int32(algorithm), Int32(cell), Int32(martlet_cudnn_two_biases), Int32(network.directions - 1),
        Int32(martlet_cudnn_linear_input), Int32(martlet_cudnn_float32), Int32(martlet_cudnn_float32),
        Int32(mathematics), Int32(network.inputs), Int32(network.hidden), Int32(network.hidden), 1, none,
        UInt32(martlet_cudnn_padded_sequences)), "cudnnSetRNNDescriptor_v8")
    return operation
  }
}
