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
  /// What floats are computed in.
  private var type = ElementType.float32
  let result: (Inputs) -> Output

  init(
    feeds: [Tensor] = [], weights: NamedArrays = NamedArrays(), resident: [Tensor] = [],
    result: @escaping (Inputs) -> Output
  ) {
    (self.feeds, self.weights, self.resident, self.result) = (feeds, weights, resident, result)
  }

  /// The same with weights and resident operands in bfloat16, and feeds of float32 converted in each run.
  func inBFloat16() -> ForwardModel {
    var model = self
    model.type = .bfloat16
    return model
  }

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
    for (name, tensor) in weights.items {
      constants[name] = graph.constant(tensor.floats(in: type), name: name)
    }
    let variables = resident.map { graph.variable("resident", $0.shape, .tensor($0.floats(in: type)), type: type) }
    let fed = placeholders.map { $0.elementType == .float32 && type != .float32 ? cast($0, to: type) : $0 }
    let output = result(Inputs(graph: graph, feeds: fed, weights: constants, resident: variables))
    return Recipe(graph: graph, feeds: placeholders, fetches: [output], targets: [])
  }

  /// Builds graph and session, once: from then on the weights are the graph's alone, like those of a model that was read from a
  /// file.
  var builder: Workload.Builder {
    var model: ForwardModel? = self
    return { options in
      guard var recipe = model?.recipe() else { preconditionFailure("the model has been built") }
      let (feeds, isResident) = (model?.feeds ?? [], model?.resident.isEmpty == false)
      model = nil
      var results = recipe.fetches
      if isResident, case .cuda = try options.session.device ?? .standard() { results = [recipe.keepResult()] }
      let session = try Session(recipe.graph, options: options.session)
      if isResident { try session.run(recipe.graph.initializer) }
      let call = try session.makeCallable(fetches: recipe.fetches, targets: recipe.targets, feeds: recipe.feeds)
      return Workload.Execution(
        run: { options in try call.run(feeds, options: options) },
        check: {
          let result = try call.run(feeds).first ?? session.run(results)[0]
          return meanMagnitude(result)
        }, session: session)
    }
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
    let result = graph.variable("result", extents, .zeros, type: fetches[0].elementType, trainable: false)
    if let store = result.variable?.assign(fetches[0]) { targets.append(store) }
    fetches = []
    return result
  }
}

/// The mean of the absolute values, summed in double precision.
private func meanMagnitude(_ tensor: Tensor) -> Double {
  if tensor.elementType == .bfloat16 {
    let elements = tensor.scalars(as: BFloat16.self)
    return elements.reduce(0) { $0 + Double($1.float.magnitude) } / Double(elements.count)
  }
  return tensor.withUnsafeBufferPointer(of: Float.self) { elements in
    var sum = 0.0
    for element in elements { sum += Double(element.magnitude) }
    return sum / Double(elements.count)
  }
}

extension Tensor {
  /// Floats of 32 bits rounded to another type; anything else as it is.
  fileprivate func floats(in type: ElementType) -> Tensor {
    guard elementType == .float32, type == .bfloat16 else { return self }
    return Tensor(scalars(as: Float.self).map { BFloat16($0) }, shape: shape)
  }
}
