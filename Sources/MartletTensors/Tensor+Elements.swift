import Glibc

extension Tensor {
  /// The elements in row-major order.
  ///
  /// - Precondition: They are of type `T`.
  public func scalars<T: TensorElement>(as type: T.Type = T.self) -> [T] {
    withUnsafeBufferPointer(of: T.self) { Array($0) }
  }

  /// The only element.
  ///
  /// - Precondition: There is exactly one, of type `T`.
  public func item<T: TensorElement>(as type: T.Type = T.self) -> T {
    precondition(elementCount == 1, "A tensor of shape \(shape) has \(elementCount) elements.")
    return withUnsafeBufferPointer(of: T.self) { $0[0] }
  }

  /// The elements as double-precision numbers; true is 1. An `int64` beyond 2⁵³ is rounded.
  ///
  /// - Precondition: The element type is computable.
  public func doubles() -> [Double] {
    switch elementType {
    case .float32: scalars(as: Float.self).map(Double.init)
    case .float64: scalars(as: Double.self)
    case .float16: scalars(as: Float16.self).map(Double.init)
    case .bfloat16: scalars(as: BFloat16.self).map { Double($0.float) }
    case .int32: scalars(as: Int32.self).map(Double.init)
    case .int64: scalars(as: Int64.self).map(Double.init)
    case .uint8: scalars(as: UInt8.self).map(Double.init)
    case .bool: scalars(as: Bool.self).map { $0 ? 1 : 0 }
    default: preconditionFailure("\(elementType) is not a type that can be computed with.")
    }
  }

  /// A tensor of a floating-point type, each number rounded once to the nearest.
  ///
  /// - Precondition: The type is a floating-point type, and there are as many numbers as the shape has elements.
  public init(rounding numbers: [Double], shape: [Int], as type: ElementType) {
    switch type {
    case .float16: self.init(numbers.map { Float16($0) }, shape: shape)
    case .bfloat16: self.init(numbers.map { BFloat16($0) }, shape: shape)
    case .float32: self.init(numbers.map { Float($0) }, shape: shape)
    case .float64: self.init(numbers, shape: shape)
    default: preconditionFailure("\(type) is not a floating-point type.")
    }
  }

  /// The elements as integers, true as 1, or nil where the element type is not one of the computable integers or `bool`.
  public func integers() -> [Int]? {
    switch elementType {
    case .int32: scalars(as: Int32.self).map(Int.init)
    case .int64: scalars(as: Int64.self).map(Int.init)
    case .uint8: scalars(as: UInt8.self).map(Int.init)
    case .bool: scalars(as: Bool.self).map { $0 ? 1 : 0 }
    default: nil
    }
  }
}

extension Tensor: Equatable {
  /// Whether type, shape and bits agree: a NaN equals itself, and 0.0 is not -0.0.
  public static func == (a: Tensor, b: Tensor) -> Bool {
    guard a.elementType == b.elementType, a.shape == b.shape else { return false }
    return a.storage === b.storage || memcmp(a.storage.bytes, b.storage.bytes, a.byteCount) == 0
  }
}

extension Tensor: Hashable {
  public func hash(into hasher: inout Hasher) { hasher.combine(contentHash) }

  /// A hash of type, shape and bits that is the same in every process. It is computed anew each time.
  ///
  /// Of large arrays it takes in a part, spread evenly: those that differ elsewhere have the same hash.
  public var contentHash: UInt64 {
    var hasher = ContentHasher()
    hasher.combine(UInt64(elementType.rawValue))
    for extent in shape { hasher.combine(UInt64(extent)) }
    return withUnsafeBytes { bytes in
      guard bytes.count > Self.hashedBytes else { return hasher.combining(bytes) }
      let count = Self.hashedBytes / Self.hashedStretch
      for i in 0..<count {
        // The first stretch is the array's beginning, the last one its end.
        let start = (bytes.count - Self.hashedStretch) / (count - 1) * i
        let offset = i == count - 1 ? bytes.count - Self.hashedStretch : start
        hasher.combine(hasher.combining(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Self.hashedStretch])))
      }
      return hasher.combining(UnsafeRawBufferPointer(rebasing: bytes[..<0]))
    }
  }

  /// The most bytes that a hash takes in: the weights of a model are hashed whenever a graph is built over them.
  private static let hashedBytes = 64 << 10
  private static let hashedStretch = 256
}

/// Multiplies and rotates 64-bit words, in four independent lanes over long input so that multiplications overlap.
private struct ContentHasher {
  private var state: UInt64 = 0x243F_6A88_85A3_08D3  // The fraction of π: no structure of its own.

  init() {}

  private init(state: UInt64) { self.state = state }

  private static let multiplier: UInt64 = 0x9E37_79B9_7F4A_7C15

  private static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
    let product = (state ^ word) &* multiplier
    return (product << 29 | product >> 35) ^ (product >> 32)
  }

  mutating func combine(_ word: UInt64) { state = Self.mix(state, word) }

  func combining(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var lanes = (state, state &+ 1, state &+ 2, state &+ 3)
    var offset = 0
    while offset + 32 <= bytes.count {
      lanes.0 = Self.mix(lanes.0, bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      lanes.1 = Self.mix(lanes.1, bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
      lanes.2 = Self.mix(lanes.2, bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self))
      lanes.3 = Self.mix(lanes.3, bytes.loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self))
      offset += 32
    }
    var result = ContentHasher(state: UInt64(bytes.count))
    for lane in [lanes.0, lanes.1, lanes.2, lanes.3] { result.combine(lane) }
    while offset < bytes.count {
      result.combine(UInt64(bytes[offset]))
      offset += 1
    }
    result.combine(0)
    return result.state
  }
}
