import MartletGraph
import MartletOperations
import MartletTensors

/// Samples of layers of recurrent networks.
func recurrentSamples() -> [(String, [ContractSample])] {
  var layers: [ContractSample] = []
  var gradients: [ContractSample] = []
  for (i, kind) in RecurrentCell.allCases.enumerated() {
    // The plain networks go both ways.
    let directions = kind.gateCount == 1 ? 2 : 1
    // Where the network is not smooth everywhere, its sums are positive.
    let range = kind == .relu ? 0.3...1.2 : -0.9...0.9
    let rows = kind.gateCount * 2
    let shapes =
      [[2, 1, 2], [directions, rows, 2], [directions, rows, 2], [directions, 2, rows]]
      + Array(repeating: [directions, 1, 2], count: kind.stateCount)
    var numbers = SampleNumbers(seed: i)
    let operands = shapes.map { numbers.tensor($0, in: range) }
    layers.append(ContractSample(operands) { try apply("_RecurrentLayer", ["cell": .text(kind.rawValue)], $0) })
    let upstream = ([[2, 1, directions * 2]] + shapes[4...]).map { numbers.tensor($0, in: range) }
    gradients.append(
      ContractSample(operands[..<4] + [upstream[0]] + operands[4...] + upstream[1...]) {
        try apply("_RecurrentLayerGrad", ["cell": .text(kind.rawValue)], $0)
      })
  }
  return [("_RecurrentLayer", layers), ("_RecurrentLayerGrad", gradients)]
}
