import Martlet
import Testing

/// Fetches, feeds and variables that share memory or names in unusual ways. Expected values are worked out by hand.
@Suite struct HardCasesTests {
  static let devices = SessionOptions.Device.tested

  private func session(_ graph: Graph, _ device: SessionOptions.Device) throws -> Session {
    try Session(graph, options: SessionOptions(device: device, instruments: [VerifyInstrument()]))
  }

  private func floats(_ tensor: Tensor) -> [Float] { tensor.scalars() }

  // MARK: Empty arrays

  /// A sum over no elements of a part that begins where its array ends.
  @Test(arguments: devices) func emptySlicesAtTheEnd(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [1], name: "x")
    let nothing = slice(x, begin: [1], size: [0])
    let product = matMul(reshape(nothing, [3, 0]), reshape(nothing, [0, 2]))
    let found = try session(graph, device).run([tanh(product)], feeds: [x: Tensor([7] as [Float])])
    #expect(found[0] == Tensor(zeros: .float32, shape: [3, 2]))
  }

  // MARK: Fetches and feeds

  @Test(arguments: devices) func fetchesAliasesOfWhateverTheyStandFor(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let c = graph.constant([5, 6, 7, 8] as [Float])
    let v = graph.variableHandle(.float32, shape: [4], name: "v")
    let read = readVariable(v)
    let fetches = [
      x, reshape(x, [2, 2]), c, reshape(c, [2, 2]), read, reshape(read, [4, 1]),
      expandDims(reshape(x, [2, 2]), axis: 0),
      identity(x), x,
    ]
    let session = try session(graph, device)
    try session.assign(v, Tensor([9, 10, 11, 12] as [Float]))
    let feed = Tensor([1, 2, 3, 4] as [Float])
    let step = assign(v, read * 2)
    let results = try session.run(fetches, feeds: [x: feed], targets: [step])
    for i in [0, 1, 6, 7, 8] { #expect(floats(results[i]) == [1, 2, 3, 4]) }
    for i in [2, 3] { #expect(floats(results[i]) == [5, 6, 7, 8]) }
    for i in [4, 5] { #expect(floats(results[i]) == [9, 10, 11, 12]) }
    #expect(results[1].shape == [2, 2] && results[5].shape == [4, 1] && results[6].shape == [1, 2, 2])
    #expect(floats(try session.value(of: v)) == [18, 20, 22, 24])
    // Fetched arrays are the caller's own: a later run leaves them as they are.
    _ = try session.run(fetches, feeds: [x: Tensor([0, 0, 0, 0] as [Float])], targets: [step])
    #expect(floats(results[0]) == [1, 2, 3, 4] && floats(results[4]) == [9, 10, 11, 12])
    #expect(floats(feed) == [1, 2, 3, 4])
  }

  @Test(arguments: devices) func feedsConstantsReadsAndOneOfTwoResults(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let c = graph.constant([1, 1, 1, 1] as [Float])
    let v = graph.variableHandle(.float32, shape: [4], name: "v")
    let read = readVariable(v)
    let halves = split(x + c, into: 2, axis: 0)
    let session = try session(graph, device)
    let (feed, ten) = (Tensor([1, 2, 3, 4] as [Float]), Tensor([10, 20, 30, 40] as [Float]))
    #expect(floats(try session.run(x + c, feeds: [x: feed, c: ten])) == [11, 22, 33, 44])
    // The variable needs no value where its reading is fed.
    #expect(floats(try session.run(read * 2, feeds: [read: feed])) == [2, 4, 6, 8])
    let sums = try session.run(
      [halves[0] + halves[1], halves[0], halves[1]], feeds: [x: feed, halves[0]: Tensor([100, 200] as [Float])])
    #expect(sums.map(floats) == [[104, 205], [100, 200], [4, 5]])
    // An array of another type in the place of an operand that is fed is a mistake, not another result.
    #expect(throws: (any Error).self) { try session.run(x + c, feeds: [x: feed, c: Tensor([1, 2] as [Float])]) }
  }

  @Test(arguments: devices) func readsFeedsThatAreSlicesOfOneArray(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.int32, shape: [3], name: "x")
    let y = graph.placeholder(.int32, shape: [3], name: "y")
    let session = try session(graph, device)
    let feed = Tensor([1, 2, 3] as [Int32])
    let results = try session.run([x + y, x - y, x, y], feeds: [x: feed, y: feed])
    #expect(results.map { $0.scalars(as: Int32.self) } == [[2, 4, 6], [0, 0, 0], [1, 2, 3], [1, 2, 3]])
  }

  // MARK: Variables

  @Test(arguments: devices) func assignsTwiceAndReadsBetween(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [3], name: "v")
    let before = readVariable(v)
    let first = assign(v, before * 2)
    let between = graph.withControlDependencies([first.id]) { readVariable(v) }
    let second = graph.withControlDependencies([between.node]) { assign(v, between + before) }
    let after = graph.withControlDependencies([second.id]) { readVariable(v) }
    let third = graph.withControlDependencies([after.node]) { assignSub(v, graph.constant([1, 1, 1] as [Float])) }
    let session = try session(graph, device)
    try session.assign(v, Tensor([1, 2, 3] as [Float]))
    let results = try session.run([before, between, after, before + after], targets: [third])
    #expect(results.map(floats) == [[1, 2, 3], [2, 4, 6], [3, 6, 9], [4, 8, 12]])
    #expect(floats(try session.value(of: v)) == [2, 5, 8])
  }

  @Test(arguments: devices) func rotatesVariablesAndAssignsTheirOwnValue(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let handles = (0..<3).map { graph.variableHandle(.float32, shape: [2], name: "v\($0)") }
    let reads = handles.map { readVariable($0) }
    let rotate = (0..<3).map { assign(handles[$0], reads[($0 + 1) % 3]) }
    let same = assign(handles[0], reads[0])
    // One kernel computes new values for two variables from the old values of both.
    let sum = reads[0] + reads[1]
    let mix = [assign(handles[0], sum), assign(handles[1], sum * reads[0] - reads[1])]
    let session = try session(graph, device)
    for (i, handle) in handles.enumerated() { try session.assign(handle, Tensor([Float(i), Float(10 * i)])) }
    let old = try session.run(reads, targets: rotate)
    #expect(old.map(floats) == [[0, 0], [1, 10], [2, 20]])
    #expect(try handles.map { floats(try session.value(of: $0)) } == [[1, 10], [2, 20], [0, 0]])
    try session.run(same)
    #expect(floats(try session.value(of: handles[0])) == [1, 10])
    let fetched = try session.run([reads[0], reads[1], sum], targets: mix)
    #expect(fetched.map(floats) == [[1, 10], [2, 20], [3, 30]])
    #expect(floats(try session.value(of: handles[0])) == [3, 30])
    #expect(floats(try session.value(of: handles[1])) == [1, 280])
  }

  /// New values that are not computed element by element cannot be written over the old ones as they come.
  @Test(arguments: devices) func updatesVariablesByTheirOwnElements(_ device: SessionOptions.Device) throws {
    let updates: [(name: String, update: (Output) -> Output, expected: [Float])] = [
      ("reverse", { reverse($0, axes: [0]) }, [7, 8, 9, 4, 5, 6, 1, 2, 3]),
      ("transpose", { transpose($0) }, [1, 4, 7, 2, 5, 8, 3, 6, 9]),
      ("gather", { gather($0, $0.graph.constant([1, 1, 0] as [Int32])) }, [4, 5, 6, 4, 5, 6, 1, 2, 3]),
      ("first column", { $0 - $0[SliceRange.all, 0..<1] }, [0, 1, 2, 0, 1, 2, 0, 1, 2]),
      ("last row", { $0 + $0[2..<3] }, [8, 10, 12, 11, 13, 15, 14, 16, 18]),
      ("sum", { $0 - sum($0) }, [-44, -43, -42, -41, -40, -39, -38, -37, -36]),
      ("row sums", { $0 * sum($0, axes: [1], keepDims: true) }, [6, 12, 18, 60, 75, 90, 168, 192, 216]),
      ("running", { cumulativeSum($0, axis: 0) }, [1, 2, 3, 5, 7, 9, 12, 15, 18]),
      ("running before", { cumulativeSum($0, axis: 1, exclusive: true) }, [0, 1, 3, 0, 4, 9, 0, 7, 15]),
      ("running back", { cumulativeSum($0, axis: 1, reverse: true) }, [6, 5, 3, 15, 11, 6, 24, 17, 9]),
      ("product", { matMul($0, $0) }, [30, 36, 42, 66, 81, 96, 102, 126, 150]),
      ("concat", { concat([$0[1..<3], $0[0..<1]], axis: 0) }, [4, 5, 6, 7, 8, 9, 1, 2, 3]),
      ("reshaped", { reshape(transpose(reshape($0, [9, 1])), [3, 3]) + 1 }, [2, 3, 4, 5, 6, 7, 8, 9, 10]),
      (
        "scatter",
        { unsortedSegmentSum($0, $0.graph.constant([2, 0, 2] as [Int32]), count: $0.graph.constant(3)) + $0 },
        [5, 7, 9, 4, 5, 6, 15, 18, 21]
      ),
    ]
    for (name, update, expected) in updates {
      let graph = Graph()
      let v = graph.variableHandle(.float32, shape: [3, 3], name: "v")
      let read = readVariable(v)
      let new = update(read)
      let step = assign(v, new)
      let session = try session(graph, device)
      for fetches in [[], [read], [new], [read, new]] {
        try session.assign(v, Tensor((1...9).map(Float.init), shape: [3, 3]))
        let results = try session.run(fetches, targets: [step])
        #expect(floats(try session.value(of: v)) == expected, "\(name) with \(fetches.count) fetches")
        for (fetch, result) in zip(fetches, results) {
          #expect(floats(result) == (fetch == read ? (1...9).map(Float.init) : expected), "\(name)")
        }
      }
    }
  }

  @Test(arguments: devices) func checksComeBeforeAssignmentsThatMustCopy(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let a = graph.variableHandle(.float32, shape: [2], name: "a")
    let b = graph.variableHandle(.float32, shape: [2], name: "b")
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let (oldA, oldB) = (readVariable(a), readVariable(b))
    let check = assertTrue(all(matMul(reshape(x, [1, 2]), reshape(x, [2, 1])) .> 5), [x])
    let swap = graph.withControlDependencies([check.id]) { [assign(a, oldB), assign(b, oldA)] }
    let turn = graph.withControlDependencies([check.id]) { [assign(a, reverse(oldA, axes: [0]) + 1)] }
    let session = try session(graph, device)
    try session.assign(a, Tensor([1, 2] as [Float]))
    try session.assign(b, Tensor([3, 4] as [Float]))
    for targets in [swap, turn] {
      #expect(throws: Diagnostic.self) { try session.run([], feeds: [x: Tensor([1, 1] as [Float])], targets: targets) }
      #expect(floats(try session.value(of: a)) == [1, 2])
      #expect(floats(try session.value(of: b)) == [3, 4])
    }
    try session.run([], feeds: [x: Tensor([2, 2] as [Float])], targets: swap)
    #expect(floats(try session.value(of: a)) == [3, 4])
    #expect(floats(try session.value(of: b)) == [1, 2])
  }

  @Test(arguments: devices) func runsTargetsThoughAFetchOfTheirKindIsFed(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let v = graph.variableHandle(.int64, shape: [], name: "v")
    let one = graph.constant(1 as Int64)
    let all = graph.group([assignAdd(v, one), assignAdd(v, one)])
    let session = try session(graph, device)
    try session.assign(v, Tensor(0 as Int64))
    try session.run(all)
    #expect(try session.value(of: v).item() == 2 as Int64)
    // The graph grows after a run.
    let more = graph.withControlDependencies([all.id]) { assignAdd(v, readVariable(v) * graph.constant(10 as Int64)) }
    try session.run(more)
    #expect(try session.value(of: v).item() == 44 as Int64)
    try session.run(all)
    #expect(try session.value(of: v).item() == 46 as Int64)
  }

  @Test(arguments: devices) func sessionsOfOneGraphKeepTheirOwnVariables(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let v = graph.variableHandle(.int32, shape: [2], name: "v")
    let step = assignAdd(v, graph.constant([1, 10] as [Int32]))
    let sessions = [try session(graph, device), try session(graph, device)]
    for session in sessions { try session.assign(v, Tensor([0, 0] as [Int32])) }
    for _ in 0..<3 { try sessions[0].run(step) }
    try sessions[1].run(step)
    #expect(try sessions[0].value(of: v).scalars() == [3, 30] as [Int32])
    #expect(try sessions[1].value(of: v).scalars() == [1, 10] as [Int32])
  }

  /// What is assigned may be computed long before the check that the assignment waits for.
  @Test(arguments: devices) func failedRunsLeaveVariablesAsTheyWere(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [3], name: "v")
    let w = graph.variableHandle(.float32, shape: [3], name: "w")
    let x = graph.placeholder(.float32, shape: [3], name: "x")
    let index = graph.placeholder(.int32, shape: [3], name: "index")
    let p = graph.placeholder(.bool, shape: [], name: "p")
    let doubled = x * 2
    let grown = readVariable(w) + x
    let check = assertTrue(sum(exp(x)) .> 3, [x])
    let checked = graph.withControlDependencies([check.id]) { [assign(v, doubled), assign(w, grown)] }
    let gathered = [assignAdd(v, gather(x, index)), assign(w, readVariable(w) * 3)]
    let branch = cond(p) { () -> Output in
      assignAdd(v, gather(x, index))
      return gather(readVariable(v), index)
    } else: {
      x
    }
    let loop = whileLoop([index]) {
      sum($0[0]) .< graph.constant(4 as Int32)
    } body: { state in
      assignAdd(v, gather(x, state[0]))
      return [state[0] + graph.constant([1, 0, 0] as [Int32])]
    }
    let session = try session(graph, device)
    let old: [Float] = [1, 2, 3]
    func expectUnchanged(_ fetches: [Output], _ targets: [GraphNode], _ feeds: [Output: Tensor]) throws {
      for handle in [v, w] { try session.assign(handle, Tensor(old)) }
      #expect(throws: Diagnostic.self) { try session.run(fetches, feeds: feeds, targets: targets) }
      for handle in [v, w] { #expect(floats(try session.value(of: handle)) == old) }
    }
    let (low, good) = (Tensor([-9, -9, -9] as [Float]), Tensor([1, 2, 3] as [Float]))
    try expectUnchanged([], checked, [x: low])
    try expectUnchanged([], gathered, [x: good, index: Tensor([0, 1, 3] as [Int32])])
    try expectUnchanged([branch], [], [x: good, index: Tensor([0, 1, 3] as [Int32]), p: Tensor(true)])
    // The third step looks at index 3.
    try expectUnchanged(loop, [], [x: good, index: Tensor([1, 0, 0] as [Int32])])

    for handle in [v, w] { try session.assign(handle, Tensor(old)) }
    try session.run([], feeds: [x: good], targets: checked)
    #expect(floats(try session.value(of: v)) == [2, 4, 6])
    #expect(floats(try session.value(of: w)) == [2, 4, 6])
    let indices = Tensor([2, 1, 0] as [Int32])
    try session.run([], feeds: [x: good, index: indices], targets: gathered)
    #expect(floats(try session.value(of: v)) == [5, 6, 7])
    #expect(floats(try session.value(of: w)) == [6, 12, 18])
    let feeds = [x: good, index: indices, p: Tensor(true)]
    #expect(floats(try session.run(branch, feeds: feeds)) == [8, 8, 8])
    #expect(try session.run(loop, feeds: [x: good, index: indices])[0].scalars() == [3, 1, 0] as [Int32])
    #expect(floats(try session.value(of: v)) == [11, 10, 9])
  }

  @Test func namesFeedsThatAreGivenTwice() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let session = try Session(graph)
    let callable = try session.makeCallable(fetches: [x * 2], feeds: [x, x])
    let feed = Tensor([1, 2] as [Float])
    let error = #expect(throws: DiagnosticList.self) { try callable(feed, feed) }
    #expect(error?.description.contains("'x' is fed twice") == true)
    #expect(throws: Diagnostic.self) { try callable(feed) }
  }
}
