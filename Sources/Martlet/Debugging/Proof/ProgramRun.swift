import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// What goes into a program and comes out of it, whether its variables are values yet or not.
struct ProgramSignature {
  private let feeds: [(name: String, type: ElementType, shape: [Int])]
  private let variables: [(name: String, type: ElementType, shape: [Int])]
  let resultNames: [String]

  /// Nil where a shape is not known.
  init?(_ program: Program) {
    let body = program.main.body
    let bound = Set(program.variables.compactMap(\.argument))
    var feeds: [(String, ElementType, [Int])] = []
    for (i, argument) in program.main.arguments.enumerated() where !bound.contains(i) {
      guard let type = body.type(of: argument).tensor, let shape = type.shape.known else { return nil }
      feeds.append((body.name(of: argument), type.elementType, shape))
    }
    var contents: [String: TensorType] = [:]
    for variable in program.variables { contents[variable.name] = variable.type }
    for function in [program.main] + program.library.functions {
      for node in function.body.nodes {
        guard case .variable(let name) = function.body.stateRole(of: node),
          let type = function.body.type(of: function.body.results(of: node)[0]).content
        else { continue }
        contents[name] = type
      }
    }
    var variables: [(String, ElementType, [Int])] = []
    for (name, type) in contents.sorted(by: { $0.key < $1.key }) {
      guard let shape = type.shape.known else { return nil }
      variables.append((name, type.elementType, shape))
    }
    (self.feeds, self.variables) = (feeds, variables)
    let assigned = Set(program.variables.compactMap(\.result))
    let fetches = program.main.results.indices.filter { !assigned.contains($0) }.map { i in
      body.name(of: body.resolve(program.main.results[i]))
    }
    resultNames = fetches + variables.map(\.0)
  }

  /// Generated arrays: feeds from −1 to 1, variables, which may be variances, from 0.1 to 0.9; the second set four times
  /// as large. Integers, which may be indices or labels, are 0 and 1.
  func inputs(_ number: Int) -> ProgramInputs {
    let scale = number == 0 ? 1.0 : 4.0
    func array(_ name: String, _ type: ElementType, _ shape: [Int], _ map: (Double) -> Double) -> Tensor {
      var key: UInt32 = 2_166_136_261 &+ UInt32(truncatingIfNeeded: number)
      for byte in name.utf8 { key = (key ^ UInt32(byte)) &* 16_777_619 }
      var random = RandomNumbers(key: key)
      let count = shape.reduce(1, *)
      guard type.isFloatingPoint else { return ProofFeeds.positive.array(type, shape, key: key) }
      return Tensor(rounding: (0..<count).map { _ in map(random.unit()) }, shape: shape, as: type)
    }
    return ProgramInputs(
      feeds: feeds.map { array($0.name, $0.type, $0.shape) { scale * (2 * $0 - 1) } },
      variables: Dictionary(
        uniqueKeysWithValues: variables.map {
          ($0.name, array($0.name, $0.type, $0.shape) { scale * (0.1 + 0.8 * $0) })
        }
      ))
  }
}

/// The arrays that a program is run on.
struct ProgramInputs {
  var feeds: [Tensor]
  var variables: [String: Tensor]

  var widened: ProgramInputs {
    ProgramInputs(feeds: feeds.map(\.widened), variables: variables.mapValues(\.widened))
  }

  func moved(_ number: Int) -> ProgramInputs {
    var key = UInt32(truncatingIfNeeded: 1000 * number)
    func move(_ tensor: Tensor) -> Tensor {
      key += 1
      return tensor.moved(key: key)
    }
    var moved = ProgramInputs(feeds: feeds.map(move), variables: [:])
    for (name, tensor) in variables.sorted(by: { $0.key < $1.key }) { moved.variables[name] = move(tensor) }
    return moved
  }
}

/// One run of a program by the reference evaluator.
struct ProgramRun {
  /// What is fetched, then all variables in the order of their names.
  let results: [Tensor]
  /// The greatest finite number met, if floats were widened.
  private(set) var magnitude = 0.0
  /// The results of the main function's nodes, by name, if they were asked for.
  private(set) var values: [String: [Tensor]] = [:]

  /// - Parameters:
  ///   - nodeLimit: how many nodes may run; more, in loops, are an error.
  ///   - adjustment: what is done to each result that is computed.
  init(
    _ program: Program, _ inputs: ProgramInputs, nodeLimit: Int = .max, isWidening: Bool = false,
    isTracing: Bool = false, adjustment: ((Tensor) -> Tensor)? = nil
  ) throws {
    let main = program.main
    let variables = Dictionary(
      program.variables.compactMap { variable in variable.argument.map { ($0, variable.name) } }
    ) { first, _ in first }
    var bindings: [ValueID: ReferenceEvaluator.Value] = [:]
    var feeds = inputs.feeds[...]
    for (i, argument) in main.arguments.enumerated() {
      let tensor = variables[i].map { inputs.variables[$0] } ?? feeds.popFirst()
      if let tensor { bindings[argument] = .tensor(tensor) }
    }
    var evaluator = ReferenceEvaluator(variables: inputs.variables)
    evaluator.isWidening = isWidening
    (evaluator.remainingNodes, evaluator.adjustment) = (nodeLimit, adjustment)
    var (magnitude, values): (Double, [String: [Tensor]]) = (0, [:])
    let found = try evaluator.evaluate(
      main.body, program.library, bindings: bindings, results: main.results, targets: main.targets
    ) { node, results in
      if isWidening { magnitude = results.reduce(magnitude) { max($0, $1.magnitude) } }
      if isTracing, let tensors = try? results.tensors() { values[main.body.name(of: node)] = tensors }
    }.tensors()
    var contents = evaluator.variables
    var fetches: [Tensor] = []
    let assigned = Dictionary(
      program.variables.compactMap { variable in variable.result.map { ($0, variable.name) } }
    ) { first, _ in first }
    for (i, tensor) in found.enumerated() {
      if let name = assigned[i] { contents[name] = tensor } else { fetches.append(tensor) }
    }
    results = fetches + contents.sorted { $0.key < $1.key }.map(\.value)
    (self.magnitude, self.values) = (magnitude, values)
  }
}
