import MartletTensors
import Testing

@Suite struct DimensionTests {
  let x = Dimension.symbol(named: "x")
  let y = Dimension.symbol(named: "y")
  let z = Dimension.symbol(named: "z")

  @Test func knownDimensionsCompute() {
    let seven = Dimension.known(7)
    #expect((seven + 5).known == 12)
    #expect((3 - seven).known == -4)
    #expect((seven * 6).known == 42)
    #expect(seven.floorDivided(by: 2).known == 3)
    #expect((-seven).floorDivided(by: 2).known == -4)
    #expect(seven.floorDivided(by: -2).known == -4)
    #expect(seven.ceilDivided(by: 2).known == 4)
    #expect((-seven).ceilDivided(by: 2).known == -3)
    #expect(Dimension(.max).ceilDivided(by: 2).known == 1 << 62)
    #expect((-seven).modulo(4).known == 1)
    #expect(seven.modulo(-4).known == -1)
    #expect(seven.exactlyDivided(by: 7)?.known == 1)
    #expect(seven.exactlyDivided(by: 2) == nil)
    #expect(seven.min(3).known == 3)
    #expect(seven.max(3).known == 7)
  }

  @Test func freshDimensionsDiffer() {
    let a = Dimension.fresh()
    #expect(a == a)
    #expect(a != .fresh())
    #expect(a.known == nil)
    #expect(Dimension.symbol(named: "n") == .symbol(named: "n"))
    #expect(Dimension.symbol(named: "n") != .symbol(named: "m"))
  }

  @Test func equalPolynomialsAreEqual() {
    #expect((x + y) * (x - y) == x * x - y * y)
    #expect((x + 1) * (x + 1) == x * x + 2 * x + 1)
    #expect(x - x == 0)
    #expect((x + y) * z == z * y + z * x)
    #expect(x * 0 == 0)
    #expect(x + y != x + z)
    #expect(((x + y) * z).hashValue == (z * y + z * x).hashValue)
  }

  /// Each squaring doubles the power; nothing may be left of it that takes long to evaluate, or overflows.
  @Test func powersAreBounded() {
    var power = x
    for _ in 0..<70 { power = power * power }
    #expect(power.known == nil)
    #expect((x * x * x).evaluated([x.symbols[0]: 5]) == 125)
  }

  @Test func quotientsReduce() {
    #expect((6 * x + 4).floorDivided(by: 2) == 3 * x + 2)
    #expect((6 * x + 5).floorDivided(by: 2) == 3 * x + 2)
    #expect((6 * x + 5).ceilDivided(by: 2) == 3 * x + 3)
    #expect((6 * x + 5).ceilDivided(by: -2) == -(3 * x + 2))
    #expect((4 * x + 2 * y).floorDivided(by: 8) == (2 * x + y).floorDivided(by: 4))
    #expect((4 * x + 6 * y + 3).floorDivided(by: 4) == x + y + (y * 2 + 3).floorDivided(by: 4))
    #expect(x.floorDivided(by: 3).floorDivided(by: 5) == x.floorDivided(by: 15))
    #expect((x.floorDivided(by: 3) + 2).floorDivided(by: 5) == (x + 6).floorDivided(by: 15))
    #expect((x * y + y).floorDivided(by: y) == x + 1)
    #expect((x * y + z).floorDivided(by: y) == x + z.floorDivided(by: y))
    #expect((8 * x + 5).modulo(4) == 1)
    #expect(4 * x.floorDivided(by: 4) + x.modulo(4) == x)
  }

  /// Two layers with stride 2 and padding "same" give ceil(x / 4).
  @Test func stridedLayersCompose() {
    let once = (x - 1).floorDivided(by: 2) + 1
    #expect(once == x.ceilDivided(by: 2))
    #expect((once - 1).floorDivided(by: 2) + 1 == x.ceilDivided(by: 4))
  }

  @Test func exactDivisionFindsTheQuotient() {
    #expect((x * y * 784).exactlyDivided(by: x * 28) == y * 28)
    #expect((x * x - y * y).exactlyDivided(by: x + y) == x - y)
    #expect((x * 6 + 4).exactlyDivided(by: 2) == 3 * x + 2)
    #expect(x.exactlyDivided(by: x) == 1)
    #expect(Dimension(0).exactlyDivided(by: x) == 0)
  }

