import CMartletRuntime
import Dispatch
import MartletDiagnostics
import Synchronization

/// Compiles the tiles of products and what goes on between them, and keeps the code.
///
/// Any number of threads may use it at once. While a program is compiled, code is generated ahead: who runs it waits.
final class TileCompiler: Sendable {
  private enum Key: Hashable {
    case tile(ProductTile)
    case scores(ScoresCode)
  }

  private let target: LazyTarget
  private let ahead: CodeAhead
  private let known = Mutex<[Key: TileCode]>([:])
  private let failures = Mutex<[Diagnostic]>([])

  init(_ target: LazyTarget, ahead: CodeAhead) { (self.target, self.ahead) = (target, ahead) }

  /// Elements of float32 in a vector register.
  var lanes: Int { Int(martlet_machine_facts().pointee.vector_bits) / 32 }

  func code(of tile: ProductTile) throws(Diagnostic) -> TileCode {
    try code(.tile(tile)) { ir, function, vectorBits in
      TileEmitter(ir, tile, function: function, vectorBits: vectorBits).emit()
    }
  }

  func code(of scores: ScoresCode) throws(Diagnostic) -> TileCode {
    try code(.scores(scores)) { ir, function, vectorBits in
      ScoresEmitter(ir, function: function, vectorBits: vectorBits).emit(scores)
    }
  }

  private typealias Emit = @Sendable (IRBuilder, IRValue, Int) -> Void

  /// How often generating code has failed.
  var failureCount: Int { failures.withLock(\.count) }

  /// - Throws: what has failed since `failureCount` was `count`, by who compiles a program: its plan must not run.
  func check(since count: Int) throws(Diagnostic) {
    if let failure = failures.withLock({ $0.count > count ? $0.last : nil }) { throw failure }
  }

  /// - Throws: a diagnostic where LLVM is missing, or no program is being compiled and generating the code fails.
  private func code(_ key: Key, emit: @escaping Emit) throws(Diagnostic) -> TileCode {
    let target = try target.value()
    let (code, isNew) = known.withLock { known in
      if let code = known[key] { return (code, false) }
      let code = TileCode()
      known[key] = code
      return (code, true)
    }
    guard isNew else { return code }
    @Sendable func compile() {
      let result = Result { () throws(Diagnostic) in try Self.compile(emit, target) }
      if case .failure(let failure) = result {
        known.withLock { $0[key] = nil }
        failures.withLock { $0.append(failure) }
      }
      code.finish(result)
    }
    let before = failureCount
    if !ahead.start(compile) {
      compile()
      try check(since: before)
    }
    return code
  }

  private static func compile(_ emit: Emit, _ target: CodeTarget) throws(Diagnostic) -> TileCode.Content {
    let symbol = "tile"
    let object = try target.withMachine { (machine) throws(Diagnostic) in
      let ir = IRBuilder(target.llvm, moduleName: symbol, hasScaling: target.hasScaling)
      target.prepare(ir, machine)
      let function = ir.function(symbol, ir.functionType(ir.void, [ir.pointer]), vectorBits: target.vectorBits)
      emit(ir, function, target.vectorBits)
      try target.optimize(ir, machine)
      return try target.code(ir.module, machine)
    }
    let image = try CodeImage(try ObjectFile(object))
    return TileCode.Content(address: try image.address(of: symbol), image: image)
  }
}

/// Machine code that is told by the address of a struct what to do; it stays loaded as long as this object exists.
final class TileCode: Sendable {
  fileprivate struct Content: Sendable {
    var address: UInt
    var image: CodeImage
  }

  /// 0 until the code is there.
  private let address = Atomic<UInt>(0)
  private let content = Mutex<Result<Content, Diagnostic>?>(nil)
  private let generation = DispatchGroup()

  typealias Tile = @convention(c) (UnsafePointer<martlet_tile>) -> Void
  typealias Scores = @convention(c) (UnsafePointer<martlet_scores>) -> Void

  fileprivate init() { generation.enter() }

  fileprivate func finish(_ result: Result<Content, Diagnostic>) {
    content.withLock { $0 = result }
    if case .success(let content) = result { address.store(content.address, ordering: .releasing) }
    generation.leave()
  }

  /// The function, of code for a tile.
  var tile: Tile { unsafeBitCast(loaded, to: Tile.self) }
  /// The function, of code for scores.
  var scores: Scores { unsafeBitCast(loaded, to: Scores.self) }

  @inline(__always) private var loaded: UInt {
    let known = address.load(ordering: .acquiring)
    return known != 0 ? known : wait()
  }

  @inline(never) private func wait() -> UInt {
    generation.wait()
    switch content.withLock({ $0 }) {
    case .success(let content): return content.address
    case let failure: preconditionFailure("there is no code for a tile: \(failure.debugDescription)")
    }
  }
}
