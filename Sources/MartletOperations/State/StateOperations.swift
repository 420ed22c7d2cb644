import MartletGraph

/// Variables and effects.
let stateOperations: [any Operation.Type] = []
