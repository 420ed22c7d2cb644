import MartletGraph

/// Operations of neural networks.
let networkOperations: [any Operation.Type] = [
  Relu.self, ReluGrad.self, Relu6.self, Relu6Grad.self, LeakyRelu.self, LeakyReluGrad.self,
  Elu.self, EluGrad.self, Selu.self, SeluGrad.self,
  BiasAdd.self, BiasAddGrad.self, Softmax.self, LogSoftmax.self,
  SoftmaxCrossEntropyWithLogits.self, SparseSoftmaxCrossEntropyWithLogits.self,
]
