import MartletDiagnostics
import MartletGraph
import MartletTensors

/// How a window moves over images: the attributes that convolution and pooling share, in TensorFlow's form. Lists have
/// an element for each dimension of the images, in the order of the data format.
public struct Window: Hashable, Sendable {
  public var strides = [1, 1, 1, 1]
  /// `VALID`, `SAME` or `EXPLICIT`.
  public var padding = "VALID"
  /// With `EXPLICIT`, the padding before and behind each dimension.
  public var explicitPaddings: [Int] = []
  /// `NHWC` or `NCHW`.
  public var dataFormat = "NHWC"
  public var dilations = [1, 1, 1, 1]

  public init() {}

  init(strides: PerDimension, padding: Padding, dilations: PerDimension = 1, dataFormat: DataFormat) {
    self.dataFormat = dataFormat.rawValue
    self.strides = Self.list(strides, dataFormat, others: 1)
    self.dilations = Self.list(dilations, dataFormat, others: 1)
    switch padding {
    case .valid: self.padding = "VALID"
    case .same: self.padding = "SAME"
    case .explicit(let top, let bottom, let left, let right):
      self.padding = "EXPLICIT"
      let inner = [top, bottom, left, right]
      explicitPaddings = dataFormat == .nhwc ? [0, 0] + inner + [0, 0] : [0, 0, 0, 0] + inner
    }
  }

  /// One number for each dimension of the images.
  static func list(_ pair: PerDimension, _ format: DataFormat, others: Int) -> [Int] {
    format == .nhwc ? [others, pair.height, pair.width, others] : [others, others, pair.height, pair.width]
  }

  /// The format, after checks of all attributes against each other.
  ///
  /// - Throws: a diagnostic that names the attribute.
  func checkedFormat() throws(Diagnostic) -> DataFormat {
    let format = try DataFormat(named: dataFormat)
    for (name, list) in [("strides", strides), ("dilations", dilations)] {
      try Self.check(list, name, format)
    }
    switch padding {
    case "VALID", "SAME":
      guard explicitPaddings.isEmpty else {
        throw Diagnostic(
          "attribute 'explicit_paddings' must be empty with padding \(padding)", found: "\(explicitPaddings)")
      }
    case "EXPLICIT":
      let (height, width) = format.imageAxes
      guard explicitPaddings.count == 8, explicitPaddings.allSatisfy({ (0..<1 << 31).contains($0) }),
        (0..<4).allSatisfy({
          $0 == height || $0 == width || (explicitPaddings[2 * $0] == 0 && explicitPaddings[2 * $0 + 1] == 0)
        })
      else {
        throw Diagnostic(
          "attribute 'explicit_paddings' is wrong",
          required: "8 numbers of 0 or more, 0 for the batch and the channels", found: "\(explicitPaddings)")
      }
    default:
      throw Diagnostic("attribute 'padding' is unknown", required: "VALID, SAME or EXPLICIT", found: padding)
    }
    return format
  }

  /// Checks a list of window extents, strides or dilations.
  static func check(_ list: [Int], _ name: String, _ format: DataFormat) throws(Diagnostic) {
    let (height, width) = format.imageAxes
    guard list.count == 4, list.allSatisfy({ (1..<1 << 31).contains($0) }),
      (0..<4).allSatisfy({ $0 == height || $0 == width || list[$0] == 1 })
    else {
      throw Diagnostic(
        "attribute '\(name)' is wrong", required: "4 numbers of 1 or more, 1 for the batch and the channels",
        found: "\(list)")
    }
  }

  /// How many positions the window has along one axis of the images, and the padding there.
  ///
  /// TensorFlow's rules: `VALID` ⌈(n - k + 1) / s⌉ positions, `SAME` ⌈n / s⌉, where k is the extent of the window, holes
  /// included.
  func geometry(
    _ axis: Int, input: Dimension, kernel: Dimension, operand: String
  ) throws(Diagnostic) -> (output: Dimension, before: Dimension, after: Dimension) {
    let stride = strides[axis]
    let extent = (kernel - 1) * dilations[axis] + 1
    if padding == "SAME" {
      let output = input.ceilDivided(by: stride)
      let total = ((output - 1) * stride + extent - input).max(0)
      let before = total.floorDivided(by: 2)
      return (output, before, total - before)
    }
    let isExplicit = padding == "EXPLICIT"
    let before = Dimension(isExplicit ? explicitPaddings[2 * axis] : 0)
    let after = Dimension(isExplicit ? explicitPaddings[2 * axis + 1] : 0)
    let output = (input + before + after - extent + stride).floorDivided(by: stride)
    if let known = output.known, known < 0 {
      throw Diagnostic(
        "the window does not fit into the images", operand: operand, required: "an extent of \(extent) or more",
        found: "\(input) with padding \(padding)", hint: "use padding: .same, or a smaller window")
    }
    return (output, before, after)
  }
}

/// An operation with a window that moves over images.
public protocol WindowedOperation: Operation {
  var window: Window { get set }
}

extension DataFormat {
  /// The axes of the rows and of the columns.
  var imageAxes: (height: Int, width: Int) { self == .nhwc ? (1, 2) : (2, 3) }
  var channelAxis: Int { self == .nhwc ? 3 : 1 }

  /// Batch, height, width and channels in the order of the format.
  func arranged<T>(_ batch: T, _ height: T, _ width: T, _ channels: T) -> [T] {
    self == .nhwc ? [batch, height, width, channels] : [batch, channels, height, width]
  }
}
