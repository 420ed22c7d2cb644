import MartletGraph
import MartletTensors

extension Graph {
  /// An array that is part of the graph.
  public func constant(_ tensor: Tensor, name: String? = nil) -> Output {
    addOne(Const(tensor), name: name)
  }

  /// A scalar, `float32` by default.
  public func constant(_ value: Double, _ type: ElementType = .float32, name: String? = nil) -> Output {
    addOne(Const(Tensor(value, as: type)), name: name)
  }

  /// A scalar, `int32` by default.
  public func constant(_ value: Int, _ type: ElementType = .int32, name: String? = nil) -> Output {
    addOne(Const(Tensor([value], shape: [], as: type)), name: name)
  }

  /// A scalar of Swift's type for it.
  public func constant<T: TensorElement>(_ value: T, name: String? = nil) -> Output {
    addOne(Const(Tensor(value)), name: name)
  }

  /// An array of `float32`, by default a vector.
  public func constant(_ values: [Double], shape: [Int]? = nil, name: String? = nil) -> Output {
    constant(values.map { Float($0) }, shape: shape, name: name)
  }

  /// An array of `int32`, by default a vector; of `int64` if an element needs it.
  public func constant(_ values: [Int], shape: [Int]? = nil, name: String? = nil) -> Output {
    addOne(Const(Tensor(values, shape: shape ?? [values.count])), name: name)
  }

  /// An array of Swift's type for the elements, by default a vector.
  ///
  /// - Precondition: There are as many elements as the shape has.
  public func constant<T: TensorElement>(_ values: [T], shape: [Int]? = nil, name: String? = nil) -> Output {
    addOne(Const(Tensor(values, shape: shape ?? [values.count])), name: name)
  }
}

extension Output {
  /// A constant scalar of this value's element type, in its graph.
  public func scalar(_ value: Double) -> Output {
    graph.addOne(Const(Tensor(value, as: elementType)))
  }

  /// A constant vector in this value's graph, `int32` where the elements fit.
  func vector(_ values: [Int]) -> Output { graph.constant(values) }

  /// A constant integer in this value's graph, `int32` where it fits.
  func integer(_ value: Int) -> Output { graph.addOne(Const(Tensor([value], shape: []))) }
}

extension Tensor {
  /// A scalar of any computable type; integers are truncated towards zero and saturate.
  init(_ value: Double, as type: ElementType) {
    if type.isFloatingPoint {
      self.init(rounding: [value], shape: [], as: type)
    } else if type == .bool {
      self.init(value != 0)
    } else {
      self.init([Int(clamping: value)], shape: [], as: type)
    }
  }

  /// An array of `int32`, or of `int64` if an element needs it.
  init(_ values: [Int], shape: [Int]) {
    let fits = values.allSatisfy { Int32(exactly: $0) != nil }
    self.init(values, shape: shape, as: fits ? .int32 : .int64)
  }

  /// An array of any computable type; what does not fit wraps.
  init(_ values: [Int], shape: [Int], as type: ElementType) {
    switch type {
    case .float32: self.init(values.map { Float($0) }, shape: shape)
    case .float16, .bfloat16, .float64: self.init(rounding: values.map { Double($0) }, shape: shape, as: type)
    case .int32: self.init(values.map { Int32(truncatingIfNeeded: $0) }, shape: shape)
    case .int64: self.init(values.map { Int64($0) }, shape: shape)
    case .uint8: self.init(values.map { UInt8(truncatingIfNeeded: $0) }, shape: shape)
    case .bool: self.init(values.map { $0 != 0 }, shape: shape)
    default: preconditionFailure("\(type) is not a type that can be computed with")
    }
  }
}

extension Int {
  /// The integer nearest to a number truncated towards zero; 0 for NaN.
  fileprivate init(clamping value: Double) {
    if value.isNaN {
      self = 0
    } else if value >= 0x1p63 {
      self = .max
    } else {
      self = value <= -0x1p63 ? .min : Int(value)
    }
  }
}
