import MartletDiagnostics
import MartletTensors

/// What a node computes. One type for an operation, its attributes as stored properties; everything about it is here.
///
/// An operation's value with its default attributes comes from `init()`. Users' own operations conform in the same way
/// and have the same rights.
public protocol Operation: Sendable {
  init()

  /// The name, operands, results and traits.
  static var schema: Schema { get }
  /// As the static one, except for operations that are known only by name.
  var schema: Schema { get }

  /// The attributes by their names on the wire.
  static var attributeTable: AttributeTable<Self> { get }
  /// All attributes with their values; by default those of the table.
  var attributes: AttributeList { get }

  /// The types of the results, and what is known of small integer results.
  ///
  /// - Throws: a diagnostic that names the operand, what is required and what was found; the graph adds the node and
  ///   the line where it was built.
  func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference]

  /// How the gradient comes about.
  var differentiation: Differentiation { get }

  /// The cotangent of each operand, from those of the results. Called if `differentiation` is `.rule`.
  func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent]

  /// How the operation runs.
  func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering

  /// The part that the operation plays for variables.
  var stateRole: StateRole { get }

  /// The sub-graphs that the operation runs, in the order of its attributes.
  var functions: [FunctionName] { get }

  /// Which of the operands are handed to the sub-graphs.
  func functionArguments(operandCount: Int) -> Range<Int>
}

/// How an operation is differentiated.
public enum Differentiation: Sendable, Hashable {
  /// By its `gradient`.
  case rule
  /// By way of its expansion into other operations.
  case expansion
  /// Not at all, for the reason given. The cotangent of every operand is none: results that do not vary continuously.
  case none(String)
}

/// What an operation has to do with variables.
public enum StateRole: Sendable, Hashable {
  case none
  /// Its result is a variable, known by this name.
  case variable(String)
  /// Its result is the value of the variable that is operand 0.
  case read
  /// Operand 1 becomes the value of the variable that is operand 0.
  case assign
  /// Operand 1 is added to, or with `negated` subtracted from, the variable that is operand 0.
  case accumulate(negated: Bool)
  /// Its first operands are so many variables, which get the values that it computes as an ``UpdateOperation``.
  case update(variables: Int)
  /// Branches or a loop whose sub-graphs may use the variables among its operands.
  case control
}

extension Operation {
  public var schema: Schema { Self.schema }
  public static var attributeTable: AttributeTable<Self> { [] }
  public var differentiation: Differentiation { .rule }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    throw Diagnostic(
      "\(schema.name) has no gradient", hint: "put stopGradient(_:) around what need not be differentiated")
  }
  public var stateRole: StateRole { .none }
  public var functions: [FunctionName] { [] }
  public func functionArguments(operandCount: Int) -> Range<Int> { 0..<operandCount }

  /// The operation with other sub-graphs in the place of its own.
  public func renamingFunctions(_ names: [FunctionName: FunctionName]) throws(Diagnostic) -> Self {
    var list = attributes
    for i in list.items.indices {
      guard case .function(let old) = list.items[i].value, let new = names[FunctionName(old)] else { continue }
      list.items[i].value = .function(new.name)
    }
    return try Self(list)
  }
}

/// What inference may ask beyond the operands.
public struct InferenceContext: Sendable {
  /// The sub-graph of a name, if it is known.
  public var function: @Sendable (FunctionName) -> FunctionSignature?
  public init(function: @escaping @Sendable (FunctionName) -> FunctionSignature? = { _ in nil }) {
    self.function = function
  }
}

/// The types that go into a sub-graph and come out of it.
public struct FunctionSignature: Hashable, Sendable {
  public var arguments: [ValueType]
  public var results: [ValueType]
  public init(arguments: [ValueType], results: [ValueType]) { (self.arguments, self.results) = (arguments, results) }
}
