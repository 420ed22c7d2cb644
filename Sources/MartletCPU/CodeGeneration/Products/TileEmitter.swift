import CMartletRuntime
import MartletGraph

/// Emits the code of tiles, one below the other, as one function.
///
/// Each step of the summed dimension loads the panel's vectors once and multiplies them with one element of each row.
/// Four steps are unrolled; in each such round some lines of memory that will be wanted soon are fetched, since a panel that
/// comes from memory would otherwise be waited for: hardware does not look beyond the end of a page.
struct TileEmitter {
  private static let unrolledSteps = 4

  private let ir: IRBuilder
  private let tile: ProductTile
  private let lanes: Int
  private let math: LaneMath
  private let function: IRValue
  private let vector: IRType

  /// The members of `martlet_tile`.
  private struct Fields {
    var count: IRValue
    var a: IRValue
    var aStride: IRValue
    var b: IRValue
    var bStride: IRValue
    var c: IRValue
    var cStride: IRValue
    var hasAddend: IRValue
    var addend: IRValue
    var addendStride: IRValue
    var nextAddend: IRValue
    var bias: IRValue
    var depth: IRValue
    var columns: IRValue
    var ahead: IRValue
    var aheadEnd: IRValue
    var aheadPiece: IRValue
    var isLast: IRValue
  }

  /// - Parameter vectorBits: the width of vector registers.
  init(_ ir: IRBuilder, _ tile: ProductTile, function: IRValue, vectorBits: Int) {
    (self.ir, self.tile, self.function) = (ir, tile, function)
    lanes = vectorBits / 32
    math = LaneMath(ir, .single, lanes: lanes)
    vector = ir.lanes(ir.float, lanes)
  }

  func emit() {
    ir.position(at: ir.append("entry", to: function))
    let fields = fields()
    let masks = (0..<tile.vectors).map { mask(fields.columns, $0) }
    let memory = Memory(
      sums: (0..<tile.rows).map { _ in (0..<tile.vectors).map { _ in ir.alloca(vector) } },
      kept: ir.alloca(ir.llvm.pointee.ArrayType(vector, UInt32(tile.rows * tile.vectors))!),
      a: ir.alloca(ir.pointer), b: ir.alloca(ir.pointer), ahead: ir.alloca(ir.pointer))
    ir.loop(fields.count) { emit(self.fields(fields, ofTile: $0), memory, masks) }
    ir.returnVoid()
  }

  /// What the function has for itself.
  private struct Memory {
    var sums: [[IRValue]]
    /// Sums side by side, for loops over rows.
    var kept: IRValue
    /// Where the addresses of what comes next are kept.
    var a: IRValue
    var b: IRValue
    var ahead: IRValue
  }

  /// Emits the code of one tile.
  private func emit(_ fields: Fields, _ memory: Memory, _ masks: [IRValue]) {
    let sums = memory.sums
    for (start, cursor) in [(fields.a, memory.a), (fields.b, memory.b), (fields.ahead, memory.ahead)] {
      ir.store(start, cursor, alignment: 8)
    }
    begin(sums, fields, masks)
    fetchNextAddend(fields)
    multiply(sums, fields, masks, a: memory.a, b: memory.b, ahead: memory.ahead)
    if let activation = tile.activation, activation.isPiecewiseLinear {
      ir.branch(if: isComplete(fields)) {
        for sum in sums.joined() {
          ir.store(value(activation, ir.load(vector, sum, alignment: 64)), sum, alignment: 64)
        }
      }
    }
    if let activation = tile.activation, !activation.isPiecewiseLinear {
      ir.branch(if: isComplete(fields)) {
        activate(activation, sums, kept: memory.kept, fields, masks)
      } else: {
        storeSums(sums, fields, masks)
      }
    } else {
      storeSums(sums, fields, masks)
    }
  }

  /// What the tile of a number is told.
  private func fields(_ first: Fields, ofTile number: IRValue) -> Fields {
    var fields = first
    let row = ir.mul(number, ir.int(tile.rows))
    fields.a = tile.isByColumns ? ir.element(ir.float, first.a, row) : rowAddress(first.a, first.aStride, row)
    fields.c = rowAddress(first.c, first.cStride, row)
    fields.addend = rowAddress(first.addend, first.addendStride, row)
    let following = ir.add(number, ir.int(1))
    let next = rowAddress(first.addend, first.addendStride, ir.add(row, ir.int(tile.rows)))
    let isLast = ir.compare(martlet_llvm_int_eq, following, first.count)
    fields.nextAddend = ir.select(first.hasAddend, ir.select(isLast, first.nextAddend, next), first.nextAddend)
    fields.ahead = ir.element(ir.int8, first.ahead, ir.mul(number, first.aheadPiece))
    let end = ir.element(ir.int8, fields.ahead, first.aheadPiece)
    fields.aheadEnd = ir.select(ir.compare(martlet_llvm_int_ult, end, first.aheadEnd), end, first.aheadEnd)
    return fields
  }