  @Test func exactDivisionIsNilWhereItCannotBeShown() {
    #expect((x * 6 + 3).exactlyDivided(by: 2) == nil)
    #expect(x.exactlyDivided(by: y) == nil)
    #expect((x * x + 1).exactlyDivided(by: x + 1) == nil)
    #expect(Dimension(1).exactlyDivided(by: x) == nil)
    #expect(x.exactlyDivided(by: 0) == nil)
    #expect(Dimension(.min).exactlyDivided(by: -1) == nil)
  }

  @Test func extremaCompareWhatDiffersByANumber() {
    #expect((x + 1).max(x) == x + 1)
    #expect((x + 1).min(x) == x)
    #expect(x.min(y) == y.min(x))
    #expect(x.max(x) == x)
    #expect(x.min(y) != x.max(y))
  }

  @Test func whatDoesNotFitBecomesANewUnknown() {
    let huge = Dimension(.max)
    let sum = huge + 1
    #expect(sum.known == nil)
    #expect(sum != huge + 1)
    #expect((huge * 2).known == nil)
    #expect((x * .max + x).evaluated([:]) == nil)
    #expect(x.floorDivided(by: 0).known == nil)
    #expect(x.modulo(0).known == nil)
    #expect(Dimension(.min).floorDivided(by: -1).known == nil)
    #expect((-Dimension(.min)).known == nil)
  }

  /// Without bounds these would take time or memory exponential in the number of steps.
  @Test(.timeLimit(.minutes(30))) func growthIsBounded() {
    var power = x + y + z + 1
    for _ in 0..<40 { power *= power }
    var nested = x
    for i in 0..<500 { nested = (nested * nested + i).floorDivided(by: y + nested) }
    var minimum = x
    for i in 0..<500 { minimum = (minimum * 2 + i).min(y * 3) }
    #expect(power.known == nil && nested.known == nil && minimum.known == nil)
  }

  @Test func manyTermsAddUp() {
    let symbols = (0..<300).map { Dimension.symbol(named: "s\($0)") }
    let sum = symbols.reduce(0, +)
    let values = Dictionary(uniqueKeysWithValues: symbols.enumerated().map { ($1.symbol!, $0) })
    #expect(sum.evaluated(values) == 300 * 299 / 2)
    #expect((sum * sum).evaluated(values) == (300 * 299 / 2) * (300 * 299 / 2))
  }

  @Test func evaluationNeedsEverySymbol() {
    let value = x * y + 3
    #expect(value.symbols == [x.symbol!, y.symbol!])
    #expect(value.evaluated([x.symbol!: 4, y.symbol!: 5]) == 23)
    #expect(value.evaluated([x.symbol!: 4]) == nil)
    #expect(x.floorDivided(by: y).evaluated([x.symbol!: 4, y.symbol!: 0]) == nil)
    #expect((x * x).evaluated([x.symbol!: .max]) == nil)
  }

  @Test func substitutionNormalises() {
    let value = (x * y).floorDivided(by: z)
    #expect(value.substituting([z.symbol!: y]) == x)
    #expect(value.substituting([x.symbol!: 6, y.symbol!: 5, z.symbol!: 4]) == 7)
    #expect(x.min(y).substituting([y.symbol!: x + 1]) == x)
  }

  @Test func textIsReadable() {
    let batch = Dimension.fresh()
    #expect("\(Dimension(-3))" == "-3")
    #expect("\(batch)" == "?")
    #expect("\(batch * 784 + 1)" == "?*784 + 1")
    #expect("\(x * x - y * 2)" == "x*x - y*2")
    #expect("\(-x - 1)" == "-x - 1")
    #expect("\((x + 1).floorDivided(by: 2))" == "floor(x + 1, 2)")
    #expect("\(x.min(y))" == "min(x, y)")
  }

  @Test func anonymousSymbolsAreNumberedAsTheyAppear() {
    let (a, b) = (Dimension.fresh(), Dimension.fresh())
    var names: [Dimension.Symbol: Int] = [:]
    #expect((b + 1).description(names: &names) == "?0 + 1")
    #expect((a * b).description(names: &names) == "?1*?0")
    #expect(a.description(names: &names) == "?1")
    #expect(x.description(names: &names) == "x")
  }
}
