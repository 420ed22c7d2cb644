import CMartletRuntime
import MartletGraph

/// The code between the products of attention and of its gradient, for a block of scores.
enum ScoresCode: Hashable, Sendable {
  /// Turns scores into the exponentials of their distances from the greatest so far, and brings what is kept up to it.
  case weights(ScoresMask)
  /// Divides the rows of the results by their sums.
  case quotients
  /// Turns scores into weights, by what is kept of their rows, and the gradients of the weights into those of the
  /// scores.
  case gradients(ScoresMask)
  /// Sums the products of results and their gradients along each row.
  case products
}

/// What is done to scaled scores.
struct ScoresMask: Hashable, Sendable {
  enum Addend: Hashable, Sendable { case none, elements, rows }
  enum Selection: Hashable, Sendable {
    case none
    /// Those count whose condition is `keeps`.
    case elements(keeps: Bool)
    case causal
  }
  var addend = Addend.none
  var selection = Selection.none
  /// Whether what does not count has something added to it.
  var isAdded = false
  /// Whether the selection comes before the addend.
  var isSelectionFirst = false

  /// Nil where elements lie apart.
  init?(_ attention: Attention) {
    if let mask = attention.mask {
      guard (0...1).contains(mask.column) else { return nil }
      addend = mask.column == 1 ? .elements : .rows
    }
    guard let selection = attention.selection else { return }
    (isAdded, isSelectionFirst) = (selection.isAdded, selection.isBeforeMask)
    switch selection.condition {
    case .causal: self.selection = .causal
    case .elements(let strides, let keeps):
      guard strides.column == 1 else { return nil }
      self.selection = .elements(keeps: keeps)
    }
  }
}

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
    case .gradients(let mask): emitGradients(rows, mask)
    case .products: emitProducts(rows, sum: first)
    }
    ir.returnVoid()
  }

  // MARK: Masks

  /// What masks the rows of a block.
  private struct Masking {
    var mask: ScoresMask
    var scale: IRValue
    var excluded: IRValue
    var addends: IRValue
    var addendStride: IRValue
    var conditions: IRValue
    var conditionStride: IRValue
    var limit: IRValue
  }

  /// What masks one row.
  private struct RowMasking {
    var block: Masking
    var addends: IRValue
    /// The addend of the whole row.
    var addend: IRValue?
    var conditions: IRValue
    var limit: IRValue
  }

  private func masking(_ mask: ScoresMask) -> Masking {
    Masking(
      mask: mask, scale: ir.splat(field(\.scale, ir.float), lanes),
      excluded: ir.splat(field(\.excluded, ir.float), lanes), addends: field(\.mask, ir.pointer),
      addendStride: field(\.mask_stride, ir.int64), conditions: field(\.condition, ir.pointer),
      conditionStride: field(\.condition_stride, ir.int64), limit: field(\.limit, ir.int64))
  }

  private func masking(_ block: Masking, _ row: IRValue) -> RowMasking {
    let addends = ir.element(ir.float, block.addends, ir.mul(block.addendStride, row))
    let addend =
      block.mask.addend == .rows ? ir.splat(ir.load(ir.float, addends, alignment: 4), lanes) : nil
    let conditions = ir.element(ir.int8, block.conditions, ir.mul(block.conditionStride, row))
    return RowMasking(
      block: block, addends: addends, addend: addend, conditions: conditions, limit: ir.add(block.limit, row))
  }

  /// Which scores count; nil for all.
  private func selected(_ masking: RowMasking, _ column: IRValue, _ isThere: IRValue?) -> IRValue? {
    switch masking.block.mask.selection {
    case .none: return nil
    case .elements(let keeps):
      let address = ir.element(ir.int8, masking.conditions, column)
      let bytes =
        isThere.map { ir.maskedBytes(address, $0, lanes: lanes) }
        ?? ir.load(ir.lanes(ir.int8, lanes), address, alignment: 1)
      let zero = ir.zero(ir.lanes(ir.int8, lanes))
      return ir.compare(keeps ? martlet_llvm_int_ne : martlet_llvm_int_eq, bytes, zero)
    case .causal:
      let columns = ir.add(ir.steps(ir.int64, lanes), ir.splat(column, lanes))
      return ir.compare(martlet_llvm_int_sle, columns, ir.splat(masking.limit, lanes))
    }
  }

  /// A scaled score, masked.
  private func masked(
    _ score: IRValue, _ masking: RowMasking, _ column: IRValue, _ isThere: IRValue?, _ isSelected: IRValue?
  ) -> IRValue {
    let mask = masking.block.mask
    func select(_ score: IRValue) -> IRValue {
      guard let isSelected else { return score }
      let excluded = masking.block.excluded
      return ir.select(isSelected, score, mask.isAdded ? ir.fadd(score, excluded) : excluded)
    }
    var score = score
    if mask.isSelectionFirst { score = select(score) }
    switch mask.addend {
    case .none: break
    case .rows: score = ir.fadd(score, masking.addend ?? ir.zero(vector))
    case .elements: score = ir.fadd(score, load(masking.addends, column, isThere))
    }
    return mask.isSelectionFirst ? score : select(score)
  }

  // MARK: Rows

  private func emitWeights(_ rows: IRValue, _ mask: ScoresMask, maximum: IRValue, sum: IRValue) {
    let columns = field(\.columns, ir.int64)
    let masking = masking(mask)
    let isFirst = ir.compare(martlet_llvm_int_ne, field(\.is_first, ir.int32), ir.constant(0, ir.int32))
    let (scores, stride) = (field(\.scores, ir.pointer), field(\.stride, ir.int64))
    let (maxima, sums) = (field(\.maxima, ir.pointer), field(\.sums, ir.pointer))
    let (results, resultStride) = (field(\.results, ir.pointer), field(\.result_stride, ir.int64))
    let resultColumns = field(\.result_columns, ir.int64)
    let lowest = single.constant(-Double.infinity)
    ir.loop(rows) { row in
      let address = ir.element(ir.float, scores, ir.mul(stride, row))
      let rowMasking = self.masking(masking, row)
      ir.store(ir.splat(lowest, lanes), maximum, alignment: 64)
      vectors(columns) { column, isThere in
        let scaled = ir.fmul(load(address, column, isThere), masking.scale)
        let score = masked(scaled, rowMasking, column, isThere, selected(rowMasking, column, isThere))
        store(score, address, column, isThere)
        let known = ir.load(vector, maximum, alignment: 64)
        let isGreater = math.less(known, score)
        ir.store(
          ir.select(isThere.map { ir.and($0, isGreater) } ?? isGreater, score, known), maximum, alignment: 64)
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
        ir.store(
          ir.fadd(known, isThere.map { ir.select($0, weight, ir.zero(vector)) } ?? weight), sum, alignment: 64)
      }
      let total = reduced(ir.load(vector, sum, alignment: 64)) { ir.fadd($0, $1) }
      let sumAddress = ir.element(ir.float, sums, row)
      ir.branch(if: isFirst) {
        ir.store(total, sumAddress, alignment: 4)
      } else: {
        let factor = single.exp(ir.fsub(before, origin))
        let kept = ir.fmul(ir.load(ir.float, sumAddress, alignment: 4), factor)
        ir.store(ir.fadd(total, kept), sumAddress, alignment: 4)
        multiply(
          ir.element(ir.float, results, ir.mul(resultStride, row)),
          ir.select(single.equal(factor, single.constant(1)), ir.int(0), resultColumns), by: factor)
      }
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

  private func emitGradients(_ rows: IRValue, _ mask: ScoresMask) {
    let columns = field(\.columns, ir.int64)
    let masking = masking(mask)
    let (scores, stride) = (field(\.scores, ir.pointer), field(\.stride, ir.int64))
    let (maxima, sums) = (field(\.maxima, ir.pointer), field(\.sums, ir.pointer))
    let (gradients, products) = (field(\.weight_gradients, ir.pointer), field(\.products, ir.pointer))
    let factor = ir.splat(field(\.factor, ir.float), lanes)
    ir.loop(rows) { row in
      func number(_ array: IRValue) -> IRValue {
        ir.load(ir.float, ir.element(ir.float, array, row), alignment: 4)
      }
      let address = ir.element(ir.float, scores, ir.mul(stride, row))
      let gradientAddress = ir.element(ir.float, gradients, ir.mul(stride, row))
      let rowMasking = self.masking(masking, row)
      let greatest = ir.splat(number(maxima), lanes)
      let inverse = ir.splat(ir.fdiv(single.constant(1), number(sums)), lanes)
      let product = ir.splat(number(products), lanes)
      vectors(columns) { column, isThere in
        let scaled = ir.fmul(load(address, column, isThere), masking.scale)
        let isSelected = selected(rowMasking, column, isThere)
        let score = masked(scaled, rowMasking, column, isThere, isSelected)
        let weight = ir.fmul(math.exp(ir.fsub(score, greatest)), inverse)
        store(weight, address, column, isThere)
        let distance = ir.fmul(ir.fsub(load(gradientAddress, column, isThere), product), factor)
        var gradient = ir.fmul(weight, distance)
        // What takes the place of a score hands no gradient on.
        if let isSelected, !mask.isAdded { gradient = ir.select(isSelected, gradient, ir.zero(vector)) }
        store(gradient, gradientAddress, column, isThere)
      }
    }
  }

  private func emitProducts(_ rows: IRValue, sum: IRValue) {
    let products = field(\.products, ir.pointer)
    let (results, stride) = (field(\.results, ir.pointer), field(\.result_stride, ir.int64))
    let (gradients, gradientStride) = (field(\.gradients, ir.pointer), field(\.gradient_stride, ir.int64))
    let columns = field(\.result_columns, ir.int64)
    ir.loop(rows) { row in
      let address = ir.element(ir.float, results, ir.mul(stride, row))
      let gradientAddress = ir.element(ir.float, gradients, ir.mul(gradientStride, row))
      ir.store(ir.zero(vector), sum, alignment: 64)
      vectors(columns) { column, isThere in
        let product = ir.fmul(load(address, column, isThere), load(gradientAddress, column, isThere))
        ir.store(ir.fadd(ir.load(vector, sum, alignment: 64), product), sum, alignment: 64)
      }
      let total = reduced(ir.load(vector, sum, alignment: 64)) { ir.fadd($0, $1) }
      ir.store(total, ir.element(ir.float, products, row), alignment: 4)
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

  /// Runs `body` for each vector of a row, with the number of its first column and which of its lanes are columns; nil for
  /// all. What is stored under a mask cannot be loaded again before it has reached the cache.
  private func vectors(_ columns: IRValue, _ body: (IRValue, IRValue?) -> Void) {
    let whole = ir.sdiv(columns, ir.int(lanes))
    ir.loop(whole) { body(ir.mul($0, ir.int(lanes)), nil) }
    let column = ir.mul(whole, ir.int(lanes))
    let left = ir.sub(columns, column)
    ir.branch(if: ir.compare(martlet_llvm_int_ne, left, ir.int(0))) {
      body(column, ir.compare(martlet_llvm_int_slt, ir.steps(ir.int64, lanes), ir.splat(left, lanes)))
    }
  }

  private func load(_ row: IRValue, _ column: IRValue, _ isThere: IRValue?) -> IRValue {
    let address = ir.element(ir.float, row, column)
    return isThere.map { ir.maskedLoad(vector, address, $0) } ?? ir.load(vector, address, alignment: 4)
  }

  private func store(_ value: IRValue, _ row: IRValue, _ column: IRValue, _ isThere: IRValue?) {
    let address = ir.element(ir.float, row, column)
    if let isThere { ir.maskedStore(value, address, isThere) } else { ir.store(value, address, alignment: 4) }
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
