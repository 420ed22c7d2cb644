import MartletDiagnostics
import MartletGraph
import MartletTensors

/// Adds the derivatives of sub-graphs to a graph's library; see `Differentiator.derivatives`.
func addDerivatives(
  of names: [FunctionName], to graph: Graph, hasUpstream: [Bool], isNeeded: [Bool]
) throws(Diagnostic) -> FunctionDerivatives {
  let target = graph.innermost
  var parts: [DifferentiatedFunction] = []
  for name in names {
    guard let function = target.library[name] else {
      throw Diagnostic("there is no function \(name) in the graph")
    }
    let part = try DifferentiatedFunction(
      function, library: target.library, hasUpstream: hasUpstream, isNeeded: isNeeded)
    target.setLibrary(part.graph.library)
    for mistake in part.graph.diagnostics { target.record(mistake) }
    parts.append(part)
  }
  let layout = SavedValues(parts)
  var forward = names
  if layout.isAugmented {
    for (i, part) in parts.enumerated() {
      forward[i] = target.add(try part.augmented(layout, number: i, parts, library: target.library))
    }
  }
  var gradients: [FunctionName] = []
  for (i, part) in parts.enumerated() {
    gradients.append(target.add(try part.gradientFunction(layout, number: i, library: target.library)))
  }
  return FunctionDerivatives(
    forward: forward, isAugmented: layout.isAugmented, saved: layout.numbers, gradients: gradients)
}

/// Where sub-graphs with one list of results leave what their gradients need.
struct SavedValues {
  /// A value of one of the sub-graphs that becomes a further result of all.
  struct Addition {
    var owner: Int
    var value: ValueID
    var type: ValueType
  }

  /// Behind the sub-graphs' own results.
  private(set) var additions: [Addition] = []
  /// The numbers of the results that are handed to the gradients, in order.
  private(set) var numbers: [Int] = []
  /// For each sub-graph the result that holds a value.
  private(set) var places: [[ValueID: Int]] = []

  var isAugmented: Bool { !additions.isEmpty }

  init(_ parts: [DifferentiatedFunction]) {
    var used: Set<Int> = []
    for (owner, part) in parts.enumerated() {
      let own = part.function.results.map { part.storage.resolve($0) }
      var places: [ValueID: Int] = [:]
      for value in part.saved {
        if let known = own.firstIndex(of: value) {
          places[value] = known
        } else {
          places[value] = own.count + additions.count
          additions.append(Addition(owner: owner, value: value, type: part.storage.type(of: value)))
        }
      }
      used.formUnion(places.values)
      // A custom gradient is given every result, even where two are one value.
      if part.rule != nil { used.formUnion(own.indices) }
      self.places.append(places)
    }
    numbers = used.sorted()
  }
}
