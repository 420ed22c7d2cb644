import MartletGraph
import MartletOperations
import MartletTensors

/// Samples of control flow. Variables are tested with the walk through the graph, which knows them.
func controlSamples() -> [(String, [ContractSample])] {
  let point = [sample(2, 2), sample(2, seed: 2)]
  let branches = [true, false].map { isTrue in
    ContractSample(
      point,
      one: { x in
        cond(x[0].graph.constant(isTrue)) {
          x[0] * x[1]
        } else: {
          x[0] - exp(x[1])
        }
      })
  }
  let statefulBranches = [true, false].map { isTrue in
    ContractSample(point) { x in
      let graph = x[0].graph
      let types = x.map(\.type)
      let first = graph.buildFunction("first", arguments: types) { [$0[0] * $0[1]] }
      let second = graph.buildFunction("second", arguments: types) { [sin($0[0])] }
      var operation = If()
      (operation.thenBranch, operation.elseBranch) = (first.name, second.name)
      return graph.add(operation, [graph.constant(isTrue)] + x)
    }
  }
  // What is drawn at random is saved, in either branch something else.
  let randomBranches = [true, false].map { isTrue in
    ContractSample(
      point,
      one: { x in
        let graph = x[0].graph
        return cond(graph.constant(isTrue)) {
          exp(x[0] * graph.randomUniform([2], type: .float64, seed: 1)) * x[1]
        } else: {
          let noise = graph.randomUniform([2, 2], type: .float64, seed: 2)
          return graph.call(graph.buildFunction("f", arguments: [x[0].type]) { [sin($0[0] * noise)] }, [x[0]])[0]
        }
      })
  }
  let custom = ContractSample(point) { x in
    withCustomGradient(x) {
      [$0[0] * $0[0]]
    } gradient: { x, _, dy in
      [dy[0] * 2 * x[0], zerosLike(x[1])]
    }
  }
  func call(_ name: String) -> ContractSample {
    ContractSample(point) { x in
      let function = x[0].graph.buildFunction("f", arguments: x.map(\.type)) { [$0[0] * exp($0[1]), square($0[0])] }
      return try apply(name, ["f": .function(function.name.name)], x)
    }
  }
  return [
    ("StatelessIf", branches + randomBranches), ("If", statefulBranches),
    ("PartitionedCall", [call("PartitionedCall"), custom]),
    ("StatefulPartitionedCall", [call("StatefulPartitionedCall")]),
  ]
}
