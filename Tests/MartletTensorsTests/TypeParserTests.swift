import MartletTensors
import Testing

@Suite struct TypeParserTests {
  let n = Dimension.symbol(named: "n")

  @Test func dimensionsAreRead() {
    var parser = TypeParser()
    #expect(parser.dimension("28") == 28)
    #expect(parser.dimension("-9223372036854775808") == Dimension(.min))
    #expect(parser.dimension("n*2 - 1") == n * 2 - 1)
    #expect(parser.dimension("-n*n") == -(n * n))
    #expect(parser.dimension(" floor( n + 1 , 2 ) ") == (n + 1).floorDivided(by: 2))
    #expect(parser.dimension("min(n, 3)") == n.min(3))
    #expect(parser.dimension("max(n, min(n, 3))") == n.max(n.min(3)))
    #expect(parser.dimension("scope/batch.size_2") == .symbol(named: "scope/batch.size_2"))
  }

  @Test func numberedSymbolsAreSharedWithinAParser() throws {
    var parser = TypeParser()
    let read = parser.dimension("?0")
    let first = try #require(read)
    #expect(parser.dimension("?0*2") == first * 2)
    #expect(parser.dimension("?1") != first)
    #expect(parser.dimension("?") != parser.dimension("?"))
    var other = TypeParser()
    #expect(other.dimension("?0") != first)
  }

  @Test func typesAreRead() throws {
    var parser = TypeParser()
    #expect(parser.type("float32[n, 784]") == TensorType(.float32, Shape([n, 784])))
    #expect(parser.type("bool[]") == TensorType(.bool, .scalar))
    #expect(parser.type("string[...]") == TensorType(.string, .unknown))
    #expect(parser.shape("[min(n, 2), 3]") == Shape([n.min(2), 3]))
    let read = parser.shape("[?0, ?0]")
    let pair = try #require(read)
    #expect(pair[0] == pair[1])
  }

  @Test(arguments: [
    "", "n n", "2 3", "+1", "n +", "(n)", "floor(n)", "floor(n, 2", "sqrt(n, 2)", "99999999999999999999", "n*", "*n",
    "?-",
    "n + - 1",
  ])
  func malformedDimensionsAreRefused(text: String) {
    var parser = TypeParser()
    #expect(parser.dimension(text) == nil)
  }

  @Test(arguments: [
    "float32", "float[2]", "float32[2", "float32[2,]", "float32[,]", "float32[2]]", "[2]", "bool[....]",
  ])
  func malformedTypesAreRefused(text: String) {
    var parser = TypeParser()
    #expect(parser.type(text) == nil)
  }

  @Test func deepNestingIsRefused() {
    var parser = TypeParser()
    let depth = 100_000
    let text = String(repeating: "min(n, ", count: depth) + "1" + String(repeating: ")", count: depth)
    #expect(parser.dimension(text) == nil)
  }

  @Test(arguments: 0..<20) func whatIsPrintedIsReadBack(seed: UInt64) {
    var random = SplitMix64(seed: seed ^ 0x7E47)
    for _ in 0..<50 {
      let dimension = DimensionFuzzTests.expression(depth: 4, &random).dimension
      guard dimension.symbols.allSatisfy({ $0.name != nil }) else { continue }  // A division by zero is a new unknown.
      var parser = TypeParser()
      #expect(parser.dimension(dimension.description) == dimension, "seed \(seed): \(dimension)")
    }
  }
}
