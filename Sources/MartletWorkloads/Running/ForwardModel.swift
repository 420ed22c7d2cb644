import Martlet

/// The data of a workload that computes a result from arrays, and the computation. Every run fetches the result, but where
/// operands are resident on a GPU: there it stays with them, since copying both ways would be all that is measured.
struct ForwardModel {
  /// Arrays fed at every run.
  var feeds: [Tensor] = []
  /// Weights, which are constants of the graph, as in a frozen model.
  var weights = NamedArrays()
  /// Large operands that stay in variables, so that feeding them is not measured.
  var resident: [Tensor] = []
  let result: (Inputs) -> Output

  /// The values of a graph that stand for the arrays.
  struct Inputs {
    let graph: Graph
    let feeds: [Output]
    let weights: [String: Output]
    let resident: [Output]
  }

  /// The graph over the arrays.
  func recipe() -> Recipe {
    let graph = Graph()
    let placeholders = feeds.map { graph.placeholder($0.elementType, shape: Shape($0.shape)) }
    var constants: [String: Output] = [:]
    for (name, tensor) in weights.items { constants[name] = graph.constant(tensor, name: name) }
    let variables = resident.map { graph.variable("resident", $0.shape, .tensor($0)) }
    let output = result(Inputs(graph: graph, feeds: placeholders, weights: constants, resident: variables))
    return Recipe(graph: graph, feeds: placeholders, fetches: [output], targets: [])
  }

  func execution(_ options: Workload.Options) throws -> Workload.Execution {
    var recipe = recipe()
    var results = recipe.fetches
    if !resident.isEmpty, case .cuda = try options.session.device ?? .standard() { results = [recipe.keepResult()] }
    let session = try Session(recipe.graph, options: options.session)
    if !resident.isEmpty { try session.run(recipe.graph.initializer) }
    let call = try session.makeCallable(fetches: recipe.fetches, targets: recipe.targets, feeds: recipe.feeds)
    let feeds = feeds
    return Workload.Execution(
      run: { options in try call.run(feeds, options: options) },
      check: {
        let result = try call.run(feeds).first ?? session.run(results)[0]
        return meanMagnitude(result)
      }, session: session)
  }
}

/// A graph, and what one run of it feeds, fetches and does.
struct Recipe {
  let graph: Graph
  let feeds: [Output]
  private(set) var fetches: [Output]
  private(set) var targets: [GraphNode]

  init(graph: Graph, feeds: [Output], fetches: [Output], targets: [GraphNode]) {
    (self.graph, self.feeds, self.fetches, self.targets) = (graph, feeds, fetches, targets)
  }

  /// Has runs leave the one result, whose shape is known, in a variable instead of fetching it; returns the variable.
  mutating func keepResult() -> Output {
    let extents = fetches[0].type.tensor?.shape.dimensions?.compactMap(\.known) ?? []
    let result = graph.variable("result", extents, .zeros, trainable: false)
    if let store = result.variable?.assign(fetches[0]) { targets.append(store) }
    fetches = []
    return result
  }
}

/// The mean of the absolute values, summed in double precision.
private func meanMagnitude(_ tensor: Tensor) -> Double {
  tensor.withUnsafeBufferPointer(of: Float.self) { elements in
    var sum = 0.0
    for element in elements { sum += Double(element.magnitude) }
    return sum / Double(elements.count)
  }
}
