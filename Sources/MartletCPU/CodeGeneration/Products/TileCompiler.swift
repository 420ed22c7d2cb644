import CMartletRuntime
import MartletDiagnostics
import Synchronization

/// Compiles the tiles of products and what goes on between them, and keeps the code.
///
/// Any number of threads may use it at once.
final class TileCompiler: Sendable {
  private enum Key: Hashable {
    case tile(ProductTile)
    case scores(ScoresCode)
  }

  private let target: LazyTarget
  private let known = Mutex<[Key: Entry]>([:])

  /// The code of a key once it is compiled. Who asks for it meanwhile waits.
  private final class Entry: Sendable {
    let code = Mutex<TileCode?>(nil)
  }

  init(_ target: LazyTarget) { self.target = target }

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

  private func code(_ key: Key, emit: (IRBuilder, IRValue, Int) -> Void) throws(Diagnostic) -> TileCode {
    let entry = known.withLock { known in
      if let entry = known[key] { return entry }
      let entry = Entry()
      known[key] = entry
      return entry
    }
    return try entry.code.withLock { (code) throws(Diagnostic) in
      if let code { return code }
      let made = try compile(emit)
      code = made
      return made
    }
  }

  private func compile(_ emit: (IRBuilder, IRValue, Int) -> Void) throws(Diagnostic) -> TileCode {
    let symbol = "tile"
    let target = try target.value()
    let object = try target.withMachine { (machine) throws(Diagnostic) in
      let ir = IRBuilder(target.llvm, moduleName: symbol)
      target.prepare(ir, machine)
      let function = ir.function(symbol, ir.functionType(ir.void, [ir.pointer]), vectorBits: target.vectorBits)
      emit(ir, function, target.vectorBits)
      try target.optimize(ir, machine)
      return try target.code(ir.module, machine)
    }
    let image = try CodeImage(try ObjectFile(object))
    return TileCode(address: try image.address(of: symbol), image: image)
  }
}

/// Machine code that is told by the address of a struct what to do; it stays loaded as long as this value or a copy of it
/// exists.
struct TileCode: Sendable {
  fileprivate var address: UInt
  fileprivate var image: CodeImage

  typealias Tile = @convention(c) (UnsafePointer<martlet_tile>) -> Void
  typealias Scores = @convention(c) (UnsafePointer<martlet_scores>) -> Void

  /// The function, of code for a tile.
  var tile: Tile { unsafeBitCast(address, to: Tile.self) }
  /// The function, of code for scores.
  var scores: Scores { unsafeBitCast(address, to: Scores.self) }
}
