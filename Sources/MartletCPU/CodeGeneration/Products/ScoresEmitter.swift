import CMartletRuntime

/// The code between the two products of attention, for a block of scores.
enum ScoresCode: Hashable, Sendable {
  /// Turns scores into the exponentials of their distances from the greatest so far, and brings what is kept up to it.
  case weights(ScoresMask)
  /// Divides the rows of the results by their sums.
  case quotients
}

/// What is added to scores.
enum ScoresMask: Hashable, Sendable { case none, elements, rows }

/// Emits the code of a block of scores as a function that takes the address of a `martlet_scores`.
///
/// With m the greatest score of a row so far and l the sum of its exponentials: m' = max(m, scores), weights =
/// exp(scores − m'), l' = l · exp(m − m') + Σ weights, and the results so far are multiplied by exp(m − m') too.
/// A row of nothing but −∞ has the sum 0 and becomes NaN in the end, as a softmax written out does.
struct ScoresEmitter {
  private let ir: IRBuilder
  private let function: IRValue
  private let lanes: Int
  private let math: LaneMath
  private let single: LaneMath
  private let vector: IRType

  init(_ ir: IRBuilder, function: IRValue, vectorBits: Int) {
    (self.ir, self.function) = (ir, function)
    lanes = vectorBits / 32
    math = LaneMath(ir, .single, lanes: lanes)
    single = LaneMath(ir, .single, lanes: 1)
    vector = ir.lanes(ir.float, lanes)
  }

  func emit(_ code: ScoresCode) {
    ir.position(at: ir.append("entry", to: function))
    let (first, second) = (ir.alloca(vector), ir.alloca(vector))
    let rows = field(\.rows, ir.int64)
    switch code {
    case .weights(let mask): emitWeights(rows, mask, maximum: first, sum: second)
    case .quotients: emitQuotients(rows)
    }
    ir.returnVoid()
  }

  // MARK: Rows

  private func emitWeights(_ rows: IRValue, _ mask: ScoresMask, maximum: IRValue, sum: IRValue) {
    let (columns, scale) = (field(\.columns, ir.int64), ir.splat(field(\.scale, ir.float), lanes))
    let isFirst = ir.compare(martlet_llvm_int_ne, field(\.is_first, ir.int32), ir.constant(0, ir.int32))
    let (scores, stride) = (field(\.scores, ir.pointer), field(\.stride, ir.int64))
    let (maxima, sums) = (field(\.maxima, ir.pointer), field(\.sums, ir.pointer))
    let (masks, maskStride) = (field(\.mask, ir.pointer), field(\.mask_stride, ir.int64))
    let (results, resultStride) = (field(\.results, ir.pointer), field(\.result_stride, ir.int64))
    let resultColumns = field(\.result_columns, ir.int64)
    let lowest = single.constant(-Double.infinity)
    ir.loop(rows) { row in
      let address = ir.element(ir.float, scores, ir.mul(stride, row))
      let maskAddress = ir.element(ir.float, masks, ir.mul(maskStride, row))
      let rowMask = mask == .rows ? ir.splat(ir.load(ir.float, maskAddress, alignment: 4), lanes) : nil
      ir.store(ir.splat(lowest, lanes), maximum, alignment: 64)
      vectors(columns) { column, isThere in
        var score = ir.fmul(load(address, column, isThere), scale)
        if let rowMask { score = ir.fadd(score, rowMask) }
        if mask == .elements { score = ir.fadd(score, load(maskAddress, column, isThere)) }
        store(score, address, column, isThere)
        let known = ir.load(vector, maximum, alignment: 64)
        let isGreater = ir.and(isThere, math.less(known, score))
        ir.store(ir.select(isGreater, score, known), maximum, alignment: 64)
      }
      let before = ir.select(
        isFirst, lowest, ir.load(ir.float, ir.element(ir.float, maxima, row), alignment: 4))
      let here = reduced(ir.load(vector, maximum, alignment: 64)) { ir.select(single.less($0, $1), $1, $0) }
      let greatest = ir.select(single.less(before, here), here, before)
      ir.store(greatest, ir.element(ir.float, maxima, row), alignment: 4)
      // The distance of −∞ from itself would be NaN.
      let origin = ir.select(single.equal(greatest, lowest), single.constant(0), greatest)
      ir.store(ir.zero(vector), sum, alignment: 64)
      let origins = ir.splat(origin, lanes)
      vectors(columns) { column, isThere in
        let weight = math.exp(ir.fsub(load(address, column, isThere), origins))
        store(weight, address, column, isThere)
        let known = ir.load(vector, sum, alignment: 64)
        ir.store(ir.fadd(known, ir.select(isThere, weight, ir.zero(vector))), sum, alignment: 64)
      }
      let total = reduced(ir.load(vector, sum, alignment: 64)) { ir.fadd($0, $1) }
      let sumAddress = ir.element(ir.float, sums, row)
      let factor = single.exp(ir.fsub(before, origin))
      let kept = ir.fmul(ir.load(ir.float, sumAddress, alignment: 4), factor)
      ir.store(ir.select(isFirst, total, ir.fadd(total, kept)), sumAddress, alignment: 4)
      let isUnchanged = ir.or(isFirst, single.equal(factor, single.constant(1)))
      multiply(
        ir.element(ir.float, results, ir.mul(resultStride, row)),
        ir.select(isUnchanged, ir.int(0), resultColumns), by: factor)
    }
  }

