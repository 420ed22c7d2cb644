import MartletGraph

/// Random numbers.
let randomOperations: [any Operation.Type] = [
  RandomUniform.self, RandomStandardNormal.self, TruncatedNormal.self, RandomUniformInt.self,
]
