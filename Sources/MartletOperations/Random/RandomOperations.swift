import MartletGraph

/// Random numbers.
let randomOperations: [any Operation.Type] = []
