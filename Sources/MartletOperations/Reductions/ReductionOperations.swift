import MartletGraph

/// Operations that combine elements along axes.
let reductionOperations: [any Operation.Type] = [
  Sum.self, Mean.self, L2Loss.self, Max.self, Min.self, Prod.self, All.self, AnyReduction.self,
  ArgMax.self, ArgMin.self, Cumsum.self, Cumprod.self,
]
