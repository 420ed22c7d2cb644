/// Turns the order of the bytes of each element around, in place.
///
/// - Precondition: The buffer holds whole elements of 1, 2, 4 or 8 bytes and is aligned for them.
func reverseBytes(of elements: UnsafeMutableRawBufferPointer, width: Int) {
  func reverse<T: FixedWidthInteger>(_: T.Type) {
    let values = elements.assumingMemoryBound(to: T.self)
    for i in values.indices { values[i] = values[i].byteSwapped }
  }
  switch width {
  case 1: break
  case 2: reverse(UInt16.self)
  case 4: reverse(UInt32.self)
  case 8: reverse(UInt64.self)
  default: preconditionFailure("There are no elements of \(width) bytes.")
  }
}
