import CMartletRuntime
import MartletLoopIR
import MartletTensors

extension FunctionEmitter {
  /// The first byte of a buffer.
  private func address(of buffer: Int) -> IRValue {
    if let known = bufferAddresses[buffer] { return known }
    let address = emit(at: 0) {
      switch nest.buffers[buffer].place {
      case .slot(let slot):
        return ir.load(ir.pointer, ir.element(ir.pointer, slots, ir.int(slot)), alignment: 8)
      case .scratch(let offset):
        return ir.element(ir.int8, scratch, parametric.offsets[buffer].map { parameter(number: $0) } ?? ir.int(offset))
      }
    }
    bufferAddresses[buffer] = address
    return address
  }

  /// The type of an element in memory; a Boolean is a byte.
  private func memoryType(_ element: ElementType) -> IRType { element == .bool ? ir.int8 : type(element) }

  // MARK: Loads

  func load(_ id: ScalarID, _ row: ScalarRow) -> RowValue {
    let buffer = Int(row.payload)
    let element = nest.buffers[buffer].elementType
    let index = value(row.operand(0))
    let condition = row.condition == .none ? nil : value(row.condition)
    let level = max(
      index.level, condition?.level ?? 0, outermostLevel(reading: facts.resources[Int(id.index)]))
    let base = address(of: buffer)
    let isUniform = index.form == .uniform && (condition?.form ?? .uniform) == .uniform
    var guardValue = condition?.value
    if let condition, !isUniform, condition.form != .uniform { guardValue = vector(row.condition) }
    // Computed indices as vectors, before the builder is placed.
    let indices = index.form == .vector ? index.value : nil
    let loaded = emit(at: level) {
      if isUniform { return scalar(base, element, index.value, guardValue) }
      if index.form == .uniform { return broadcast(base, element, index.value, guardValue!) }
      if case .affine(let stride) = index.form {
        if stride == 1, condition == nil, let distance = rowsAhead.distances[id] {
          fetch(
            ir.element(ir.int8, ir.element(memoryType(element), base, index.value), ir.constant(distance, ir.int64)),
            element)
        }
        return strided(base, element, index.value, stride, condition, guardValue)
      }
      return gather(base, element, mask(condition, guardValue), indices!)
    }
    let value = emit(at: level) { fromMemory(loaded, element) }
    return RowValue(value: value, form: isUniform ? .uniform : .vector, level: level)
  }

  /// A Boolean's byte, or bytes, as bits.
  private func fromMemory(_ value: IRValue, _ element: ElementType) -> IRValue {
    element == .bool ? ir.compare(martlet_llvm_int_ne, value, ir.zero(ir.type(of: value))) : value
  }

  /// One element; where the guard is false, a zero from elsewhere.
  private func scalar(_ base: IRValue, _ element: ElementType, _ index: IRValue, _ guardValue: IRValue?) -> IRValue {
    let type = memoryType(element)
    var address = ir.element(type, base, index)
    if let guardValue { address = ir.select(guardValue, address, zeros) }
    return ir.load(type, address, alignment: element.byteWidth)
  }

  /// One element in those lanes where the guard is true.
  private func broadcast(
    _ base: IRValue, _ element: ElementType, _ index: IRValue, _ guardVector: IRValue
  ) -> IRValue {
    let any = ir.intrinsic("llvm.vector.reduce.or", [ir.type(of: guardVector)], [guardVector])
    let one = ir.splat(scalar(base, element, index, any), lanes)
    return ir.select(guardVector, one, ir.zero(ir.type(of: one)))
  }

  /// The lanes to read or write: those that count and whose condition is true; nil for all.
  private func mask(_ condition: RowValue?, _ guardValue: IRValue?) -> IRValue? {
    guard let condition, let guardValue else { return activeMask }
    let lanewise = condition.form == .uniform ? ir.splat(guardValue, lanes) : guardValue
    guard let activeMask else { return lanewise }
    return ir.and(lanewise, activeMask)
  }

  /// Elements at a constant distance.
  private func strided(
    _ base: IRValue, _ element: ElementType, _ first: IRValue, _ stride: Int64, _ condition: RowValue?,
    _ guardValue: IRValue?
  ) -> IRValue {
    let type = memoryType(element)
    let vectorType = ir.lanes(type, lanes)
    guard stride == 1 || stride == -1 else {
      if let mask = mask(condition, guardValue), condition != nil || partialMask != nil {
        let indices = ir.add(ir.splat(first, lanes), ir.steps(ir.int64, lanes, stride: stride))
        return gather(base, element, mask, indices)
      }
      var result = ir.zero(vectorType)
      let start = ir.element(type, base, first)
      for lane in 0..<activeLanes {
        let address = ir.element(type, start, ir.constant(stride &* Int64(lane), ir.int64))
        result = ir.insert(ir.load(type, address, alignment: element.byteWidth), into: result, lane)
      }
      return result
    }
    let isReversed = stride == -1
    let reversal = Array((0..<lanes).reversed())
    var address = ir.element(type, base, isReversed ? ir.sub(first, ir.int(lanes - 1)) : first)
    var mask = activeMask
    if let condition, let guardValue {
      if condition.form == .uniform {
        precondition(lanes * element.byteWidth <= ModuleEmitter.zeroBytes, "\(lanes) lanes of \(element) are too many")
        address = ir.select(guardValue, address, zeros)
      } else {
        mask = self.mask(condition, guardValue)
      }
    }
    var loaded: IRValue
    if let mask {
      let lanewise = isReversed ? ir.shuffle(mask, mask, reversal) : mask
      loaded = ir.intrinsic(
        "llvm.masked.load", [vectorType, ir.pointer],
        [address, ir.constant(Int64(element.byteWidth), ir.int32), lanewise, ir.zero(vectorType)])
    } else {
      loaded = ir.load(vectorType, address, alignment: element.byteWidth)
    }
    if isReversed { loaded = ir.shuffle(loaded, loaded, reversal) }
    return loaded
  }