  private func fields() -> Fields {
    let base: IRValue = ir.llvm.pointee.GetParam(function, 0)!
    func field<T>(_ path: KeyPath<martlet_tile, T>, _ type: IRType) -> IRValue { ir.field(path, type, of: base) }
    let addend = field(\.addend, ir.pointer)
    return Fields(
      count: field(\.count, ir.int64), a: field(\.a, ir.pointer), aStride: field(\.a_stride, ir.int64),
      b: field(\.b, ir.pointer),
      bStride: field(\.b_stride, ir.int64),
      c: field(\.c, ir.pointer), cStride: field(\.c_stride, ir.int64), hasAddend: isThere(addend), addend: addend,
      addendStride: field(\.addend_stride, ir.int64), nextAddend: field(\.next_addend, ir.pointer),
      bias: field(\.bias, ir.pointer),
      depth: field(\.depth, ir.int64), columns: field(\.columns, ir.int64), ahead: field(\.ahead, ir.pointer),
      aheadEnd: field(\.ahead_end, ir.pointer), aheadPiece: field(\.ahead_piece, ir.int64),
      isLast: field(\.is_last, ir.int64))
  }

  // MARK: Memory

  /// Which lanes of a vector of the panel are columns of the result.
  private func mask(_ columns: IRValue, _ number: Int) -> IRValue {
    let left = ir.sub(columns, ir.int(number * lanes))
    return ir.compare(martlet_llvm_int_slt, ir.steps(ir.int64, lanes), ir.splat(left, lanes))
  }

  private func rowAddress(_ base: IRValue, _ stride: IRValue, _ row: IRValue) -> IRValue {
    ir.element(ir.float, base, ir.mul(stride, row))
  }

  private func load(_ row: IRValue, _ number: Int, _ mask: IRValue) -> IRValue {
    ir.maskedLoad(vector, ir.element(ir.float, row, ir.int(number * lanes)), mask)
  }

  private func store(_ value: IRValue, _ row: IRValue, _ number: Int, _ mask: IRValue) {
    ir.maskedStore(value, ir.element(ir.float, row, ir.int(number * lanes)), mask)
  }

  // MARK: Parts

  private func isThere(_ pointer: IRValue) -> IRValue {
    ir.compare(martlet_llvm_int_ne, pointer, ir.zero(ir.pointer))
  }

  /// Sets the sums to what they start from.
  private func begin(_ sums: [[IRValue]], _ fields: Fields, _ masks: [IRValue]) {
    ir.branch(if: fields.hasAddend) {
      for (row, vectors) in sums.enumerated() {
        let address = rowAddress(fields.addend, fields.addendStride, ir.int(row))
        for (i, sum) in vectors.enumerated() { ir.store(load(address, i, masks[i]), sum, alignment: 64) }
      }
    } else: {
      for sum in sums.joined() { ir.store(ir.zero(vector), sum, alignment: 64) }
    }
    ir.branch(if: isThere(fields.bias)) {
      let bias = (0..<tile.vectors).map { load(fields.bias, $0, masks[$0]) }
      for vectors in sums {
        for (i, sum) in vectors.enumerated() {
          ir.store(ir.fadd(ir.load(vector, sum, alignment: 64), bias[i]), sum, alignment: 64)
        }
      }
    }
  }

  /// Adds the products; a, b and ahead are where the addresses of what comes next are kept.
  private func multiply(
    _ sums: [[IRValue]], _ fields: Fields, _ masks: [IRValue], a: IRValue, b: IRValue, ahead: IRValue
  ) {
    let rowOffsets = (0..<tile.rows).map { ir.mul(fields.aStride, ir.int($0)) }
    func steps(_ count: Int) {
      let (left, right) = (ir.load(ir.pointer, a, alignment: 8), ir.load(ir.pointer, b, alignment: 8))
      for step in 0..<count {
        let line = rightRow(right, fields, step)
        let panel = (0..<tile.vectors).map { number in
          tile.isRightStrided
            ? load(line, number, masks[number])
            : ir.load(vector, ir.element(ir.float, line, ir.int(number * lanes)), alignment: 4)
        }
        let column = tile.isByColumns ? rowAddress(left, fields.aStride, ir.int(step)) : left
        for (row, vectors) in sums.enumerated() {
          let address =
            tile.isByColumns
            ? ir.element(ir.float, column, ir.int(row))
            : ir.element(ir.float, ir.element(ir.float, left, rowOffsets[row]), ir.int(step))
          let factor = ir.splat(ir.load(ir.float, address, alignment: 4), lanes)
          for (i, sum) in vectors.enumerated() {
            ir.store(math.fma(factor, panel[i], ir.load(vector, sum, alignment: 64)), sum, alignment: 64)
          }
        }
      }
      let next =
        tile.isByColumns ? rowAddress(left, fields.aStride, ir.int(count)) : ir.element(ir.float, left, ir.int(count))
      ir.store(next, a, alignment: 8)
      ir.store(rightRow(right, fields, count), b, alignment: 8)
    }
    let rounds = ir.sdiv(fields.depth, ir.int(Self.unrolledSteps))
    ir.loop(rounds) { _ in
      for _ in 0..<tile.vectors { fetch(ahead, fields.aheadEnd) }
      steps(Self.unrolledSteps)
    }
    ir.loop(ir.sub(fields.depth, ir.mul(rounds, ir.int(Self.unrolledSteps)))) { _ in steps(1) }
  }

