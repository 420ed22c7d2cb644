import MartletTensors

/// An operation's name, operands, results and traits.
///
/// ```swift
/// Schema("MatMul", inputs: ["a": "T", "b": "T"], outputs: ["product": "T"], types: ["T": .floating])
/// Schema("ConcatV2", inputs: ["values": "N*T", "axis": "Tidx"], outputs: ["output": "T"], types: ["Tidx": .index])
/// ```
///
/// What stands for a type is an element type's name (`"int32"`), a type variable (`"T"`), `"resource"`, a list of N values of
/// one type (`"N*T"`), or a list of any types that the list attribute names (`"[Tin]"`). An operation has at most one list
/// among its inputs.
public struct Schema: Sendable {
  public struct Argument: Sendable {
    public enum Kind: Sendable, Hashable {
      case one
      /// As many values as the attribute of this name says.
      case list(countAttribute: String)
      /// Values of the types that the attribute of this name lists.
      case typeList(attribute: String)
    }
    public var name: String
    public var kind: Kind
    /// The element type, type variable or `resource`; empty for a type list.
    public var type: String
  }

  /// The element types that a type variable may stand for.
  public struct TypeSet: Sendable, Hashable {
    public var types: [ElementType]
    public init(_ types: [ElementType]) { self.types = types }
    public static let any = TypeSet(ElementType.allCases.filter(\.isComputable))
    public static let numeric = TypeSet(any.types.filter { $0 != .bool })
    public static let signed = TypeSet(numeric.types.filter(\.isSigned))
    public static let floating = TypeSet(numeric.types.filter(\.isFloatingPoint))
    public static let integer = TypeSet(numeric.types.filter(\.isInteger))
    public static let index = TypeSet([.int32, .int64])
  }

  public struct Traits: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    /// Results depend on operands and attributes alone; without it a node is never merged, folded or dropped as unused.
    public static let pure = Traits(rawValue: 1)
    /// Pure but for its stream of random numbers: may be dropped, never merged or folded.
    public static let random = Traits(rawValue: 2)
    /// The two operands may be exchanged.
    public static let commutative = Traits(rawValue: 4)
    /// Works on each element alone, with NumPy's broadcasting.
    public static let elementwise = Traits(rawValue: 8)
    /// Stands for a value that is fed or bound from outside.
    public static let placeholder = Traits(rawValue: 16)
    /// Holds its value in an attribute.
    public static let constant = Traits(rawValue: 32)
    /// An argument of a sub-graph.
    public static let argument = Traits(rawValue: 64)
    /// Hands its operand on, unless another value is fed in the place of its result.
    public static let defaulting = Traits(rawValue: 128)
  }

  public var name: String
  public var inputs: [Argument]
  public var outputs: [Argument]
  /// Type variables and what they may stand for, in the order of their declaration.
  public var typeVariables: [(name: String, types: TypeSet)]
  public var traits: Traits

  public init(
    _ name: String, inputs: KeyValuePairs<String, String>, outputs: KeyValuePairs<String, String>,
    types: KeyValuePairs<String, TypeSet> = [:], traits: Traits = [.pure]
  ) {
    self.name = name
    self.inputs = inputs.map { Self.argument($0.key, $0.value) }
    self.outputs = outputs.map { Self.argument($0.key, $0.value) }
    self.typeVariables = types.map { ($0.key, $0.value) }
    self.traits = traits
  }

  /// One operand `x` and one result `y` of the same type.
  public init(unary name: String, types: TypeSet, input: String = "x", output: String = "y") {
    self.init(name, inputs: [input: "T"], outputs: [output: "T"], types: ["T": types], traits: [.pure, .elementwise])
  }

  /// Operands `x` and `y` and one result `z` of the same type.
  public init(binary name: String, types: TypeSet, commutative: Bool = false) {
    var traits: Traits = [.pure, .elementwise]
    if commutative { traits.insert(.commutative) }
    self.init(name, inputs: ["x": "T", "y": "T"], outputs: ["z": "T"], types: ["T": types], traits: traits)
  }

  private static func argument(_ name: String, _ text: String) -> Argument {
    if let star = text.firstIndex(of: "*") {
      return Argument(
        name: name, kind: .list(countAttribute: String(text[..<star])), type: String(text[text.index(after: star)...]))
    }
    if text.hasPrefix("[") {
      return Argument(name: name, kind: .typeList(attribute: String(text.dropFirst().dropLast())), type: "")
    }
    return Argument(name: name, kind: .one, type: text)
  }

  public func types(of variable: String) -> TypeSet? { typeVariables.first { $0.name == variable }?.types }

  /// The range of flat operands that belongs to each input when there are `count` in all; nil if they do not fit.
  public func ranges(of arguments: [Argument], count: Int) -> [Range<Int>]? {
    let fixed = arguments.count { $0.kind == .one }
    let lists = arguments.count - fixed
    guard count >= fixed, lists > 0 || count == fixed, lists <= 1 else { return nil }
    var start = 0
    return arguments.map { argument in
      let length = argument.kind == .one ? 1 : count - fixed
      defer { start += length }
      return start..<start + length
    }
  }

  /// The name of the input that the flat operand `index` of `count` belongs to, with its place in a list.
  public func inputName(_ index: Int, of count: Int) -> String {
    guard let ranges = ranges(of: inputs, count: count) else { return "input \(index)" }
    for (argument, range) in zip(inputs, ranges) where range.contains(index) {
      return argument.kind == .one ? argument.name : "\(argument.name)[\(index - range.lowerBound)]"
    }
    return "input \(index)"
  }
}
