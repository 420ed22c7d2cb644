import Foundation
import MartletDiagnostics
import MartletGraph
import MartletTensors

/// An operation with attributes and operands, and what an independent program computes for it.
public struct GoldenCase: Decodable, Sendable, CustomStringConvertible {
  public struct Array: Decodable, Sendable {
    public var type: String
    public var shape: [Int]
    public var values: [Number]

    /// The array; an element that is no number in JSON is written as a string.
    public func tensor() throws -> Tensor {
      let numbers = values.map(\.value)
      if let type = ElementType(name: type), type.isFloatingPoint {
        return Tensor(rounding: numbers, shape: shape, as: type)
      }
      switch ElementType(name: type) {
      case .int32: return Tensor(numbers.map { Int32($0) }, shape: shape)
      case .int64: return Tensor(numbers.map { Int64($0) }, shape: shape)
      case .uint8: return Tensor(numbers.map { UInt8($0) }, shape: shape)
      case .bool: return Tensor(numbers.map { $0 != 0 }, shape: shape)
      default: throw Diagnostic("a golden file has elements of type '\(type)'")
      }
    }
  }

  public struct Number: Decodable, Sendable {
    public var value: Double
    public init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let flag = try? container.decode(Bool.self) {
        value = flag ? 1 : 0
      } else if let number = try? container.decode(Double.self) {
        value = number
      } else {
        let text = try container.decode(String.self)
        guard let number = Double(text) else { throw Diagnostic("a golden file has the element '\(text)'") }
        value = number
      }
    }
  }

  public struct Attribute: Decodable, Sendable {
    var int: Int?
    var bool: Bool?
    var float: Float?
    var type: String?
    var string: String?
    var ints: [Int]?

    public func value() throws -> AttributeValue {
      if let int { return .int(int) }
      if let bool { return .bool(bool) }
      if let float { return .float(float) }
      if let string { return .text(string) }
      if let ints { return .list(ints.map { .int($0) }) }
      guard let type, let elementType = ElementType(name: type) else { throw Diagnostic("an attribute has no value") }
      return .type(elementType)
    }
  }

  public var operation: String
  public var attributes: [String: Attribute]
  public var operands: [Array]
  public var results: [Array]
  /// Gradients of the results, and what they give for the operands.
  public var upstream: [Array]?
  public var gradients: [Array?]?
  /// How far results may be off, relative to the expectation, where it is more than usual.
  public var relative: Double?

  public var description: String {
    let shapes = operands.map { "\($0.type)\($0.shape)" }.joined(separator: ", ")
    return "\(operation)(\(shapes)) \(attributes.keys.sorted().map { "\($0)" }.joined(separator: " "))"
  }

  /// The case with floats of 16 bits, where its floats are numbers that these hold exactly: then the results are right but
  /// for the last rounding.
  public func narrowed(to type: ElementType) throws -> GoldenCase? {
    func narrow(_ array: Array) -> Array {
      var array = array
      if array.type.hasPrefix("float") { array.type = type.name }
      return array
    }
    var golden = self
    let given = operands + (upstream ?? [])
    guard given.contains(where: { $0.type.hasPrefix("float") }) else { return nil }
    for array in given where array.type.hasPrefix("float") {
      let tensor = Tensor(rounding: array.values.map(\.value), shape: array.shape, as: type)
      guard zip(tensor.doubles(), array.values).allSatisfy({ $0 == $1.value || $0.isNaN && $1.value.isNaN }) else {
        return nil
      }
    }
    golden.operands = operands.map(narrow)
    golden.results = results.map(narrow)
    golden.upstream = upstream?.map(narrow)
    golden.gradients = gradients?.map { $0.map(narrow) }
    for (name, attribute) in attributes where attribute.type?.hasPrefix("float") == true {
      golden.attributes[name]?.type = type.name
    }
    return golden
  }

  /// The cases in one type of 16 bits or the other, by turns, those that there are.
  public static func narrowed(_ cases: [GoldenCase]) -> [GoldenCase] {
    cases.enumerated().compactMap { try? $1.narrowed(to: $0 % 2 == 0 ? .float16 : .bfloat16) }
  }

  /// The attributes in the order of their names.
  public func attributeList() throws -> AttributeList {
    AttributeList(try attributes.sorted { $0.key < $1.key }.map { .init($0.key, try $0.value.value()) })
  }

  /// The cases of a file in the folder `Fixtures/Operations` of the tests.
  public static func load(_ name: String) -> [GoldenCase] {
    let url = packageFolder.appending(path: "Tests/Fixtures/Operations/\(name)")
    do {
      return try JSONDecoder().decode([GoldenCase].self, from: try Data(contentsOf: url))
    } catch {
      preconditionFailure("\(url.path): \(error)")
    }
  }
}