  /// Where b is `steps` steps further on.
  private func rightRow(_ right: IRValue, _ fields: Fields, _ steps: Int) -> IRValue {
    tile.isRightStrided
      ? rowAddress(right, fields.bStride, ir.int(steps))
      : ir.element(ir.float, right, ir.int(steps * tile.vectors * lanes))
  }

  /// Fetches what the next tile starts from, into the nearest cache: that tile cannot begin without it.
  private func fetchNextAddend(_ fields: Fields) {
    ir.branch(if: isThere(fields.nextAddend)) {
      for row in 0..<tile.rows {
        let address = rowAddress(fields.nextAddend, fields.addendStride, ir.int(row))
        for number in 0..<tile.vectors { fetch(ir.element(ir.float, address, ir.int(number * lanes)), level: 3) }
      }
    }
  }

  /// - Parameter level: 3 for the first-level cache, 2 for the second.
  private func fetch(_ line: IRValue, level: Int) {
    // To be read, as data.
    let hints = [0, Int64(level), 1].map { ir.constant($0, ir.int32) }
    _ = ir.intrinsic("llvm.prefetch", [ir.pointer], [line] + hints)
  }

  /// Fetches a line and goes on to the next, if there is one.
  private func fetch(_ ahead: IRValue, _ end: IRValue) {
    let line = ir.load(ir.pointer, ahead, alignment: 8)
    fetch(line, level: 2)
    let next = ir.element(ir.int8, line, ir.int(64))
    let isMore = ir.compare(martlet_llvm_int_ult, next, end)
    ir.store(ir.select(isMore, next, line), ahead, alignment: 8)
  }

  private func storeSums(_ sums: [[IRValue]], _ fields: Fields, _ masks: [IRValue]) {
    for (row, vectors) in sums.enumerated() {
      let address = rowAddress(fields.c, fields.cStride, ir.int(row))
      for (i, sum) in vectors.enumerated() {
        store(ir.load(vector, sum, alignment: 64), address, i, masks[i])
      }
    }
  }

  /// Row by row, with the sums in memory of the function's own: what is stored under a mask cannot be loaded again before
  /// it has reached the cache.
  private func activate(
    _ activation: Epilogue.Activation, _ sums: [[IRValue]], kept: IRValue, _ fields: Fields, _ masks: [IRValue]
  ) {
    for (number, sum) in sums.joined().enumerated() {
      ir.store(ir.load(vector, sum, alignment: 64), ir.element(vector, kept, ir.int(number)), alignment: 64)
    }
    ir.loop(ir.int(tile.rows)) { row in
      let address = rowAddress(fields.c, fields.cStride, row)
      let first = ir.element(vector, kept, ir.mul(row, ir.int(tile.vectors)))
      for i in 0..<tile.vectors {
        let sum = ir.load(vector, ir.element(vector, first, ir.int(i)), alignment: 64)
        store(value(activation, sum), address, i, masks[i])
      }
    }
  }

  private func isComplete(_ fields: Fields) -> IRValue { ir.compare(martlet_llvm_int_ne, fields.isLast, ir.int(0)) }

  private func value(_ activation: Epilogue.Activation, _ x: IRValue) -> IRValue {
    let (zero, one) = (math.constant(0), math.constant(1))
    let isPositive = math.less(zero, x)
    switch activation {
    // Not x · 0 for negative x, which is NaN for −∞.
    case .relu(slope: 0): return ir.select(math.less(x, zero), zero, x)
    case .relu(let slope): return ir.select(isPositive, x, math.mul(x, math.constant(Double(slope))))
    case .clip(let low, let high): return math.atMost(math.atLeast(x, Double(low)), Double(high))
    case .elu(let alpha): return ir.select(isPositive, x, math.mul(math.expm1(x), math.constant(Double(alpha))))
    case .tanh: return math.tanh(x)
    case .sigmoid: return math.sigmoid(x)
    case .gelu: return math.gelu(x)
    case .geluByTanh:
      let cube = math.mul(math.mul(x, x), x)
      let inner = math.add(x, math.mul(cube, math.constant(0.044715)))
      let tangent = math.tanh(math.mul(inner, math.constant((2 / Double.pi).squareRoot())))
      return math.mul(math.mul(x, math.constant(0.5)), math.add(one, tangent))
    }
  }
}
