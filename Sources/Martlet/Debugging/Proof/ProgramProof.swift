import MartletDiagnostics
import MartletGraph
import MartletRewriting
import MartletTensors

/// One compilation's program, with what it computes on generated arrays.
struct ProgramProof {
  /// One set of arrays, and what the program made of them when the proof began.
  private struct Sample {
    var inputs: ProgramInputs
    var reference: ProofTolerance.Reference
  }

  /// What the results are called.
  private let names: [String]
  private var samples: [Sample]

  /// Two sets of arrays, and so many runs of each with roundings imitated; the last where floats have 16 bits.
  private static let sampleCount = 2
  private static let moveCount = 3
  private static let halfMoveCount = 8
  /// Generated numbers may make a loop turn for very long: so many nodes run beyond those that there are.
  private static let iteratedNodes = 1_000
  /// The order of a sum within one node counts for as much as some roundings of its operands and results.
  private static let factor = 64.0

  /// Why a program is not run; empty if it is.
  static func reason(_ program: Program, _ largestWork: Int) -> String {
    let work = program.work
    if work == .max { return "shapes are not known" }
    if program.drawsAlikeInCalls { return "its calls do not draw random numbers of their own yet" }
    return work > largestWork ? "it computes \(work) elements" : "it cannot be run on generated arrays"
  }

  /// Nil if the program is too large, its shapes are not known, its random numbers are not fixed yet, or it fails.
  init?(_ program: Program, largestWork: Int) throws {
    guard program.work <= largestWork, !program.drawsAlikeInCalls, let signature = ProgramSignature(program) else {
      return nil
    }
    names = signature.resultNames
    samples = []
    let nodeLimit = program.nodeCount + Self.iteratedNodes
    let hasHalves = program.hasHalves
    for number in 0..<Self.sampleCount {
      let inputs = signature.inputs(number)
      guard let old = try? ProgramRun(program, inputs, nodeLimit: nodeLimit).results else { break }
      var reference = ProofTolerance.Reference(old: old, truth: [], moved: [], magnitude: 0)
      if hasHalves {
        (reference.truth, reference.isOfOwnTypes) = (old, true)
        for move in 0..<Self.halfMoveCount {
          let moved = try? ProgramRun(
            program, inputs, nodeLimit: nodeLimit,
            adjustment: Self.adjustment(move) { 2 / Double(1 << $0.significandWidth) }
          ).results
          if let moved { reference.moved.append(moved) }
        }
      } else if let wide = try? ProgramRun(program, inputs.widened, isWidening: true) {
        reference.truth = wide.results
        reference.magnitude = wide.magnitude
        for move in 0..<Self.moveCount {
          let moved = try? ProgramRun(
            program, inputs.moved(move), isWidening: true, adjustment: Self.adjustment(move) { _ in 0x1p-24 }
          ).results
          if let moved { reference.moved.append(moved) }
        }
      }
      samples.append(Sample(inputs: inputs, reference: reference))
    }
    guard !samples.isEmpty else { return nil }
  }

  /// Moves each result by a part of its elements, the same results in the same way in each run of this number.
  private static func adjustment(_ number: Int, _ part: @escaping (ElementType) -> Double) -> (Tensor) -> Tensor {
    var key = UInt32(truncatingIfNeeded: 1_000_000 * (number + 1))
    return { tensor in
      key &+= 1
      return tensor.moved(byParts: part(tensor.elementType), key: key)
    }
  }