  /// Fetches a vector into the nearest cache.
  private func fetch(_ address: IRValue, _ element: ElementType) {
    for offset in stride(from: 0, to: activeLanes * element.byteWidth, by: 64) {
      ir.fetch(offset == 0 ? address : ir.element(ir.int8, address, ir.int(offset)), level: 3)
    }
  }

  /// Elements at computed indices, lane by lane; lanes outside the mask are zero.
  private func gather(_ base: IRValue, _ element: ElementType, _ mask: IRValue?, _ indices: IRValue) -> IRValue {
    let type = memoryType(element)
    let vectorType = ir.lanes(type, lanes)
    let addresses = ir.element(type, base, indices)
    return ir.intrinsic(
      "llvm.masked.gather", [vectorType, ir.lanes(ir.pointer, lanes)],
      [
        addresses, ir.constant(Int64(element.byteWidth), ir.int32), mask ?? ir.mask(lanes, active: lanes),
        ir.zero(vectorType),
      ])
  }

  // MARK: Stores

  func store(_ buffer: Int, _ indexID: ScalarID, _ valueID: ScalarID, _ conditionID: ScalarID) {
    let element = nest.buffers[buffer].elementType
    let index = value(indexID)
    let condition = conditionID == .none ? nil : value(conditionID)
    let base = address(of: buffer)
    let stored = value(valueID)
    if lanes == 1 || [index.form, stored.form, condition?.form ?? .uniform].allSatisfy({ $0 == .uniform }) {
      emit(at: level) { storeScalar(base, element, index.value, stored.value, condition?.value) }
      return
    }
    let vector = vector(valueID)
    var guardValue = condition?.value
    if let condition, condition.form != .uniform { guardValue = self.vector(conditionID) }
    var stride: Int64?
    if case .affine(let constant) = index.form,
      constant == 1 || (condition == nil && partialMask == nil)
    {
      stride = constant
    }
    let indices = stride == nil ? self.vector(indexID) : nil
    emit(at: level) {
      let value = toMemory(vector, element)
      if let stride, stride != 1 {
        storeLanes(base, element, index.value, stride, value)
        return
      }
      let mask = mask(condition, guardValue)
      let type = memoryType(element)
      guard let indices else {
        let address = ir.element(type, base, index.value)
        if let mask {
          _ = ir.intrinsic(
            "llvm.masked.store", [ir.type(of: value), ir.pointer],
            [value, address, ir.constant(Int64(element.byteWidth), ir.int32), mask])
        } else if nest.buffers[buffer].isStreamed, lanes * element.byteWidth >= Self.leastStreamed {
          stream(value, address, element)
        } else {
          ir.store(value, address, alignment: element.byteWidth)
        }
        return
      }
      let addresses = ir.element(type, base, indices)
      _ = ir.intrinsic(
        "llvm.masked.scatter", [ir.type(of: value), ir.lanes(ir.pointer, lanes)],
        [
          value, addresses, ir.constant(Int64(element.byteWidth), ir.int32), mask ?? ir.mask(lanes, active: lanes),
        ])
    }
  }

  /// Fewer bytes are not stored past the caches at once.
  private static let leastStreamed = 16

  /// Stores a vector past the caches where its address is aligned, which is known only when it runs.
  private func stream(_ value: IRValue, _ address: IRValue, _ element: ElementType) {
    isStreaming = true
    let alignment = min(64, lanes * element.byteWidth)
    let (aligned, unaligned, onward) = (ir.block("aligned"), ir.block("unaligned"), ir.block("onward"))
    ir.branch(if: ir.isAligned(address, to: alignment), aligned, else: unaligned)
    ir.position(at: aligned)
    ir.stream(value, address, alignment: alignment)
    ir.branch(onward)
    ir.position(at: unaligned)
    ir.store(value, address, alignment: element.byteWidth)
    ir.branch(onward)
    ir.position(at: onward)
  }

  /// Stores the lanes that count at a constant distance.
  private func storeLanes(
    _ base: IRValue, _ element: ElementType, _ first: IRValue, _ stride: Int64, _ value: IRValue
  ) {
    let type = memoryType(element)
    let start = ir.element(type, base, first)
    for lane in 0..<activeLanes {
      let address = ir.element(type, start, ir.constant(stride &* Int64(lane), ir.int64))
      ir.store(ir.extract(value, lane), address, alignment: element.byteWidth)
    }
  }

  private func toMemory(_ value: IRValue, _ element: ElementType) -> IRValue {
    element == .bool ? ir.zext(value, ir.lanes(ir.int8, lanes)) : value
  }

  private func storeScalar(
    _ base: IRValue, _ element: ElementType, _ index: IRValue, _ value: IRValue, _ condition: IRValue?
  ) {
    let type = memoryType(element)
    let stored = element == .bool ? ir.zext(value, ir.int8) : value
    guard let condition else {
      ir.store(stored, ir.element(type, base, index), alignment: element.byteWidth)
      return
    }
    let (then, onward) = (ir.block("then"), ir.block("onward"))
    ir.branch(if: condition, then, else: onward)
    ir.position(at: then)
    ir.store(stored, ir.element(type, base, index), alignment: element.byteWidth)
    ir.branch(onward)
    ir.position(at: onward)
  }
}
