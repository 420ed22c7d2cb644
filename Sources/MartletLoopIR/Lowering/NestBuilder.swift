import MartletTensors

/// Collects the parts of a nest.
package struct NestBuilder {
  package init() {}

  package var scalars = ScalarBuilder()
  package private(set) var buffers: [NestBuffer] = []
  private(set) var registers: [ElementType] = []
  private(set) var phases: [NestPhase] = []
  package private(set) var scratchBytes = 0
  private var scratchTop = 0

  /// A new axis and its variable. An axis of extent 1 is the number 0.
  package mutating func axis(_ extent: Int) -> (number: Int, value: Scalar) {
    let number = scalars.axisExtents.count
    scalars.axisExtents.append(extent)
    return (number, scalars.axis(number))
  }

  package mutating func register(_ type: ElementType) -> Int {
    registers.append(type)
    return registers.count - 1
  }

  package mutating func read(_ register: Int) -> Scalar {
    scalars.row(.register, registers[register], payload: Int64(register))
  }

  package mutating func slot(_ number: Int, _ type: BufferType, isWritten: Bool, isStreamed: Bool = false) -> Int {
    buffers.append(
      NestBuffer(.slot(number), type.elementType, type.elementCount, isWritten: isWritten, isStreamed: isStreamed))
    return buffers.count - 1
  }

  /// Scratch memory that lasts until the next `endScratch`.
  package mutating func scratch(_ type: ElementType, _ count: Int) -> Int {
    buffers.append(NestBuffer(.scratch(offset: scratchTop), type, count, isWritten: true))
    scratchTop += (count * type.byteWidth + 63) / 64 * 64
    scratchBytes = max(scratchBytes, scratchTop)
    return buffers.count - 1
  }
  package mutating func endScratch() { scratchTop = 0 }

  package mutating func load(_ buffer: Int, at offset: Scalar, if condition: Scalar? = nil) -> Scalar {
    let type = buffers[buffer].elementType
    guard buffers[buffer].elementCount > 0 else {
      // Nothing can be read. The offset stays, for the check that it may hold.
      let element = scalars.cast(offset, to: type)
      return condition.map { scalars.select($0, element, scalars.constant(bits: 0, type)) } ?? element
    }
    return scalars.intern(
      ScalarRow(.load, type, [offset.id], payload: Int64(buffer), condition: condition?.id ?? .none))
  }

  package mutating func phase(_ axis: Int, _ extent: Int, grain: Int, _ body: [NestStatement]) {
    if body.isEmpty || extent == 0 { return }
    phases.append(NestPhase(axis: axis, extent: extent, grain: max(1, grain), body: body))
  }

  /// The index along each run of axes for number `flat` of their combinations, outermost first.
  package mutating func indices(_ flat: Scalar, _ extents: [Int]) -> [Scalar] {
    let strides = rowMajorStrides(extents)
    return extents.indices.map { i in
      let outer = scalars.floorDivide(flat, scalars.integer(max(1, strides[i])))
      return i == 0 ? outer : scalars.floorModulo(outer, scalars.integer(max(1, extents[i])))
    }
  }

  package func nest(name: String, argumentCount: Int) -> Nest {
    Nest(
      name: name, scalars: scalars.arena, buffers: buffers, registers: registers, phases: phases,
      scratchBytes: scratchBytes, argumentCount: argumentCount)
  }
}
