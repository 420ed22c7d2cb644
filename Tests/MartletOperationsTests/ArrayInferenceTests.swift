import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors
import Testing

/// Shapes with symbolic extents, and what is known of integers while a graph is built.
@Suite struct ArrayInferenceTests {
  let graph = Graph()
  let batch = Dimension.symbol(named: "b")
  let length = Dimension.symbol(named: "n")

  private func placeholder(_ dimensions: [Dimension], _ type: ElementType = .float32) -> Output {
    graph.placeholder(type, shape: Shape(dimensions))
  }

  @Test func reshapeDividesWhatIsSymbolic() {
    let x = placeholder([batch, 28, 28, 1])
    #expect(reshape(x, [-1, 784]).shape == Shape([batch, 784]))
    #expect(reshape(x, [-1]).shape == Shape([batch * 784]))
    #expect(reshape(x, [-1, 7, 4]).shape == Shape([batch * 28, 7, 4]))
    let back = reshape(reshape(x, [-1, 784]), to: shape(of: x))
    #expect(back.shape == x.shape)
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func shapesAreFollowedThroughIntegerArithmetic() {
    let x = placeholder([batch, length, 8])
    let extents = shape(of: x)
    #expect(extents.known?.elements == [batch, length, 8])
    let rows = extents[0] * extents[1]
    #expect(rows.known?.elements == [batch * length])
    let flat = reshape(x, to: stack([rows, graph.constant(8)]))
    #expect(flat.shape == Shape([batch * length, 8]))
    #expect(
      fill(concat([extents[..<2], graph.constant([3])], axis: 0), with: graph.constant(0.0)).shape
        == Shape([batch, length, 3]))
    #expect(gather(extents, graph.constant([2, 0])).known?.elements == [8, batch])
    #expect(reverse(extents, axes: [0]).known?.elements == [8, length, batch])
    #expect(unstack(extents)[1].known?.elements == [length])
    #expect(split(extents, sizes: [1, 2], axis: 0)[1].known?.elements == [length, 8])
    #expect(cast(extents, to: .int64).known?.elements == [batch, length, 8])
    #expect(size(of: x).known?.elements == [batch * length * 8])
    #expect(range(graph.constant(0), extents[1]).shape == Shape([length]))
    #expect(expandDims(extents[2], axis: 0).known == KnownValue(vector: [8]))
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func slicesOfUnknownExtents() {
    let x = placeholder([length, 6])
    #expect(x[0].shape == Shape([6]))
    #expect(x[1...].shape[0] == (length - 1).max(0))
    #expect(x[..<(-1)].shape == x[1...].shape)
    #expect(x[..<3].shape[0] == length.min(3))
    #expect(x[(-2)...].shape[0] == length.min(2))
    #expect(x[.stride(by: -1)].shape == x.shape)
    #expect(x[.stride(by: 2)].shape[0] == length.ceilDivided(by: 2))
    #expect(x[.ellipsis, .newAxis, 1 ..< -1].shape == Shape([length, 1, 4]))
    #expect(x[.all, 2, .newAxis].shape == Shape([length, 1]))
    #expect(x[.ellipsis, -1].shape == Shape([length]))
    #expect(graph.diagnostics.isEmpty)
  }

  /// The extent of every range agrees with counting, for extents from 0 to 6.
  @Test func rangesAgainstCounting() throws {
    let bounds: [Int?] = [nil, -8, -3, -1, 0, 1, 3, 8]
    for first in bounds {
      for last in bounds {
        for step in [-3, -1, 1, 2] {
          let extent = placeholder([length])[.stride(from: first, to: last, by: step)].shape[0]
          for count in 0...6 {
            let symbol = try #require(length.symbol)
            let expected = Self.positions(first, last, step, count).count
            #expect(
              extent.evaluated([symbol: count]) == expected, "\(String(describing: (first, last, step))) \(count)")
          }
        }
      }
    }
  }

  /// The positions that Python's `slice(first, last, step).indices(count)` describes, found by walking.
  private static func positions(_ first: Int?, _ last: Int?, _ step: Int, _ count: Int) -> [Int] {
    func place(_ bound: Int) -> Int { bound < 0 ? bound + count : bound }
    var position = first.map(place) ?? (step > 0 ? 0 : count - 1)
    // A start beyond the array is where the array begins, seen from there.
    if step > 0 { position = max(position, 0) } else { position = min(position, count - 1) }
    var result: [Int] = []
    while position >= 0, position < count {
      if let last {
        if step > 0, position >= place(last) { break }
        if step < 0, position <= place(last) { break }
      }
      result.append(position)
      position += step
    }
    return result
  }

  @Test func joiningKeepsWhatIsKnown() {
    let a = placeholder([batch, 3])
    let b = placeholder([batch, 5])
    #expect(concat([a, b], axis: 1).shape == Shape([batch, 8]))
    #expect(concat([a, a], axis: 0).shape == Shape([batch * 2, 3]))
    #expect(stack([a, a], axis: -1).shape == Shape([batch, 3, 2]))
    #expect(tile(a, multiples: [2, 4]).shape == Shape([batch * 2, 12]))
    #expect(pad(a, [(1, 2), (0, 1)]).shape == Shape([batch + 3, 4]))
    #expect(transpose(a).shape == Shape([3, batch]))
    #expect(oneHot(placeholder([batch], .int32), depth: 10).shape == Shape([batch, 10]))
    #expect(gather(a, placeholder([length], .int64), axis: 1).shape == Shape([batch, length]))
    #expect(split(a, into: 3, axis: 1).map(\.shape) == Array(repeating: Shape([batch, 1]), count: 3))
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func unknownRank() {
    let x = graph.placeholder(.float32)
    #expect(x.rank == nil)
    #expect(reshape(x, [-1, 3]).rank == 2)
    #expect(reshape(x, [-1, 3]).shape[1] == 3)
    #expect(transpose(x, permutation: [1, 0]).rank == 2)
    #expect(transpose(x).rank == nil)
    #expect(x[0, .newAxis].rank == nil)
    #expect(shape(of: x).shape.rank == 1)
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func constantsHaveTheTypesOfTensorFlow() {
    #expect(graph.constant(2).type == .tensor(.int32, .scalar))
    #expect(graph.constant(2.5).type == .tensor(.float32, .scalar))
    #expect(graph.constant([1, 2]).type == .tensor(.int32, [2]))
    #expect(graph.constant([1, 1 << 40]).type == .tensor(.int64, [2]))
    #expect(graph.constant([1.5, 2], shape: [2, 1]).type == .tensor(.float32, [2, 1]))
    #expect(graph.constant(Double(2)).type == .tensor(.float32, .scalar))
    #expect(graph.constant([Int64(3)]).type == .tensor(.int64, [1]))
    #expect(graph.placeholder(.uint8, shape: [2]).scalar(7).type == .tensor(.uint8, .scalar))
  }
}
