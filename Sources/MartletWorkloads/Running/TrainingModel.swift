import Martlet

/// The data of a workload that trains a model, and the model.
struct TrainingModel {
  /// The first values of the variables.
  let weights: NamedArrays
  /// Examples and labels, fed in turn, one batch a step.
  let batches: [(examples: Tensor, labels: Tensor)]
  let optimizer: any Optimizer
  /// The step whose loss is the check.
  var checkedStep = 10
  /// The logits for a batch of examples.
  let logits: (inout Inputs) -> Output

  /// The same with products in bfloat16: variables, and what optimizer and loss compute, stay in float32.
  func inBFloat16() -> TrainingModel {
    TrainingModel(weights: weights, batches: batches, optimizer: optimizer, checkedStep: checkedStep) { inputs in
      var rounded = Inputs(
        examples: cast(inputs.examples, to: .bfloat16), weights: inputs.weights.mapValues { cast($0, to: .bfloat16) })
      return cast(logits(&rounded), to: .float32)
    }
  }

  struct Inputs {
    let examples: Output
    let weights: [String: Output]
    /// New values of variables that the optimizer does not change.
    var updates: [(variable: Output, value: Output)] = []
  }

  /// The graph of a step.
  func recipe() -> Recipe {
    let graph = Graph()
    let first = batches[0]
    let examples = graph.placeholder(.float32, shape: Shape(first.examples.shape), name: "examples")
    let labels = graph.placeholder(.int32, shape: Shape(first.labels.shape), name: "labels")
    var variables: [String: Output] = [:]
    for (name, tensor) in weights.items { variables[name] = graph.variable(name, tensor.shape, .tensor(tensor)) }
    var inputs = Inputs(examples: examples, weights: variables)
    let loss = mean(sparseSoftmaxCrossEntropy(logits: logits(&inputs), labels: labels))
    let moving = Set(inputs.updates.compactMap { $0.variable.variable?.name })
    let trained = graph.trainableVariables.filter { !moving.contains($0.name) }
    let step = optimizer.minimize(loss, variables: trained)
    let updates = inputs.updates.compactMap { $0.variable.variable?.assign($0.value) }
    return Recipe(graph: graph, feeds: [examples, labels], fetches: [loss], targets: [step] + updates)
  }

  func execution(_ options: Workload.Options) throws -> Workload.Execution {
    let recipe = recipe()
    let session = try Session(recipe.graph, options: options.session)
    try session.run(recipe.graph.initializer)
    let call = try session.makeCallable(fetches: recipe.fetches, targets: recipe.targets, feeds: recipe.feeds)
    let feed = BatchFeed(batches)
    let run: (RunOptions) throws -> Float = { options in
      try call.run(feed.next(), options: options)[0].item(as: Float.self)
    }
    return Workload.Execution(
      run: { options in _ = try run(options) },
      check: {
        // One step was taken before the check.
        for _ in 2..<checkedStep { _ = try run(RunOptions()) }
        return try Double(run(RunOptions()))
      }, session: session)
  }
}

/// Batches in turn, from the first again after the last.
private final class BatchFeed {
  private let batches: [[Tensor]]
  private var position = 0

  init(_ batches: [(examples: Tensor, labels: Tensor)]) { self.batches = batches.map { [$0.examples, $0.labels] } }

  func next() -> [Tensor] {
    defer { position = (position + 1) % batches.count }
    return batches[position]
  }
}
