/// An `OpDef`: what a function takes and gives.
public struct SignatureRecord: Equatable, Sendable {
  /// An input or an output.
  ///
  /// Its type is ``type``, or the value of the attribute that ``typeAttribute`` names. It is a list of one type where
  /// ``numberAttribute`` names the attribute with its length, and of several where ``typeListAttribute`` names the one with
  /// its types.
  public struct Argument: Equatable, Sendable {
    public var name: String
    public var description = ""
    /// The element type by TensorFlow's number; 0 where an attribute gives it.
    public var type: Int32
    public var typeAttribute = ""
    public var numberAttribute = ""
    public var typeListAttribute = ""
    /// Whether a reference to a variable is passed.
    public var isReference = false
    /// Fields that Martlet does not read.
    public var otherFields: [FieldRecord] = []

    public init(name: String, type: Int32 = 0) {
      self.name = name
      self.type = type
    }
  }

  /// An attribute that the operation has.
  public struct Attribute: Equatable, Sendable {
    public var name: String
    /// The kind of value, as a word such as "int" or "list(type)".
    public var type: String
    public var defaultValue: AttributeRecord?
    public var description = ""
    /// The least value of an int, the least length of a list; nil for any.
    public var minimum: Int64?
    /// The values that are allowed, as a list; nil for any.
    public var allowedValues: AttributeRecord?
    /// Fields that Martlet does not read.
    public var otherFields: [FieldRecord] = []

    public init(name: String, type: String) {
      self.name = name
      self.type = type
    }
  }

  public var name: String
  public var inputs: [Argument]
  public var outputs: [Argument]
  public var attributes: [Attribute] = []
  /// The names of the control outputs.
  public var controlOutputs: [String] = []
  public var summary = ""
  public var description = ""
  public var isStateful = false
  public var isAggregate = false
  public var isCommutative = false
  public var allowsUninitializedInput = false
  /// Fields that Martlet does not read.
  public var otherFields: [FieldRecord] = []

  public init(name: String, inputs: [Argument] = [], outputs: [Argument] = []) {
    self.name = name
    self.inputs = inputs
    self.outputs = outputs
  }
}
