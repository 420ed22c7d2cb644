import Martlet
import MartletTestSupport
import Testing

/// Slices that begin where a run says.
@Suite struct MovingSliceTests {
  /// The block of 2 × 3 numbers of an array of 5 × 7, its first element at `row`, `column`.
  private func block(_ row: Int, _ column: Int) -> [Float] {
    (0..<2).flatMap { i in (0..<3).map { j in Float((row + i) * 7 + column + j) } }
  }

  private func integers(_ a: Int, _ b: Int, _ type: ElementType) -> Tensor {
    type == .int32 ? Tensor([Int32(a), Int32(b)]) : Tensor([Int64(a), Int64(b)])
  }

  private let array = Tensor((0..<35).map { Float($0) }, shape: [5, 7])

  @Test(arguments: SessionOptions.Device.tested, [ElementType.int32, .int64])
  func blocksAndGradients(device: SessionOptions.Device, type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [5, 7], name: "x")
    let begin = graph.placeholder(type, shape: [2], name: "begin")
    let y = slice(x, begin: begin, size: graph.constant(integers(2, 3, type)))
    let weights = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
    let found = try gradients(of: [y], withRespectTo: [x], upstream: [graph.constant(weights)])
    let dx = try #require(found[0])
    let session = try Session(graph, options: SessionOptions(device: device))
    for (row, column) in [(0, 0), (3, 4), (1, 2), (3, 0)] {
      let found = try session.run(
        [y, dx], feeds: [x: array, begin: integers(row, column, type)])
      #expect(found[0].scalars(as: Float.self) == block(row, column))
      var expected = [Float](repeating: 0, count: 35)
      for (place, weight) in zip(block(row, column), 1...6) { expected[Int(place)] = Float(weight) }
      #expect(found[1].scalars(as: Float.self) == expected)
    }
    for (row, column) in [(4, 0), (0, 5), (-1, 0)] {
      #expect(throws: Diagnostic.self) {
        try session.run(
          y, feeds: [x: array, begin: integers(row, column, type)])
      }
    }
  }

  /// An extent that depends on the beginning is not known when the graph is compiled.
  @Test func whatReachesToTheEnd() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [5, 7], name: "x")
    let begin = graph.placeholder(.int32, shape: [2], name: "begin")
    let y = slice(x, begin: begin, size: graph.constant(Tensor([2, -1] as [Int32])))
    let error = try #require(throws: (any Error).self) {
      try Session(graph).run(y, feeds: [x: array, begin: Tensor([0, 0] as [Int32])])
    }
    #expect("\(error)".contains("Slice") && "\(error)".contains("float32[2, ?]"))
  }
}
