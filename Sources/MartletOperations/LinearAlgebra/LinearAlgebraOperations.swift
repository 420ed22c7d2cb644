import MartletGraph

/// Operations of linear algebra.
let linearAlgebraOperations: [any Operation.Type] = [MatMul.self, BatchMatMulV2.self]