  /// Runs the program behind a pass.
  ///
  /// - Parameter rules: those that fired in it, by the name of the node that they replaced.
  /// - Throws: a diagnostic that names the pass and the first node whose value differs.
  mutating func compare(
    _ pass: String, _ old: Program, _ new: Program, rules: [String: [String]]
  ) throws -> ProofReport.PassEntry.Outcome {
    if old.hasSameNodes(as: new) { return .unchanged }
    let tolerance = ProofTolerance(promise: .noLessAccurate, factor: Self.factor)
    var closeness = 0.0
    for i in samples.indices {
      let run: ProgramRun
      do {
        run = try ProgramRun(new, samples[i].inputs)
      } catch let failure as Diagnostic {
        throw Diagnostic(
          "after \(pass) the program fails: \(failure.message)", operation: failure.operation, site: failure.site,
          hint: "this is a fault of the pass, not of the graph")
      }
      guard run.results.map(\.type) == samples[i].reference.old.map(\.type) else {
        throw Diagnostic(
          "after \(pass) the program has other results",
          required: samples[i].reference.old.map { "\($0.type)" }.joined(separator: ", "),
          found: run.results.map { "\($0.type)" }.joined(separator: ", "),
          hint: "this is a fault of the pass, not of the graph")
      }
      for (number, result) in run.results.enumerated() {
        let (difference, part) = tolerance.compare(result, number, of: samples[i].reference)
        if let difference {
          let bisection = try ProgramBisection(old, new, samples[i].inputs)
          throw bisection.diagnostic(pass, result: names[number], result, difference, rules: rules)
        }
        closeness = max(closeness, part)
      }
      samples[i].reference.old = run.results
    }
    return .proved(closeness: closeness)
  }
}

extension Program {
  /// How many elements are computed in interpreting the program, loops once; `Int.max` if a shape is not known.
  fileprivate var work: Int {
    ([main] + reachableFunctions().compactMap { library[$0] }).reduce(0) { total, function in
      function.body.topologicalOrder(results: function.results, targets: function.targets).reduce(total) {
        $0.addingSaturated(function.body.work(of: $1))
      }
    }
  }

  /// Whether a value is of floats of 16 bits.
  fileprivate var hasHalves: Bool {
    ([main] + reachableFunctions().compactMap { library[$0] }).contains { function in
      function.body.nodes.contains { node in
        function.body.results(of: node).contains { function.body.type(of: $0).elementType?.isHalf ?? false }
      }
    }
  }

  fileprivate var nodeCount: Int {
    reachableFunctions().reduce(main.body.nodeCount) { $0 + (library[$1]?.body.nodeCount ?? 0) }
  }

  /// Whether a sub-graph draws random numbers that inference will fix anew for each place that calls it.
  fileprivate var drawsAlikeInCalls: Bool {
    reachableFunctions().compactMap { library[$0]?.body }.contains { body in
      body.nodes.contains { (body.operation(of: $0) as? any RandomStreamOperation)?.hasStreamForEachCall ?? false }
    }
  }

  /// Whether both programs are the same nodes in the same order. Kernels are never called the same: their attributes do
  /// not say what they compute.
  fileprivate func hasSameNodes(as other: Program) -> Bool {
    let (a, b) = (reachableFunctions(), other.reachableFunctions())
    guard a == b, variables == other.variables, main.hasSameNodes(as: other.main) else { return false }
    return a.allSatisfy { name in
      guard let x = library[name], let y = other.library[name] else { return false }
      return x.hasSameNodes(as: y)
    }
  }
}

extension GraphFunction {
  fileprivate func hasSameNodes(as other: GraphFunction) -> Bool {
    let (a, b) = (Numbering(self), Numbering(other))
    guard a.order.count == b.order.count, a.results == b.results else { return false }
    return zip(a.order, b.order).allSatisfy { x, y in
      body.schema(of: x).name == other.body.schema(of: y).name && !(body.operation(of: x) is FusedKernel)
        && !(body.operation(of: x) is LibraryCall) && body.name(of: x) == other.body.name(of: y)
        && body.attributes(of: x) == other.body.attributes(of: y) && a.operands(of: x) == b.operands(of: y)
        && body.results(of: x).map { body.type(of: $0) } == other.body.results(of: y).map { other.body.type(of: $0) }
    }
  }
}

/// The values of a function by numbers that depend on its structure alone.
private struct Numbering {
  let order: [NodeID]
  let results: [Int]
  private let body: GraphStorage
  private var numbers: [ValueID: Int] = [:]

  init(_ function: GraphFunction) {
    body = function.body
    order = body.topologicalOrder(results: function.results, targets: function.targets)
    for value in function.arguments { numbers[value] = numbers.count }
    for node in order {
      for result in body.results(of: node) where numbers[result] == nil { numbers[result] = numbers.count }
    }
    let known = numbers
    results = function.results.map { known[function.body.resolve($0)] ?? -1 }
  }

  func operands(of node: NodeID) -> [Int] { body.operands(of: node).map { numbers[$0] ?? -1 } }
}
