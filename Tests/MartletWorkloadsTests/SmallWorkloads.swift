import Martlet

@testable import MartletWorkloads

/// The workloads' models, small enough to be interpreted.
struct SmallWorkload: Sendable, CustomStringConvertible {
  let description: String
  let model: @Sendable () -> any WorkloadModel

  static let all: [SmallWorkload] = [
    SmallWorkload(description: "overhead_chain") { OverheadModel.chain(count: 30) },
    SmallWorkload(description: "overhead_wide") { OverheadModel.wide(count: 30) },
    SmallWorkload(description: "fused_elementwise") { MemoryModel.elementwise(count: 1000) },
    SmallWorkload(description: "softmax_rows") { MemoryModel.softmaxRows(6, 40) },
    SmallWorkload(description: "layernorm") { MemoryModel.layerNorm(6, 40) },
    SmallWorkload(description: "matmul") { ForwardModel.matrixProduct(20) },
    SmallWorkload(description: "mlp_train") { MultilayerPerceptron.training(layers: [12, 10, 8, 5], batch: 6) },
    SmallWorkload(description: "lenet_train") {
      LeNet.training(.init(batch: 2, extent: 8, channels: (4, 6), units: 12))
    },
    SmallWorkload(description: "lenet_infer") {
      LeNet.inference(.init(batch: 2, extent: 8, channels: (4, 6), units: 12))
    },
    SmallWorkload(description: "lstm_train") {
      LSTM.training(.init(cells: 6, inputs: 5, classes: 4, steps: 3, batch: 3))
    },
    SmallWorkload(description: "resnet50_infer") {
      ResNet50.inference(batch: 2, .init(blocks: [1, 1], width: 4, extent: 16, classes: 5))
    },
    SmallWorkload(description: "resnet50_train") {
      ResNet50.training(batch: 2, .init(blocks: [1, 1], width: 4, extent: 16, classes: 5))
    },
    SmallWorkload(description: "bert_base_infer") {
      BERT.inference(
        batch: 2, .init(layers: 1, hidden: 16, heads: 2, inner: 24, vocabulary: 20, positions: 12, sequence: 6))
    },
  ]
}

protocol WorkloadModel {
  func recipe() -> Recipe
  func execution(_ options: Workload.Options) throws -> Workload.Execution
}
extension ForwardModel: WorkloadModel {
  func execution(_ options: Workload.Options) throws -> Workload.Execution { try builder(options) }
}
extension TrainingModel: WorkloadModel {}
