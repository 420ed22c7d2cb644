/// A `NodeDef`: one node of a graph or of a function's body.
public struct NodeRecord: Equatable, Sendable {
  public var name: String
  /// The name of the operation, known to Martlet or not.
  public var op: String
  /// Data inputs as "node" (its output 0) or "node:k", then control inputs as "^node".
  public var inputs: [String]
  /// The device that was asked for; empty for any.
  public var device: String
  /// The attributes, in the order of the file. They are written in the order of their names.
  public var attributes: [NamedAttribute]
  /// Fields that Martlet does not read.
  public var otherFields: [FieldRecord] = []

  public init(
    name: String, op: String, inputs: [String] = [], device: String = "", attributes: [NamedAttribute] = []
  ) {
    self.name = name
    self.op = op
    self.inputs = inputs
    self.device = device
    self.attributes = attributes
  }
}
