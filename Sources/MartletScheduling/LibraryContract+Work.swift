import MartletGraph

extension LibraryContract {
  /// The multiplications of products and of convolutions done directly; 0 where memory traffic is what takes the time.
  package var multiplicationCount: Int {
    switch self {
    case .matrixProduct(let product): product.batch * product.m * product.n * product.k
    case .convolution(let convolution):
      convolution.batch * convolution.outputHeight * convolution.outputWidth * convolution.outputChannels
        * convolution.kernelHeight * convolution.kernelWidth * convolution.inputChannels / max(convolution.groups, 1)
    case .attention(let attention):
      attention.batch * attention.heads * attention.queries * attention.keys
        * (attention.width + attention.valueWidth)
    case .attentionGradient(let gradient):
      // The scores again, the gradients of the weights, and those of q, k and v.
      gradient.attention.batch * gradient.attention.heads * gradient.attention.queries * gradient.attention.keys
        * (3 * gradient.attention.width + 2 * gradient.attention.valueWidth)
    case .recurrent(let network):
      // A gradient has the forward steps again, and twice as many products.
      network.directions * network.steps * network.batch * network.rows * (network.inputs + network.hidden)
        * (network.role == .forward ? 1 : 3)
    case .pooling, .batchNormalization: 0
    }
  }
}