  private func emitQuotients(_ rows: IRValue) {
    let sums = field(\.sums, ir.pointer)
    let (results, stride) = (field(\.results, ir.pointer), field(\.result_stride, ir.int64))
    let columns = field(\.result_columns, ir.int64)
    ir.loop(rows) { row in
      let sum = ir.load(ir.float, ir.element(ir.float, sums, row), alignment: 4)
      multiply(
        ir.element(ir.float, results, ir.mul(stride, row)), columns, by: ir.fdiv(single.constant(1), sum))
    }
  }

  private func multiply(_ address: IRValue, _ columns: IRValue, by factor: IRValue) {
    let factors = ir.splat(factor, lanes)
    vectors(columns) { column, isThere in
      store(ir.fmul(load(address, column, isThere), factors), address, column, isThere)
    }
  }

  // MARK: Vectors

  private func field<T>(_ path: KeyPath<martlet_scores, T>, _ type: IRType) -> IRValue {
    ir.field(path, type, of: ir.llvm.pointee.GetParam(function, 0)!)
  }

  /// Runs `body` for each vector of a row, with the number of its first column and which of its lanes are columns.
  private func vectors(_ columns: IRValue, _ body: (IRValue, IRValue) -> Void) {
    let count = ir.sdiv(ir.add(columns, ir.int(lanes - 1)), ir.int(lanes))
    ir.loop(count) { number in
      let column = ir.mul(number, ir.int(lanes))
      let left = ir.splat(ir.sub(columns, column), lanes)
      body(column, ir.compare(martlet_llvm_int_slt, ir.steps(ir.int64, lanes), left))
    }
  }

  private func load(_ row: IRValue, _ column: IRValue, _ isThere: IRValue) -> IRValue {
    ir.maskedLoad(vector, ir.element(ir.float, row, column), isThere)
  }

  private func store(_ value: IRValue, _ row: IRValue, _ column: IRValue, _ isThere: IRValue) {
    ir.maskedStore(value, ir.element(ir.float, row, column), isThere)
  }

  /// All lanes as one, by halves.
  private func reduced(_ value: IRValue, _ merge: (IRValue, IRValue) -> IRValue) -> IRValue {
    var (value, width) = (value, lanes)
    while width > 1 {
      width /= 2
      value = merge(
        ir.shuffle(value, value, Array(0..<width)), ir.shuffle(value, value, Array(width..<2 * width)))
    }
    return ir.extract(value, 0)
  }
}
