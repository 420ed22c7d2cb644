import Foundation
import Martlet
import MartletGraph
import MartletOperations
import Testing

/// Gradients of branches and calls that read variables or draw random numbers: they must see what the branch saw. Expected
/// values are worked out by hand.
@Suite struct BranchGradientTests {
  static let devices = SessionOptions.Device.tested

  private let graph = Graph()
  private let x: Output
  private let p: Output
  private let v: Output

  init() {
    x = graph.placeholder(.float32, shape: [2], name: "x")
    p = graph.placeholder(.bool, shape: [], name: "p")
    v = graph.variableHandle(.float32, shape: [2], name: "v")
  }

  private func session(_ device: SessionOptions.Device = .interpreter) throws -> Session {
    let session = try Session(graph, options: SessionOptions(device: device, instruments: [VerifyInstrument()]))
    try session.assign(v, Tensor([5, 6] as [Float]))
    return session
  }

  private func floats(_ tensor: Tensor) -> [Float] { tensor.scalars() }
  private func feeds(_ isTrue: Bool = true) -> [Output: Tensor] {
    [x: Tensor([1, 2] as [Float]), p: Tensor(isTrue)]
  }

  /// Ways of putting the product of `x` and the variable into a sub-graph.
  enum Wrapping: CaseIterable {
    case branch, call, branchInCall, callInBranch, branchInBranch, customGradient
  }

  private func product(_ wrapping: Wrapping) -> Output {
    func branch(_ x: Output, _ value: () -> Output) -> Output {
      cond(p) {
        value()
      } else: {
        -x
      }
    }
    func call(_ body: (Output) -> Output) -> Output {
      graph.call(graph.buildFunction("product", arguments: [x.type]) { [body($0[0])] }, [x])[0]
    }
    switch wrapping {
    case .branch: return branch(x) { x * readVariable(v) }
    case .call: return call { $0 * readVariable(v) }
    case .branchInCall: return call { x in branch(x) { x * readVariable(v) } }
    case .callInBranch: return branch(x) { call { $0 * readVariable(v) } }
    case .branchInBranch: return branch(x) { branch(x) { x * readVariable(v) } }
    case .customGradient:
      return withCustomGradient([x, v]) {
        [$0[0] * readVariable($0[1])]
      } gradient: { inputs, results, dy in
        // The variable's value by way of the result.
        [dy[0] * results[0] / inputs[0], zerosLike(dy[0])]
      }[0]
    }
  }

  @Test(arguments: Wrapping.allCases, devices)
  func gradientsSeeTheVariableAsItWas(_ wrapping: Wrapping, _ device: SessionOptions.Device) throws {
    let y = product(wrapping)
    let update = graph.withControlDependencies([y.node]) { assign(v, graph.constant([50, 60] as [Float])) }
    let gradient = try graph.withControlDependencies([update.id]) {
      try #require(try gradients(of: [y], withRespectTo: [x])[0])
    }
    #expect(graph.diagnostics.isEmpty)
    let session = try session(device)
    let results = try session.run([y, gradient], feeds: feeds(), targets: [update])
    #expect(results.map(floats) == [[5, 12], [5, 6]])
    #expect(floats(try session.value(of: v)) == [50, 60])
    if wrapping != .call, wrapping != .customGradient {
      let others = try session.run([y, gradient], feeds: feeds(false), targets: [update])
      #expect(others.map(floats) == [[-1, -2], [-1, -1]])
    }
    // Once more, after the next run of the update.
    #expect(floats(try session.run([gradient], feeds: feeds(), targets: [update])[0]) == [50, 60])
  }

  @Test(arguments: devices) func branchesMayAssignWhatTheyHaveRead(_ device: SessionOptions.Device) throws {
    let count = graph.variableHandle(.int32, shape: [], name: "count")
    let y = cond(p) { () -> Output in
      let old = readVariable(v)
      assign(v, old + 1)
      assignAdd(count, graph.constant(1 as Int32))
      return x * old * readVariable(v)
    } else: {
      x
    }
    let node = GraphNode(y)
    let gradient = try #require(try gradients(of: [y], withRespectTo: [x])[0])
    let session = try session(device)
    try session.assign(count, Tensor(0 as Int32))
    // The node from before the gradient stands for the one that has taken its place.
    let results = try session.run([y, gradient], feeds: feeds(), targets: [node])
    #expect(results.map(floats) == [[30, 84], [30, 42]])
    #expect(floats(try session.value(of: v)) == [6, 7])
    #expect(try session.value(of: count).item() == 1 as Int32)
    let others = try session.run([y, gradient], feeds: feeds(false))
    #expect(others.map(floats) == [[1, 2], [1, 1]])
    try session.run([], feeds: feeds(), targets: [node])
    #expect(try session.value(of: count).item() == 2 as Int32)
  }

