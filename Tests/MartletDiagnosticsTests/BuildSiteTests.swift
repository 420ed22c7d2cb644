import Testing

@testable import MartletDiagnostics

@Suite struct BuildSiteTests {
  private let file = "BuildSiteTests.swift"

  @Test func aCapturedSiteIsTheCallersLine() throws {
    let site = BuildSite.capture()
    let line = #line - 1
    let location = try #require(site.resolved)
    #expect(location.description == "\(file):\(line)")
    #expect(location.shortPath == "Tests/MartletDiagnosticsTests/BuildSiteTests.swift")
  }

  @Test func martletsOwnLayersArePassedOver() throws {
    let site = outerLibraryLayer(3)
    let line = #line - 1
    #expect(site.resolved?.description == "\(file):\(line)")
  }

  @Test func anOperatorAndAClosureAreTheUsersLines() {
    let sites = [1, 2].map { number in
      number <+> number
    }
    let line = #line - 2
    #expect(sites.map { $0.resolved?.description } == ["\(file):\(line)", "\(file):\(line)"])
  }

  /// The recording function's own frame, in Martlet's sources, comes first.
  @Test func theRecorderItselfIsPassedOver() {
    let site = BuildSite.capture(skipping: -1)
    let line = #line - 1
    #expect(site.resolved?.description == "\(file):\(line)")
  }

  @Test func theLinesOfOneExpressionDiffer() {
    let (a, b) = (
      outerLibraryLayer(1),
      outerLibraryLayer(2)
    )
    let line = #line - 3
    #expect(a.resolved?.line == line)
    #expect(b.resolved?.line == line + 1)
    #expect(a != b)
  }

  /// A loop that the compiler unrolls has several addresses, but one line.
  @Test func aSiteInALoopIsOneSite() {
    var sites: Set<BuildSite> = []
    for i in 0..<3 { sites.insert(outerLibraryLayer(i)) }
    #expect(Set(sites.map(\.resolved)).count == 1)
  }

  @Test func asynchronousFunctionsHaveSites() async {
    await Task.yield()
    let site = outerLibraryLayer(1)
    let line = #line - 1
    #expect(site.resolved?.description == "\(file):\(line)")
  }

  @Test func deepStacksAreCut() {
    func descend(_ depth: Int) -> BuildSite { depth == 0 ? .capture() : descend(depth - 1) }
    let site = descend(100)
    #expect(site.rawFrames.count == 12)
    #expect(site.resolved?.file.hasSuffix(file) == true)
  }

  @Test func rawFramesAreRelativeToTheirModule() throws {
    let frame = try #require(BuildSite.capture().rawFrames.first)
    let parts = frame.split(separator: "+")
    #expect(parts.count == 2)
    #expect(parts.last?.hasPrefix("0x") == true)
    let offset = try #require(UInt(parts[1].dropFirst(2), radix: 16))
    #expect(offset < 1 << 32)
  }

  @Test func explicitSitesNeedNoLookUp() {
    let site = BuildSite(file: "MyApp/main.swift", line: 12)
    #expect(site.resolved == SourceLocation(file: "MyApp/main.swift", line: 12))
    #expect(site.rawFrames.isEmpty)
    #expect(site == BuildSite(file: "MyApp/main.swift", line: 12))
    #expect(BuildSite.unknown.resolved == nil)
    #expect(BuildSite.unknown != site)
  }
}

infix operator <+> : AdditionPrecedence

// What follows up to the last line stands for library code: its debug information says that it lies in Martlet's sources.
#sourceLocation(file:"/somewhere/martlet/Sources/MartletGraph/Graph.swift",line:100)
@inline(never)
private func innerLibraryLayer(_ number: Int) -> BuildSite {
  let site = BuildSite.capture()
  withExtendedLifetime(number) {}
  return site
}
#sourceLocation(file:"/somewhere/martlet/Sources/MartletFrontend/Operators.swift",line:200)
@inline(never)
private func outerLibraryLayer(_ number: Int) -> BuildSite {
  let site = innerLibraryLayer(number + 1)
  withExtendedLifetime(site) {}
  return site
}

private func <+> (a: Int, b: Int) -> BuildSite { outerLibraryLayer(a + b) }
#sourceLocation()
