/// A concrete dense array of numbers in row-major order, with value semantics.
///
/// Copies share memory until one of them is changed. The symbolic counterpart, a value that a graph computes, is an
/// `Output`.
///
///     let m = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
///     m.scalars(as: Float.self)  // [1, 2, 3, 4]
public struct Tensor: @unchecked Sendable {
  public let elementType: ElementType
  /// The extents, outermost first; empty for a scalar.
  public let shape: [Int]
  /// The product of the extents.
  public let elementCount: Int
  /// The memory, which may be shared, and larger than the tensor.
  public private(set) var storage: TensorStorage

  /// A tensor over memory that already holds its elements.
  ///
  /// - Precondition: The storage has at least the bytes that the type and shape ask for, and each byte of a boolean is 0
  ///   or 1.
  public init(elementType: ElementType, shape: [Int], storage: TensorStorage) {
    guard let byteCount = Self.checkedByteCount(elementType: elementType, shape: shape) else {
      preconditionFailure("\(elementType)\(shape) is not the type of an array in memory.")
    }
    precondition(byteCount <= storage.byteCount, "\(elementType)\(shape) needs \(byteCount) bytes.")
    self.elementType = elementType
    self.shape = shape
    self.storage = storage
    elementCount = byteCount / elementType.byteWidth
  }

  /// The tensor, copied if its memory is the beginning of a much larger block, for who keeps what was made to be passed on.
  public var inFittingBlock: Tensor {
    guard storage.isSpacious else { return self }
    let copy = Tensor(uninitialized: elementType, shape: shape)
    copy.storage.bytes.copyMemory(from: storage.bytes, byteCount: elementCount * elementType.byteWidth)
    return copy
  }

  /// A tensor whose elements are to be written before they are read.
  public init(uninitialized elementType: ElementType, shape: [Int]) {
    guard let byteCount = Self.checkedByteCount(elementType: elementType, shape: shape) else {
      preconditionFailure("\(elementType)\(shape) is not the type of an array in memory.")
    }
    self.init(elementType: elementType, shape: shape, storage: TensorStorage(byteCount: byteCount))
  }

  /// A tensor of zeros (false for booleans).
  public init(zeros elementType: ElementType, shape: [Int]) {
    self.init(uninitialized: elementType, shape: shape)
    storage.bytes.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
  }

  /// A tensor of rank 0.
  public init<T: TensorElement>(_ scalar: T) {
    self.init([scalar], shape: [])
  }

  /// A tensor of rank 1.
  public init<T: TensorElement>(_ elements: [T]) {
    self.init(elements, shape: [elements.count])
  }

  /// A tensor of elements in row-major order.
  ///
  /// - Precondition: There are as many elements as the shape has.
  public init<T: TensorElement>(_ elements: [T], shape: [Int]) {
    self.init(uninitialized: T.elementType, shape: shape)
    precondition(elements.count == elementCount, "\(elements.count) elements do not fill \(shape).")
    elements.withUnsafeBytes { source in
      if let base = source.baseAddress { storage.bytes.copyMemory(from: base, byteCount: source.count) }
    }
  }

  /// A tensor in which every element has the same value.
  public init<T: TensorElement>(repeating value: T, shape: [Int]) {
    self.init(uninitialized: T.elementType, shape: shape)
    storage.bytes.initializeMemory(as: T.self, repeating: value, count: elementCount)
  }

  /// The bytes that the elements occupy.
  public var byteCount: Int { elementCount * elementType.byteWidth }

  /// The number of dimensions.
  public var rank: Int { shape.count }

  /// The type of this tensor, with every dimension known.
  public var type: TensorType { TensorType(elementType, Shape(shape)) }

  /// The bytes that a dense array takes, or nil where it cannot exist: an extent is negative, the type has no fixed
  /// size, or the product of the extents, or of those that are not zero, does not fit in `Int`.
  public static func checkedByteCount(elementType: ElementType, shape: [Int]) -> Int? {
    guard elementType.byteWidth > 0 else { return nil }
    var product = elementType.byteWidth
    var isEmpty = false
    for extent in shape {
      if extent < 0 { return nil }
      if extent == 0 { isEmpty = true }
      let (next, overflow) = product.multipliedReportingOverflow(by: max(extent, 1))
      if overflow { return nil }
      product = next
    }
    return isEmpty ? 0 : product
  }

  /// Whether no other tensor shares the memory, and it is not adopted.
  public var isSoleOwner: Bool { mutating get { !storage.isAdopted && isKnownUniquelyReferenced(&storage) } }

  /// The same elements under another shape, sharing memory.
  ///
  /// - Precondition: The shape has as many elements.
  public func reshaped(_ shape: [Int]) -> Tensor {
    let result = Tensor(elementType: elementType, shape: shape, storage: storage)
    precondition(result.elementCount == elementCount, "\(self.shape) cannot be reshaped to \(shape).")
    return result
  }

  /// Calls a closure with the bytes of the elements.
  public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafeRawBufferPointer(start: storage.bytes, count: byteCount))
  }

  /// Calls a closure with the bytes of the elements, to change them. Memory that is shared or adopted is copied first.
  public mutating func withUnsafeMutableBytes<R, E: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    if storage.isAdopted || !isKnownUniquelyReferenced(&storage) {
      let copy = TensorStorage(byteCount: byteCount)
      copy.bytes.copyMemory(from: storage.bytes, byteCount: byteCount)
      storage = copy
    }
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafeMutableRawBufferPointer(start: storage.bytes, count: byteCount))
  }

  /// Calls a closure with the elements.
  ///
  /// - Precondition: They are of type `T`.
  public func withUnsafeBufferPointer<T: TensorElement, R, E: Error>(
    of type: T.Type = T.self, _ body: (UnsafeBufferPointer<T>) throws(E) -> R
  ) throws(E) -> R {
    precondition(T.elementType == elementType, "A tensor of \(elementType) was read as \(T.elementType).")
    return try withUnsafeBytes { bytes throws(E) in try body(bytes.assumingMemoryBound(to: T.self)) }
  }

  /// Calls a closure with the elements, to change them. Memory that is shared or adopted is copied first.
  ///
  /// - Precondition: They are of type `T`.
  public mutating func withUnsafeMutableBufferPointer<T: TensorElement, R, E: Error>(
    of type: T.Type = T.self, _ body: (UnsafeMutableBufferPointer<T>) throws(E) -> R
  ) throws(E) -> R {
    precondition(T.elementType == elementType, "A tensor of \(elementType) was written as \(T.elementType).")
    return try withUnsafeMutableBytes { bytes throws(E) in try body(bytes.assumingMemoryBound(to: T.self)) }
  }
}
