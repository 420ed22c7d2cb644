import MartletGraph

/// Sums, extrema and the like, and running ones.
let reductionOperations: [any Operation.Type] = []
