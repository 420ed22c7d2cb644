import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// A convolution of images, or one of its two gradients. Its operands and result stand in the roles of
/// `Convolution.Role`.
protocol ConvolutionOperation: WindowedOperation {
  static var role: Convolution.Role { get }
  /// Whether each channel is convolved with filters of its own.
  static var isDepthwise: Bool { get }
}

/// The operation of a role with the same window.
private func sibling(_ role: Convolution.Role, _ window: Window, isDepthwise: Bool) -> any Operation {
  func make<O: ConvolutionOperation>(_ type: O.Type) -> any Operation {
    var operation = O()
    operation.window = window
    return operation
  }
  return switch (role, isDepthwise) {
  case (.forward, false): make(Conv2D.self)
  case (.backwardData, false): make(Conv2DBackpropInput.self)
  case (.backwardFilter, false): make(Conv2DBackpropFilter.self)
  case (.forward, true): make(DepthwiseConv2dNative.self)
  case (.backwardData, true): make(DepthwiseConv2dNativeBackpropInput.self)
  case (.backwardFilter, true): make(DepthwiseConv2dNativeBackpropFilter.self)
  }
}

extension ConvolutionOperation {
  public static var attributeTable: AttributeTable<Self> {
    [
      AttributeField("strides", \Self.window.strides), AttributeField("padding", \Self.window.padding),
      AttributeField("explicit_paddings", \Self.window.explicitPaddings),
      AttributeField("data_format", \Self.window.dataFormat), AttributeField("dilations", \Self.window.dilations),
    ]
  }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let format = try window.checkedFormat()
    let image = try shape(ofRole: 0, operands)
    let filter = try shape(ofRole: 1, operands)
    let output = try outputShape(image.shape, filter.shape, format, operands, filter.name)
    switch Self.role {
    case .forward: return [Inference(operands[0].elementType ?? .float32, output)]
    case .backwardData, .backwardFilter:
      let given = try operands[2].shape(ofRank: 4, "out_backprop")
      guard output.isCompatible(with: given) else {
        throw Diagnostic(
          "must have the shape of the convolution's result", operand: "out_backprop", required: "\(output)",
          found: "\(operands[2].type)")
      }
      return [
        Inference(operands[2].elementType ?? .float32, Self.role == .backwardData ? image.shape : filter.shape)
      ]
    }
  }

  /// The shape of the images, 0, or the filter, 1: that of the operand, or its value where it holds their sizes.
  private func shape(
    ofRole index: Int, _ operands: [Operand]
  ) throws(Diagnostic) -> (shape: Shape, name: String) {
    let name = schema.inputName(index, of: operands.count)
    let isSizes = (Self.role == .backwardData && index == 0) || (Self.role == .backwardFilter && index == 1)
    guard isSizes else { return (try operands[index].shape(ofRank: 4, name), name) }
    let sizes = try operands[index].shapeValue(name)
    guard let rank = sizes.rank else { return (Shape(unknownOfRank: 4), name) }
    guard rank == 4 else { throw Diagnostic("", operand: name, required: "4 extents", found: "\(rank)") }
    return (sizes, name)
  }

  private func outputShape(
    _ image: Shape, _ filter: Shape, _ format: DataFormat, _ operands: [Operand], _ filterName: String
  ) throws(Diagnostic) -> Shape {
    let (height, width) = format.imageAxes
    let channels = image[format.channelAxis]
    if let images = channels.known, let filters = filter[2].known {
      guard Self.isDepthwise ? images == filters : filters > 0 && images % filters == 0 else {
        throw Diagnostic(
          "must have \(channels) channels (its third extent) to match the images \(image)", operand: filterName,
          found: "\(filter)", hint: "filters are [height, width, in, out]; images here are \(format.rawValue)")
      }
    }
    let name = schema.inputName(0, of: operands.count)
    let rows = try window.geometry(height, input: image[height], kernel: filter[0], operand: name).output
    let columns = try window.geometry(width, input: image[width], kernel: filter[1], operand: name).output
    return Shape(
      format.arranged(image[0], rows, columns, Self.isDepthwise ? filter[2] * filter[3] : filter[3]))
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (window, graph, dy) = (window, g.graph, g.dy)
    func add(_ role: Convolution.Role, _ operands: [Output]) -> Cotangent {
      .dense(graph.addOne(sibling(role, window, isDepthwise: Self.isDepthwise), operands))
    }
    let operands = g.operands
    func when(_ i: Int, _ cotangent: () -> Cotangent) -> Cotangent { g.isNeeded[i] ? cotangent() : .none }
    switch Self.role {
    case .forward:
      let (image, filter) = (operands[0], operands[1])
      return [
        when(0) { add(.backwardData, [shapeVector(of: image), filter, dy]) },
        when(1) { add(.backwardFilter, [image, shapeVector(of: filter), dy]) },
      ]
    case .backwardData:
      let (filter, output) = (operands[1], operands[2])
      return [
        .none, when(1) { add(.backwardFilter, [dy, shapeVector(of: filter), output]) },
        when(2) { add(.forward, [dy, filter]) },
      ]
    case .backwardFilter:
      let (image, output) = (operands[0], operands[2])
      return [
        when(0) { add(.backwardData, [shapeVector(of: image), dy, output]) }, .none,
        when(2) { add(.forward, [image, dy]) },
      ]
    }
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let format = try window.checkedFormat()
    let type = l.results[0].elementType
    let result = l.resultShape(0)
    let (image, filter, output) =
      switch Self.role {
      case .forward: (l.operandShape(0), l.operandShape(1), result)
      case .backwardData: (result, l.operandShape(1), l.operandShape(2))
      case .backwardFilter: (l.operandShape(0), result, l.operandShape(2))
      }
    let (height, width) = format.imageAxes
    let channels = image[format.channelAxis]
    func padding(_ axis: Int, _ kernel: Int) throws(Diagnostic) -> (Int, Int) {
      let geometry = try window.geometry(
        axis, input: Dimension(image[axis]), kernel: Dimension(kernel), operand: "input")
      return (geometry.before.known ?? 0, geometry.after.known ?? 0)
    }
    let vertical = try padding(height, filter[0])
    let horizontal = try padding(width, filter[1])
    let contract = Convolution(
      role: Self.role, elementType: type, isChannelsFirst: format == .nchw, batch: image[0],
      input: (image[height], image[width], channels),
      output: (output[height], output[width], output[format.channelAxis]), kernel: (filter[0], filter[1]),
      groups: Self.isDepthwise ? channels : channels / max(filter[2], 1), isDepthwise: Self.isDepthwise,
      strides: (window.strides[height], window.strides[width]),
      dilations: (window.dilations[height], window.dilations[width]),
      padding: (vertical.0, vertical.1, horizontal.0, horizontal.1))
    let program = convolutionStages(contract, schema.name, l.builder(), result)
    let isLibrary = type.isFloatingPoint && (contract.isDepthwise || contract.groups == 1)
    return isLibrary ? .library(.convolution(contract), reference: program) : .compute(program)
  }
}
