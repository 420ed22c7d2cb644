import MartletGraph

/// Operations on each element alone.
let elementwiseOperations: [any Operation.Type] = []
