import MartletGraph

/// Matrix products.
let linearAlgebraOperations: [any Operation.Type] = []
