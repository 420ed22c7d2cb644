import MartletGraph

/// Branches, loops and calls of sub-graphs.
let controlOperations: [any Operation.Type] = [
  If.self, StatelessIf.self, While.self, StatelessWhile.self, PartitionedCall.self, StatefulPartitionedCall.self,
]
