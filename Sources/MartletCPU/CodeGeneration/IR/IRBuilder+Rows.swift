import CMartletRuntime

/// What code for rows of memory needs again and again.
extension IRBuilder {
  /// A loop that runs `body` with `0 ..< count`.
  func loop(_ count: IRValue, _ body: (IRValue) -> Void) {
    let (head, inside, onward) = (block("head"), block("inside"), block("onward"))
    let before = block
    branch(head)
    position(at: head)
    let number = phi(int64)
    addIncoming(number, int(0), from: before)
    branch(if: compare(martlet_llvm_int_slt, number, count), inside, else: onward)
    position(at: inside)
    body(number)
    addIncoming(number, add(number, int(1)), from: block)
    branch(head)
    position(at: onward)
  }

  /// Runs `then` where a condition holds, else `otherwise`.
  func branch(if condition: IRValue, then: () -> Void, else otherwise: () -> Void = {}) {
    let (first, second, onward) = (block("then"), block("otherwise"), block("onward"))
    branch(if: condition, first, else: second)
    position(at: first)
    then()
    branch(onward)
    position(at: second)
    otherwise()
    branch(onward)
    position(at: onward)
  }

  /// A member of a C struct at an address.
  func field<Struct, Member>(_ path: KeyPath<Struct, Member>, _ type: IRType, of base: IRValue) -> IRValue {
    guard let offset = MemoryLayout<Struct>.offset(of: path) else {
      preconditionFailure("a member of a C struct has an offset")
    }
    return load(type, element(int8, base, int(offset)), alignment: MemoryLayout<Member>.alignment)
  }

  /// Loads those floats of a vector for which the mask is set; the others are 0.
  func maskedLoad(_ type: IRType, _ address: IRValue, _ mask: IRValue) -> IRValue {
    intrinsic("llvm.masked.load", [type, pointer], [address, constant(4, int32), mask, zero(type)])
  }

  /// Loads those bytes for which the mask is set; the others are 0.
  func maskedBytes(_ address: IRValue, _ mask: IRValue, lanes: Int) -> IRValue {
    let type = self.lanes(int8, lanes)
    return intrinsic("llvm.masked.load", [type, pointer], [address, constant(1, int32), mask, zero(type)])
  }

  /// Stores those floats of a vector for which the mask is set.
  func maskedStore(_ value: IRValue, _ address: IRValue, _ mask: IRValue) {
    _ = intrinsic(
      "llvm.masked.store", [type(of: value), pointer], [value, address, constant(4, int32), mask])
  }
}
