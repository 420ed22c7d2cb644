/// A `GraphDef`, TensorFlow's form of a graph, as plain data: what a file says, before it is understood as a graph.
///
/// Operations, attributes and fields that Martlet does not know survive being read and written again.
///
///     var record = try GraphDefRecord(contentsOf: "model.pb")
///     print(record.nodes.map(\.op))
///     try record.write(to: "model.pbtxt", format: .text)
public struct GraphDefRecord: Equatable, Sendable {
  /// A `GradientDef`: the function that is the gradient of another.
  public struct Gradient: Equatable, Sendable {
    public var function: String
    public var gradient: String

    public init(function: String, gradient: String) {
      self.function = function
      self.gradient = gradient
    }
  }

  /// A `VersionDef`: which version of the format wrote the graph, and which readers may read it.
  public struct Versions: Equatable, Sendable {
    public var producer: Int32
    public var minimumConsumer: Int32
    public var badConsumers: [Int32] = []
    /// Fields that Martlet does not read.
    public var otherFields: [FieldRecord] = []

    public init(producer: Int32 = 0, minimumConsumer: Int32 = 0) {
      self.producer = producer
      self.minimumConsumer = minimumConsumer
    }
  }

  /// The nodes, in the order of the file, which need not be one in which they can run.
  public var nodes: [NodeRecord]
  /// The functions that nodes call.
  public var library: [FunctionRecord]
  public var gradients: [Gradient] = []
  /// The version of the format, in graphs from before there was ``versions``.
  public var version: Int32 = 0
  public var versions: Versions?
  /// Fields of the library that Martlet does not read.
  public var otherLibraryFields: [FieldRecord] = []
  /// Fields that Martlet does not read.
  public var otherFields: [FieldRecord] = []

  public init(nodes: [NodeRecord] = [], library: [FunctionRecord] = [], versions: Versions? = nil) {
    self.nodes = nodes
    self.library = library
    self.versions = versions
  }
}
