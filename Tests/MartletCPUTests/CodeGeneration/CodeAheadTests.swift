import CMartletRuntime
import Foundation
import MartletLoopIR
import MartletTestSupport
import Synchronization
import Testing

@testable import MartletCPU

struct CodeAheadTests {
  @Test func jobsEndWithTheProgramThatIsCompiled() {
    let ahead = CodeAhead()
    let done = Mutex(0)
    let job: @Sendable () -> Void = {
      Thread.sleep(forTimeInterval: 0.01)
      done.withLock { $0 += 1 }
    }
    #expect(!ahead.start(job))
    ahead.begin()
    ahead.begin()
    #expect(ahead.start(job))
    ahead.end()
    #expect(done.withLock { $0 } == 1)
    #expect(ahead.start(job) && ahead.start(job))
    ahead.end()
    #expect(done.withLock { $0 } == 3)
    #expect(!ahead.start(job))
  }

  /// Who asks for code that is, or was, generated ahead gets it, and is told of it once.
  @Test(arguments: [false, true])
  func nestsAreCompiledOnce(waits: Bool) throws {
    let compiler = NestCompiler()
    let nests = [NestCompilerTests.scaled(by: 2, name: "a"), NestCompilerTests.scaled(by: 3, name: "b")]
    compiler.compileAhead(nests, store: nil)
    #expect(compiler.statistics.compiled == 0)
    compiler.ahead.begin()
    compiler.compileAhead(nests, store: nil)
    compiler.compileAhead(nests, store: nil)
    if waits { compiler.ahead.end() }
    var counts = NestCompiler.Statistics()
    let kernels = try compiler.compile(
      nests + [NestCompilerTests.scaled(by: 4, name: "c")], store: nil, counts: &counts)
    if !waits { compiler.ahead.end() }
    for (kernel, factor) in zip(kernels, [2, 3, 4]) {
      #expect(NestCompilerTests.run(kernel) == (0..<20).map { Float(factor * $0) })
    }
    #expect((counts.compiled, counts.reused) == (3, 0))
    #expect((compiler.statistics.compiled, compiler.statistics.reused) == (3, 0))
    counts = NestCompiler.Statistics()
    _ = try compiler.compile(nests, store: nil, counts: &counts)
    #expect((counts.compiled, counts.reused) == (0, 2))
  }

  /// Code for a tile may be run while it is generated.
  @Test(arguments: [false, true])
  func tilesMayBeRunAtOnce(isAhead: Bool) throws {
    let compiler = NestCompiler()
    try #require(compiler.tiles.lanes > 0)
    if isAhead { compiler.ahead.begin() }
    defer { if isAhead { compiler.ahead.end() } }
    let code = try compiler.tiles.code(
      of: ProductTile(rows: 1, vectors: 1, isByColumns: false, isRightStrided: false, activation: nil))
    let lanes = compiler.tiles.lanes
    let (a, b): ([Float], [Float]) = ([2, 3], (0..<2 * lanes).map { Float($0) })
    var c = [Float](repeating: 0, count: lanes)
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        c.withUnsafeMutableBufferPointer { c in
          var tile = martlet_tile()
          tile.count = 1
          (tile.a, tile.b, tile.c) = (a.baseAddress, b.baseAddress, c.baseAddress)
          (tile.a_stride, tile.c_stride, tile.depth, tile.columns) = (2, Int64(lanes), 2, Int64(lanes))
          code.tile(&tile)
        }
      }
    }
    #expect(c == (0..<lanes).map { Float(2 * $0 + 3 * ($0 + lanes)) })
  }
}
