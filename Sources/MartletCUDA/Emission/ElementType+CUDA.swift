import MartletTensors

extension ElementType {
  /// The type of an element in generated kernels.
  var kernelType: String { isHalf ? "m_\(name)" : cudaType }

  /// A constant, from its bits as `ScalarOperation.constant` lays them out.
  func cudaLiteral(_ bits: Int64) -> String {
    switch self {
    case .float32:
      let value = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
      return value.isNormal || value == 0 ? "\(value)f" : "__int_as_float(\(Int32(bitPattern: value.bitPattern)))"
    case .float64:
      let value = Double(bitPattern: UInt64(bitPattern: bits))
      return value.isNormal || value == 0 ? "\(value)" : "__longlong_as_double(\(ElementType.int64.cudaLiteral(bits)))"
    case .float16, .bfloat16: return "\(kernelType){\(UInt16(truncatingIfNeeded: bits))}"
    case .int32: return bits == Int64(Int32.min) ? "(-2147483647 - 1)" : "\(bits)"
    case .uint8: return "m_byte(\(bits))"
    case .bool: return bits != 0 ? "true" : "false"
    default: return bits == .min ? "(-9223372036854775807LL - 1)" : "\(bits)LL"
    }
  }
}
