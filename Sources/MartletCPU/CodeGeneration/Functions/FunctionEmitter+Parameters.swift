import CMartletRuntime
import MartletLoopIR

/// Numbers that are known only when the code runs.
extension FunctionEmitter {
  /// The run-time parameter of a number, loaded here.
  func parameter(number: Int) -> IRValue {
    ir.load(ir.int64, ir.element(ir.int64, parameters, ir.int(number)), alignment: 8)
  }

  /// The extent of a loop, at least 2, where it is a parameter.
  func count(along axis: Int) -> IRValue? {
    parametric.extents[axis].map { number in emit(at: 0) { parameter(number: number) } }
  }

  /// An extent as whole groups, and a rest.
  struct Stretches {
    /// The iterations in whole groups.
    var whole: IRValue
    var hasWhole: IRValue
    /// Those left.
    var rest: IRValue
    var hasRest: IRValue
  }

  /// What groups of iterations come to in an extent that is a parameter.
  func stretches(of count: IRValue, by group: Int) -> Stretches {
    emit(at: 0) {
      let quotient = ir.udiv(count, ir.int(group))
      let whole = ir.mul(quotient, ir.int(group))
      let rest = ir.sub(count, whole)
      return Stretches(
        whole: whole, hasWhole: ir.compare(martlet_llvm_int_sgt, whole, ir.int(0)), rest: rest,
        hasRest: ir.compare(martlet_llvm_int_sgt, rest, ir.int(0)))
    }
  }

  /// A mask with the first lanes set, as many as `count`, which may be more or less than there are.
  func lanesBelow(_ count: IRValue, _ lanes: Int) -> IRValue {
    ir.compare(martlet_llvm_int_slt, ir.steps(ir.int64, lanes), ir.splat(count, lanes))
  }

  /// A vector loop over an extent that is a parameter: whole groups of lanes, then the rest as one group in which only some count.
  func vector(_ nested: NestLoop, _ width: Int, over stretches: Stretches) {
    let mutated = NestFacts.mutated(by: nested.body)
    lanes = width
    defer { lanes = 1 }
    when(stretches.hasWhole, mutating: mutated) { _ in
      loop(from: ir.int(0), to: stretches.whole, step: width, mutating: mutated) { number, _ in
        bind(nested.axis, toLanesFrom: number, divisor: Int64(width))
        emit(nested.body)
        return []
      }
    }
    guard width > 1 else { return }
    when(stretches.hasRest, mutating: mutated) { _ in
      partialMask = emit(at: 0) { lanesBelow(stretches.rest, width) }
      defer { partialMask = nil }
      bind(nested.axis, toLanesFrom: stretches.whole, divisor: Int64(width))
      emit(nested.body)
      return []
    }
  }
}
