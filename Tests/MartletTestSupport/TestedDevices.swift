import Martlet

extension SessionOptions {
  /// For what is said of the processor's plans, whatever device MARTLET_DEVICE names.
  public static let cpu = SessionOptions(device: .cpu)
}

extension SessionOptions.Device {
  /// Those whose numbers are tested: the reference, the processor, and the one that MARTLET_DEVICE names.
  public static let tested: [SessionOptions.Device] = {
    let known: [SessionOptions.Device] = [.interpreter, .cpu]
    guard let standard = try? standard(), !known.contains(standard) else { return known }
    return known + [standard]
  }()
}
