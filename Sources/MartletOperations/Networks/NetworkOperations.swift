import MartletGraph

/// Operations of neural networks.
let networkOperations: [any Operation.Type] = [
  Relu.self, ReluGrad.self, Relu6.self, Relu6Grad.self, LeakyRelu.self, LeakyReluGrad.self,
  Elu.self, EluGrad.self, Selu.self, SeluGrad.self, Gelu.self, GeluGrad.self,
  BiasAdd.self, BiasAddGrad.self, Softmax.self, LogSoftmax.self,
  SoftmaxCrossEntropyWithLogits.self, SparseSoftmaxCrossEntropyWithLogits.self,
  Conv2D.self, Conv2DBackpropInput.self, Conv2DBackpropFilter.self,
  DepthwiseConv2dNative.self, DepthwiseConv2dNativeBackpropInput.self, DepthwiseConv2dNativeBackpropFilter.self,
  MaxPool.self, MaxPoolGrad.self, MaxPoolGradGrad.self, AvgPool.self, AvgPoolGrad.self,
  FusedBatchNormV3.self, FusedBatchNormGradV3.self, RecurrentLayer.self, RecurrentLayerGrad.self,
]