  @Test(arguments: devices) func secondDerivativesSeeTheVariableAsItWas(_ device: SessionOptions.Device) throws {
    let y = cond(p) {
      readVariable(v) * readVariable(v) * x * x * x
    } else: {
      x * x
    }
    let update = graph.withControlDependencies([y.node]) { assign(v, graph.constant([0, 0] as [Float])) }
    let byBoth = try gradients(of: [y], withRespectTo: [x, v])
    let (byX, byV) = (try #require(byBoth[0]), try #require(byBoth[1]))
    let byXX = try #require(try gradients(of: [byX], withRespectTo: [x])[0])
    // What the gradient was given was read from the variable, too.
    let mixed = try #require(try gradients(of: [byX], withRespectTo: [v])[0])
    let byXXX = try #require(try gradients(of: [byXX], withRespectTo: [x])[0])
    #expect(graph.diagnostics.isEmpty)
    let session = try session(device)
    let results = try session.run([byX, byV, byXX, mixed, byXXX], feeds: feeds(), targets: [update])
    // 3v²x², 2vx³, 6v²x, 6vx², 6v²
    #expect(results.map(floats) == [[75, 432], [10, 96], [150, 432], [30, 144], [150, 216]])
    let others = try session.run([byX, byV, byXX, mixed, byXXX], feeds: feeds(false))
    #expect(others.map(floats) == [[2, 4], [0, 0], [2, 2], [0, 0], [0, 0]])
  }

  /// The rows of the mask are as many as the feed's, which is not known while the graph is built.
  @Test(arguments: devices, [true, false])
  func gradientsSeeTheMaskOfTheirBranch(_ device: SessionOptions.Device, _ isCall: Bool) throws {
    let a = graph.placeholder(.float32, shape: [nil, 3], name: "a")
    func dropped(_ a: Output) -> Output {
      let noise = a.graph.innermost.addOne(RandomUniform(), [shape(of: a)])
      return a * cast(noise .> noise.scalar(0.5), to: .float32) * noise
    }
    let y: Output
    if isCall {
      y = graph.call(graph.buildFunction("dropout", arguments: [a.type]) { [dropped($0[0])] }, [a])[0]
    } else {
      y = cond(p) {
        dropped(a)
      } else: {
        a * 2
      }
    }
    let before = try session(device)
    let ones = { (rows: Int) in Tensor([Float](repeating: 1, count: 3 * rows), shape: [rows, 3]) }
    let first = try before.run([y], feeds: [a: ones(7), p: Tensor(true)].filter { !isCall || $0.key == a })[0]

    let gradient = try #require(try gradients(of: [y], withRespectTo: [a])[0])
    let session = try session(device)
    for (number, rows) in [7, 4, 7].enumerated() {
      let feeds = [a: ones(rows), p: Tensor(true)].filter { !isCall || $0.key == a }
      let results = try session.run([y, gradient], feeds: feeds)
      #expect(results[0] == results[1])
      #expect(Set(floats(results[0])).count > 3)
      // Adding a gradient does not change what is drawn.
      if number == 0 { #expect(results[0] == first) }
    }
    guard !isCall else { return }
    let others = try session.run([y, gradient], feeds: [a: ones(2), p: Tensor(false)])
    #expect(Set(floats(others[0])) == [2])
    #expect(others[0] == others[1])
  }

  @Test func whatIsSavedIsSavedOnce() throws {
    let results = cond(p) { () -> [Output] in
      let value = readVariable(v)
      return [value, x * value]
    } else: {
      [x, x * readVariable(v) * x]
    }
    let first = try #require(try gradients(of: [results[1]], withRespectTo: [x])[0])
    let count = graph.library.functions.count
    let second = try #require(try gradients(of: [results[1] * 2], withRespectTo: [x])[0])
    // Two gradients more, no branches more.
    #expect(graph.library.functions.count == count + 2)
    let node = try #require(graph.node(named: "cond"))
    #expect(graph.storage.resultCount(of: node) == 3)
    let session = try session()
    let found = try session.run([first, second, results[1]], feeds: feeds())
    #expect(found.map(floats) == [[5, 6], [10, 12], [5, 12]])
    let others = try session.run([first, second], feeds: feeds(false))
    #expect(others.map(floats) == [[10, 24], [20, 48]])
  }

  @Test func replacedNodesAreNotWritten() throws {
    let y = product(.branch)
    let update = graph.withControlDependencies([y.node]) { assign(v, graph.constant([50, 60] as [Float])) }
    let gradient = try #require(try gradients(of: [y], withRespectTo: [x])[0])
    let text = GraphPrinter().print(graph)
    #expect(text.components(separatedBy: " = If(").count == 3)
    #expect(text.components(separatedBy: "function @").count == 5)
    let read = try Graph(parsing: text) { name, attributes throws(Diagnostic) in
      Catalog.standard.type(named: name) == nil
        ? nil : try Catalog.standard.operation(named: name, attributes: attributes)
    }
    for copy in [read, try Graph(try graph.graphDef())] {
      let names = [y.name, gradient.name]
      let fetches = try names.map { try #require(copy.output(named: $0)) }
      let session = try Session(copy, options: SessionOptions(device: .interpreter))
      try session.assign(try #require(copy.output(named: "v")), Tensor([5, 6] as [Float]))
      let (x, p) = (try #require(copy.output(named: "x")), try #require(copy.output(named: "p")))
      let target = GraphNode(copy, try #require(copy.node(named: update.name)))
      let results = try session.run(
        fetches, feeds: [x: Tensor([1, 2] as [Float]), p: Tensor(true)], targets: [target])
      #expect(results.map(floats) == [[5, 12], [5, 6]])
    }
  }
}
