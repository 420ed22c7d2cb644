import MartletLoopIR

/// What the passes from placement on may ask of the device that will run the graph. Each back end has one; tests use a
/// recorded one.
public protocol Target: Sendable {
  var name: String { get }
  /// Whether the device's libraries do this, and better than generated code.
  func claims(_ contract: LibraryContract) -> Bool
  /// Is told which contracts it will be asked about, so that it may look at them all at once.
  func prepare(_ contracts: [LibraryContract])
  /// The hardware that schedules are chosen for.
  var machine: TargetMachine { get }
  /// The kinds of devices, as `withDevice` names them, that it is.
  var deviceKinds: [String] { get }
  /// Which of the machine's devices of its kind it is; nil if there is one, or it does not matter.
  var deviceNumber: Int? { get }
  /// The processor beside the device, which runs what is placed on it; nil if the device is the processor.
  var host: (any Target)? { get }
  /// How wide the panels should be in which b is laid out for a product, where that pays if several products share b;
  /// nil where it does not.
  func panelWidth(for product: MatrixProduct) -> Int?
}

extension Target {
  public var deviceKinds: [String] { [name] }
  public var deviceNumber: Int? { nil }
  public var host: (any Target)? { nil }
  public func panelWidth(for product: MatrixProduct) -> Int? { nil }
  public func prepare(_ contracts: [LibraryContract]) {}
}

/// The numbers about a processor on which schedules depend.
public struct TargetMachine: Hashable, Sendable {
  /// Bytes in a vector register.
  public var vectorBytes: Int
  public var l1Bytes: Int
  public var l2Bytes: Int
  /// Of the last cache before memory.
  public var l3Bytes: Int
  public init(vectorBytes: Int = 64, l1Bytes: Int = 32 << 10, l2Bytes: Int = 1 << 20, l3Bytes: Int = 32 << 20) {
    (self.vectorBytes, self.l1Bytes, self.l2Bytes, self.l3Bytes) = (vectorBytes, l1Bytes, l2Bytes, l3Bytes)
  }
}
