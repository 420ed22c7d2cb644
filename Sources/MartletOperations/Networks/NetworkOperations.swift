import MartletGraph

/// Activations, convolutions, pooling, normalisation and losses.
let networkOperations: [any Operation.Type] = []
