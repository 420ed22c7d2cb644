import MartletTensors
import Testing

@Suite struct ShapeTests {
  @Test func literalsMakeUnknownsOfNil() throws {
    let shape: Shape = [nil, 28, 28, 1]
    #expect(shape.rank == 4)
    #expect(shape[0].known == nil)
    #expect(shape[-1].known == 1)
    #expect(shape[1] == 28)
    #expect(!shape.isFullyKnown)
    #expect(shape.known == nil)
    let other: Shape = [nil, 28, 28, 1]
    #expect(shape != other)
    #expect(Shape([2, 3]).known == [2, 3])
    #expect(Shape([2, 3]).isFullyKnown)
    #expect(Shape.scalar.known == [])
    #expect(Shape.unknown.rank == nil)
    #expect(!Shape.unknown.isFullyKnown)
  }

  @Test func elementCountsMultiply() {
    let n = Dimension.symbol(named: "n")
    #expect(Shape([n, 28, 28]).elementCount == n * 784)
    #expect(Shape.scalar.elementCount == 1)
    #expect(Shape.unknown.elementCount == nil)
    #expect(Shape([.max, 2] as [Int]).elementCount?.known == nil)
  }

  /// The cases of NumPy's page on broadcasting, and their edges.
  static let broadcasts: [([Int], [Int], [Int]?)] = [
    ([256, 256, 3], [3], [256, 256, 3]), ([8, 1, 6, 1], [7, 1, 5], [8, 7, 6, 5]), ([5, 4], [1], [5, 4]),
    ([15, 3, 5], [15, 1, 5], [15, 3, 5]), ([15, 3, 5], [3, 1], [15, 3, 5]), ([3], [4], nil), ([2, 1], [8, 4, 3], nil),
    ([], [2, 3], [2, 3]), ([], [], []), ([0], [1], [0]), ([0], [3], nil), ([4, 0], [1, 1], [4, 0]),
  ]

  @Test(arguments: broadcasts) func broadcastFollowsNumPy(a: [Int], b: [Int], expected: [Int]?) {
    #expect(Shape(a).broadcast(with: Shape(b)) == expected.map(Shape.init(_:)))
    #expect(Shape(b).broadcast(with: Shape(a)) == expected.map(Shape.init(_:)))
  }

  @Test func broadcastOfUnknowns() throws {
    let (m, n) = (Dimension.symbol(named: "m"), Dimension.symbol(named: "n"))
    #expect(Shape([n, 3]).broadcast(with: Shape([n, 1])) == Shape([n, 3]))
    #expect(Shape([n, 3]).broadcast(with: Shape([1, 3])) == Shape([n, 3]))
    #expect(Shape([n]).broadcast(with: Shape([5])) == Shape([5]))
    #expect(Shape([n]).broadcast(with: Shape([0])) == Shape([0]))
    let mixed = try #require(Shape([n]).broadcast(with: Shape([m])))
    #expect(mixed.rank == 1)
    #expect(mixed[0] != n && mixed[0] != m && mixed[0].known == nil)
    #expect(Shape.unknown.broadcast(with: [2]) == .unknown)
    #expect(Shape([n + 1]).broadcast(with: Shape([2])) == Shape([2]))
  }

  @Test func mergeKeepsWhatIsKnown() {
    let (m, n) = (Dimension.symbol(named: "m"), Dimension.symbol(named: "n"))
    #expect(Shape([n, 3]).merged(with: Shape([4, m])) == Shape([4, 3]))
    #expect(Shape([n, m]).merged(with: Shape([n, m])) == Shape([n, m]))
    #expect(Shape([n]).merged(with: Shape([m])) == Shape([n]))
    #expect(Shape.unknown.merged(with: Shape([n, 3])) == Shape([n, 3]))
    #expect(Shape([n, 3]).merged(with: .unknown) == Shape([n, 3]))
    #expect(Shape.unknown.merged(with: .unknown) == .unknown)
    #expect(Shape([2]).merged(with: [3]) == nil)
    #expect(Shape([2]).merged(with: [2, 1]) == nil)
    #expect(Shape([n]).merged(with: Shape([n + 1])) == nil)
  }

  @Test func compatibleShapesCouldBeEqual() {
    let n = Dimension.symbol(named: "n")
    #expect(Shape([n, 3]).isCompatible(with: [7, 3]))
    #expect(Shape.unknown.isCompatible(with: [7, 3]))
    #expect(!Shape([n, 3]).isCompatible(with: [7, 4]))
    #expect(!Shape([n, 3]).isCompatible(with: [7]))
    #expect(!Shape([n]).isCompatible(with: Shape([n - 2])))
  }

  @Test func shapesEvaluate() {
    let n = Dimension.symbol(named: "n")
    let shape = Shape([n, 3, n * 2])
    #expect(shape.evaluated([n.symbol!: 5]) == [5, 3, 10])
    #expect(shape.evaluated([:]) == nil)
    #expect(shape.substituting([n.symbol!: 4]).known == [4, 3, 8])
  }

  @Test func textIsReadable() {
    let shape: Shape = [nil, 28, 28, 1]
    #expect("\(TensorType(.float32, shape))" == "float32[?, 28, 28, 1]")
    #expect("\(TensorType(.int64, .scalar))" == "int64[]")
    #expect("\(TensorType(.bool, .unknown))" == "bool[...]")
    var names: [Dimension.Symbol: Int] = [:]
    #expect(TensorType(.float32, [nil, 2]).description(names: &names) == "float32[?0, 2]")
    #expect(TensorType(.float32, [nil, 3]).description(names: &names) == "float32[?1, 3]")
  }
}
