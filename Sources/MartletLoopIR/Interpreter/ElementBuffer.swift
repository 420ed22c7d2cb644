import MartletTensors

/// The memory of an array, read and written lane by lane.
struct ElementBuffer {
  var name: String
  var bytes: UnsafeMutableRawPointer
  var elementType: ElementType
  var elementCount: Int
  /// What each index of a load counts, in elements.
  var strides: [Int]

  init(
    name: String, bytes: UnsafeMutableRawPointer, _ elementType: ElementType, _ elementCount: Int, strides: [Int] = [1]
  ) {
    self.name = name
    self.bytes = bytes
    self.elementType = elementType
    self.elementCount = elementCount
    self.strides = strides
  }

  func read(_ index: Int) -> UInt64 {
    switch elementType {
    case .float32: Double(bytes.load(fromByteOffset: index * 4, as: Float.self)).bitPattern
    case .float16, .bfloat16:
      ScalarEvaluator.lane(bits: Int64(bytes.load(fromByteOffset: index * 2, as: UInt16.self)), elementType)
    case .float64, .int64: bytes.load(fromByteOffset: index * 8, as: UInt64.self)
    case .int32: UInt64(bitPattern: Int64(bytes.load(fromByteOffset: index * 4, as: Int32.self)))
    default: UInt64(bytes.load(fromByteOffset: index, as: UInt8.self))
    }
  }

  func write(_ lane: UInt64, at index: Int) {
    switch elementType {
    case .float32:
      bytes.storeBytes(of: Float(Double(bitPattern: lane)), toByteOffset: index * 4, as: Float.self)
    case .float16, .bfloat16:
      bytes.storeBytes(
        of: UInt16(truncatingIfNeeded: ScalarEvaluator.bits(lane: lane, elementType)), toByteOffset: index * 2,
        as: UInt16.self)
    case .float64, .int64: bytes.storeBytes(of: lane, toByteOffset: index * 8, as: UInt64.self)
    case .int32: bytes.storeBytes(of: Int32(truncatingIfNeeded: lane), toByteOffset: index * 4, as: Int32.self)
    default: bytes.storeBytes(of: UInt8(truncatingIfNeeded: lane), toByteOffset: index, as: UInt8.self)
    }
  }
}

/// The distances in elements between neighbours along each axis of a dense row-major array.
package func rowMajorStrides(_ extents: [Int]) -> [Int] {
  var strides = extents
  var stride = 1
  for axis in extents.indices.reversed() {
    strides[axis] = stride
    stride *= extents[axis]
  }
  return strides
}
