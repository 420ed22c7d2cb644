import MartletDiagnostics
import MartletGraph
import MartletTensors

extension ShapeRecord {
  /// Extents that are not known become -1.
  init(_ shape: Shape) {
    guard let dimensions = shape.dimensions else {
      self = .unknown
      return
    }
    self.init(dimensions: dimensions.map { Dimension(size: $0.known.map { Int64($0) } ?? -1) })
  }

  /// The shape, with a new unknown for each negative extent.
  var shape: Shape {
    hasUnknownRank ? .unknown : Shape(dimensions.map { $0.size < 0 ? .fresh() : .known(Int($0.size)) })
  }

  /// Whether ``shape`` says all that this record does.
  fileprivate var isPlain: Bool { extents != nil && otherFields.isEmpty && dimensions.allSatisfy { $0.name.isEmpty } }
}

extension AttributeValue {
  /// The value of an attribute of an operation that Martlet knows.
  ///
  /// - Throws: A `Diagnostic` where the value is of a kind that no such operation has.
  init(_ record: AttributeRecord) throws(Diagnostic) {
    switch record {
    case .bytes(let bytes): self = .string(bytes)
    case .int(let value): self = .int(Int(value))
    case .float(let value): self = .float(value)
    case .bool(let value): self = .bool(value)
    case .type(let code):
      guard let type = ElementType(tensorFlowCode: code) else {
        throw Diagnostic("TensorFlow's element type number \(code) is not supported")
      }
      self = .type(type)
    case .shape(let record): self = .shape(record.shape)
    case .tensor(let record): self = .tensor(Constant(try record.boundedTensor()))
    case .function(let reference):
      if let argument = reference.attributes.first(where: { !$0.name.hasPrefix("_") }) {
        throw Diagnostic("the function '\(reference.name)' is given the attribute '\(argument.name)'")
      }
      self = .function(reference.name)
    case .list(let list): self = .list(try Self.items(of: list))
    case .placeholder, .unknown: throw Diagnostic("the value is \(record.kind)")
    }
  }

  private static func items(of list: ListRecord) throws(Diagnostic) -> [AttributeValue] {
    var items: [AttributeValue] = list.bytes.map { .string($0) }
    items += list.ints.map { .int(Int($0)) }
    items += list.floats.map { .float($0) }
    items += list.bools.map { .bool($0) }
    for type in list.types { items.append(try AttributeValue(.type(type))) }
    items += list.shapes.map { .shape($0.shape) }
    for tensor in list.tensors { items.append(try AttributeValue(.tensor(tensor))) }
    for function in list.functions { items.append(try AttributeValue(.function(function))) }
    return items
  }

  /// The value of an attribute of an operation that Martlet does not know, such that ``AttributeRecord/init(_:)`` gives the
  /// same record again. What has no counterpart is kept as its bytes.
  init(keeping record: AttributeRecord) throws {
    let isPlain =
      switch record {
      case .bytes, .int, .float, .bool: true
      case .type(let code): ElementType(tensorFlowCode: code) != nil
      case .shape(let shape): shape.isPlain
      case .function(let reference): reference.attributes.isEmpty && reference.otherFields.isEmpty
      case .list(let list):
        list.otherFields.isEmpty && list.tensors.isEmpty && list.functions.isEmpty
          && list.shapes.allSatisfy { $0.isPlain }
          && list.types.allSatisfy { ElementType(tensorFlowCode: $0) != nil } && list.isUniform
      case .tensor, .placeholder, .unknown: false
      }
    self = isPlain ? try AttributeValue(record) : .opaque(try record.encoded())
  }
}

extension ListRecord {
  /// Whether at most one of the arrays has elements.
  fileprivate var isUniform: Bool {
    let counts = [
      bytes.count, ints.count, floats.count, bools.count, types.count, shapes.count, tensors.count, functions.count,
    ]
    return counts.count { $0 > 0 } <= 1
  }
}

extension AttributeRecord {
  /// The value as a GraphDef has it.
  ///
  /// - Throws: A `Diagnostic` where a GraphDef has no such value.
  init(_ value: AttributeValue) throws {
    switch value {
    case .bool(let x): self = .bool(x)
    case .int(let x): self = .int(Int64(x))
    case .float(let x): self = .float(x)
    case .string(let x): self = .bytes(x)
    case .type(let x): self = .type(x.tensorFlowCode)
    case .shape(let x): self = .shape(ShapeRecord(x))
    case .tensor(let x): self = .tensor(TensorRecord(x.tensor))
    case .function(let x): self = .function(FunctionReference(name: x))
    case .opaque(let bytes): self = try AttributeRecord(encoded: bytes)
    case .list(let items):
      var list = ListRecord()
      for item in items {
        switch try AttributeRecord(item) {
        case .bytes(let x): list.bytes.append(x)
        case .int(let x): list.ints.append(x)
        case .float(let x): list.floats.append(x)
        case .bool(let x): list.bools.append(x)
        case .type(let x): list.types.append(x)
        case .shape(let x): list.shapes.append(x)
        case .tensor(let x): list.tensors.append(x)
        case .function(let x): list.functions.append(x)
        case .list, .placeholder, .unknown: throw Diagnostic("a GraphDef cannot hold a list within a list")
        }
      }
      self = .list(list)
    }
  }
}

extension TensorRecord {
  /// What an array may take beyond what stands in the file, where all its elements are given by a few.
  static let allowance = 1 << 20

  /// The array, unless it is much larger than what stands in the file.
  func boundedTensor() throws(Diagnostic) -> Tensor {
    do {
      return try tensor(limit: max(Self.allowance, 64 * valueCount))
    } catch let error as Diagnostic {
      throw error
    } catch {
      throw Diagnostic("\(error)")
    }
  }

  private var valueCount: Int {
    switch values {
    case .none: 0
    case .dense(let tensor): tensor.byteCount
    case .content(let bytes): bytes.count
    case .floats(let values): values.count
    case .doubles(let values): values.count
    case .ints(let values): values.count
    case .halves(let values): values.count
    case .int64s(let values): values.count
    case .bools(let values): values.count
    }
  }

  /// The one element that all others are equal to, as a scalar, where the array is too large to be kept for that.
  var largeSplat: Tensor? {
    guard valueCount <= 1, let type = ElementType(tensorFlowCode: type), let extents = shape.extents,
      let byteCount = Tensor.checkedByteCount(elementType: type, shape: extents), byteCount > Self.allowance
    else { return nil }
    return try? TensorRecord(type: type.tensorFlowCode, shape: ShapeRecord([]), values: values).tensor()
  }
}
