import MartletGraph

/// Branches, loops and calls of sub-graphs.
let controlOperations: [any Operation.Type] = []
