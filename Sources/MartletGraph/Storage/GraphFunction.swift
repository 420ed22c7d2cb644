import MartletTensors

/// A closed sub-graph: a branch, a loop's body or condition, a user's function. Everything it uses comes in as an
/// argument.
public struct GraphFunction: Sendable {
  public var name: String
  public var body: GraphStorage
  /// The nodes in `body` that stand for the arguments, in order.
  public var arguments: [ValueID]
  public var results: [ValueID]
  /// Nodes that run for their effects.
  public var targets: [NodeID]
  /// How its results are differentiated, if not by its body: the name of a function from arguments, results and
  /// upstream gradients to the arguments' gradients.
  public var gradient: FunctionName?
  /// A function that Martlet cannot represent is only kept, as its bytes in the file it came from. It has no body, and
  /// only operations that Martlet does not know refer to it.
  public var foreignBytes: [UInt8]?

  public init(
    name: String, body: GraphStorage, arguments: [ValueID], results: [ValueID], targets: [NodeID] = [],
    gradient: FunctionName? = nil
  ) {
    self.name = name
    self.body = body
    self.arguments = arguments
    self.results = results
    self.targets = targets
    self.gradient = gradient
  }

  public var signature: FunctionSignature {
    FunctionSignature(
      arguments: arguments.map { body.type(of: $0) }, results: results.map { body.type(of: body.resolve($0)) })
  }
}

/// The sub-graphs of a graph, by name and in the order of their addition.
public struct FunctionLibrary: Sendable {
  public private(set) var functions: [GraphFunction] = []
  private var index: [String: Int] = [:]

  public init() {}

  public subscript(name: FunctionName) -> GraphFunction? {
    index[name.name].map { functions[$0] }
  }

  /// Adds a function under its name, or under its name and a number if that is taken.
  public mutating func add(_ function: GraphFunction) -> FunctionName {
    var function = function
    var number = 0
    let wanted = function.name
    while index[function.name] != nil {
      number += 1
      function.name = "\(wanted)_\(number)"
    }
    index[function.name] = functions.count
    functions.append(function)
    return FunctionName(function.name)
  }

  /// Puts a function in the place of the one with its name, or adds it.
  public mutating func replace(_ function: GraphFunction) {
    if let i = index[function.name] {
      functions[i] = function
    } else {
      index[function.name] = functions.count
      functions.append(function)
    }
  }
}

/// What is compiled: one function with the sub-graphs that it uses.
///
/// Arguments of `main` are the feeds, in order, then the variables that are read; results are the fetches, in order, then
/// the variables' new values.
public struct Program: Sendable {
  public var main: GraphFunction
  public var library: FunctionLibrary
  /// Empty until variables have been promoted to values.
  public var variables: [VariableBinding]

  public init(main: GraphFunction, library: FunctionLibrary, variables: [VariableBinding] = []) {
    (self.main, self.library, self.variables) = (main, library, variables)
  }
}

/// How a variable goes into a program and comes out of it.
public struct VariableBinding: Hashable, Sendable {
  public var name: String
  public var type: TensorType
  /// The argument of `main` that holds its value before the run; nil if the value is not read.
  public var argument: Int?
  /// The result of `main` that becomes its value; nil if the run does not assign it.
  public var result: Int?

  public init(name: String, type: TensorType, argument: Int?, result: Int?) {
    (self.name, self.type, self.argument, self.result) = (name, type, argument, result)
  }
}
