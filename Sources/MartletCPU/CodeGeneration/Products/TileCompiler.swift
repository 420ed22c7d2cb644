import CMartletRuntime
import MartletDiagnostics
import Synchronization

/// Compiles tiles, and keeps the code of those that it has seen.
///
/// Any number of threads may use it at once.
final class TileCompiler: Sendable {
  private let target: LazyTarget
  private let known = Mutex<[ProductTile: TileCode]>([:])

  init(_ target: LazyTarget) { self.target = target }

  /// Elements of float32 in a vector register.
  var lanes: Int { Int(martlet_machine_facts().pointee.vector_bits) / 32 }

  func code(of tile: ProductTile) throws(Diagnostic) -> TileCode {
    if let code = known.withLock({ $0[tile] }) { return code }
    let symbol = "tile"
    let target = try target.value()
    let object = try target.withMachine { (machine) throws(Diagnostic) in
      let ir = IRBuilder(target.llvm, moduleName: symbol)
      target.prepare(ir, machine)
      let function = ir.function(symbol, ir.functionType(ir.void, [ir.pointer]), vectorBits: target.vectorBits)
      TileEmitter(ir, tile, function: function, vectorBits: target.vectorBits).emit()
      try target.optimize(ir, machine)
      return try target.code(ir.module, machine)
    }
    let image = try CodeImage(try ObjectFile(object))
    let code = TileCode(address: try image.address(of: symbol), image: image)
    return known.withLock { known in
      if let other = known[tile] { return other }
      known[tile] = code
      return code
    }
  }
}

/// Machine code of a tile; it stays loaded as long as this value or a copy of it exists.
struct TileCode: Sendable {
  fileprivate var address: UInt
  fileprivate var image: CodeImage

  typealias Function = @convention(c) (UnsafePointer<martlet_tile>) -> Void

  var function: Function { unsafeBitCast(address, to: Function.self) }
}
