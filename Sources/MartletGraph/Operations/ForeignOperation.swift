import MartletDiagnostics

/// An operation of which only the name is known: it survives reading and writing, and is refused when it should run.
public struct ForeignOperation: Operation {
  /// One result.
  public struct Result: Hashable, Sendable {
    /// What its users take it for.
    public var type: ValueType
    /// The name of the result in the operation, with a number behind it, such as `handle:0`; empty if it is not known.
    public var name: String

    public init(type: ValueType = .foreign, name: String = "") { (self.type, self.name) = (type, name) }
  }

  /// What tells apart two operations of one name with the same attributes.
  struct Signature: Hashable, Sendable {
    var inputCount: Int
    var results: [Result]
    var isPure: Bool
  }

  public var name: String
  public var list: AttributeList
  public var inputCount: Int
  public var results: [Result]
  /// Why an operation whose name is known could not be represented; nil if the name is not known.
  public var reason: String?
  /// Whether the operation is known to depend on its operands alone.
  public var isPure = false

  public init() { self.init(name: "Foreign", attributes: AttributeList(), inputCount: 0, results: [Result()]) }

  public init(name: String, attributes: AttributeList, inputCount: Int, results: [Result], reason: String? = nil) {
    self.name = name
    self.list = attributes
    self.inputCount = inputCount
    self.results = results
    self.reason = reason
  }

  public static var schema: Schema { Schema("Foreign", inputs: [:], outputs: [:], traits: []) }
  public var schema: Schema {
    var schema = Schema(name, inputs: [:], outputs: [:], traits: isPure ? [.pure] : [])
    schema.inputs = (0..<inputCount).map { .init(name: "input\($0)", kind: .one, type: "foreign") }
    schema.outputs = results.indices.map { .init(name: "output\($0)", kind: .one, type: "foreign") }
    return schema
  }
  public var attributes: AttributeList { list }
  var signature: Signature { Signature(inputCount: inputCount, results: results, isPure: isPure) }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    results.map { Inference($0.type) }
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { throw refusal }

  /// Why the operation cannot be run.
  public var refusal: Diagnostic {
    if let reason { return Diagnostic("\(name) cannot be run as it was read", found: reason) }
    return Diagnostic(
      "Martlet does not know the operation \(name)", hint: "define it as an Operation and give it in the catalog")
  }
}

extension ForeignOperation {
  /// The name of the item that stands for the results' names in the text form.
  private static let resultNamesName = "^results"

  /// The results' names as an item of the text form; nil if there are none.
  var resultNames: AttributeList.Item? {
    guard results.contains(where: { !$0.name.isEmpty }) else { return nil }
    return .init(Self.resultNamesName, .list(results.map { .text($0.name) }))
  }

  /// An operation as the text form has it.
  init(parsed name: String, _ items: [AttributeList.Item], inputCount: Int, resultTypes: [ValueType]) {
    var results = resultTypes.map { Result(type: $0) }
    var items = items
    if let i = items.lastIndex(where: { $0.name == Self.resultNamesName }) {
      if let names = [String](items[i].value), names.count == results.count {
        for (j, name) in names.enumerated() { results[j].name = name }
      }
      items.remove(at: i)
    }
    self.init(name: name, attributes: AttributeList(items), inputCount: inputCount, results: results)
  }
}
