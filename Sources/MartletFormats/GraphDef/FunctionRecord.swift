/// A `FunctionDef`: a function that nodes of a graph call.
public struct FunctionRecord: Equatable, Sendable {
  /// A name of the signature, and what of the body it stands for.
  public struct Binding: Equatable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// The attributes of one argument, such as the name that the user gave it.
  public struct ArgumentAttributes: Equatable, Sendable {
    /// The position of the argument.
    public var position: UInt32
    public var attributes: [NamedAttribute]

    public init(position: UInt32, attributes: [NamedAttribute]) {
      self.position = position
      self.attributes = attributes
    }
  }

  public var signature: SignatureRecord
  /// The body. A data input is the name of an argument, or "node:output:k" with the name of the output and a position in it.
  public var nodes: [NodeRecord]
  /// For each output of the signature, the value in the body. Written in the order of the names.
  public var returns: [Binding]
  /// For each control output of the signature, the node in the body. Written in the order of the names.
  public var controlReturns: [Binding] = []
  /// The attributes of the function. They are written in the order of their names.
  public var attributes: [NamedAttribute] = []
  /// The attributes of arguments that have any. They are written in the order of the positions.
  public var argumentAttributes: [ArgumentAttributes] = []
  /// Fields that Martlet does not read.
  public var otherFields: [FieldRecord] = []

  public init(signature: SignatureRecord, nodes: [NodeRecord] = [], returns: [Binding] = []) {
    self.signature = signature
    self.nodes = nodes
    self.returns = returns
  }
}
