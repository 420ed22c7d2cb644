import Martlet
import Testing

@Suite struct SegmentTests {
  /// What belongs to no segment goes nowhere, also where that is known when the graph is compiled.
  @Test(arguments: [[-1, -1, -1], [5, 5, 5], [-1, 0, 4]], [false, true])
  func idsWithoutASegment(ids: [Int32], isFed: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3, 2], name: "x")
    let constant = graph.constant(ids)
    let fed = graph.placeholder(.int32, shape: [3], name: "ids")
    let sums = unsortedSegmentSum(x, isFed ? fed : constant, count: graph.constant(Int32(5)))
    var feeds = [x: Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [3, 2])]
    if isFed { feeds[fed] = Tensor(ids) }
    var expected = [Float](repeating: 0, count: 10)
    for (row, id) in ids.enumerated() where (0..<5).contains(id) {
      for column in 0..<2 { expected[Int(id) * 2 + column] += Float(row * 2 + column + 1) }
    }
    for device in [SessionOptions.Device.interpreter, .cpu] {
      let session = try Session(graph, options: SessionOptions(device: device))
      for _ in 0..<3 {
        #expect(try session.run([sums], feeds: feeds)[0] == Tensor(expected, shape: [5, 2]))
      }
    }
  }
}
