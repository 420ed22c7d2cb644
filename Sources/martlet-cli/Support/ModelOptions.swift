import ArgumentParser
import Foundation
import Martlet

/// The model that a command works on.
struct ModelArgument: ParsableArguments {
  @ArgumentParser.Argument(help: "A GraphDef (.pb, .pbtxt) or a graph in Martlet's text form (.mtg).")
  var model: String

  func load() throws -> Graph { try Graph(loadingModel: model) }
}

extension Graph {
  /// Reads a model, recognised by its content.
  convenience init(loadingModel path: String) throws {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      throw Diagnostic(
        "\(path) is a folder; a SavedModel cannot be read yet", hint: "save the frozen graph as a GraphDef (.pb)")
    }
    if path.hasSuffix(".onnx") {
      throw Diagnostic("\(path): ONNX models cannot be read yet", hint: "save the model as a GraphDef (.pb)")
    }
    try self.init(loading: path)
  }
}

/// What a command takes from a model: values, nodes, and the shapes of inputs.
struct SelectionOptions: ParsableArguments {
  @Option(
    name: .customLong("fetch"), help: ArgumentHelp("A value that is wanted; all outputs by default.", valueName: "NAME")
  )
  var fetches: [String] = []

  @Option(name: .customLong("target"), help: ArgumentHelp("A node to run for what it does.", valueName: "NAME"))
  var targets: [String] = []

  /// The values to fetch: those named, or all outputs if neither values nor nodes are named.
  func fetches(of model: ModelInterface) throws -> [Output] {
    if fetches.isEmpty { return targets.isEmpty ? model.outputs : [] }
    return try fetches.map { name throws(Diagnostic) in try model.value(named: name) }
  }

  func targets(of model: ModelInterface) throws -> [GraphNode] {
    try targets.map { name throws(Diagnostic) in try model.node(named: name) }
  }
}

/// The shapes that a model is compiled for without being run.
struct ShapeOptions: ParsableArguments {
  @Option(
    name: .customLong("shape"),
    help: ArgumentHelp("An input's extents; those that are not known are 1 by default.", valueName: "NAME=1,28,28,1"))
  var shapes: [ShapeArgument] = []

  /// The types of the inputs that a run needs.
  ///
  /// - Throws: a diagnostic where a shape does not fit, or is not known and not given.
  func feedTypes(
    _ model: ModelInterface, _ fetches: [Output], _ targets: [GraphNode]
  ) throws(Diagnostic) -> [Output: TensorType] {
    var types: [Output: TensorType] = [:]
    for shape in shapes {
      let value = try model.value(named: shape.name)
      let given = TensorType(value.elementType, Shape(shape.extents))
      guard let declared = value.type.tensor, declared.shape.isCompatible(with: given.shape) else {
        throw Diagnostic(
          "the shape given for it does not fit", operation: value.title,
          required: "\(value.type)", found: "\(given)")
      }
      types[value] = given
    }
    for input in model.neededInputs(of: fetches, targets, fed: Set(types.keys)) {
      guard let type = input.type.tensor, let dimensions = type.shape.dimensions else {
        throw Diagnostic(
          "nothing is known of this input's shape", operation: input.title,
          hint: "give one: --shape \(input.name)=1,28,28,1")
      }
      types[input] = TensorType(type.elementType, Shape(dimensions.map { $0.known ?? 1 }))
    }
    return types
  }
}

extension Output {
  /// The operation and the name, as messages have them.
  var title: String { "\(graph.schemaName(of: node)) '\(name)'" }
}

/// The rules that are left out.
struct RuleOptions: ParsableArguments {
  @Option(
    name: .customLong("without-rule"),
    help: ArgumentHelp("A rewrite that is not applied, by the name that 'martlet optimize' prints.", valueName: "RULE"))
  var disabled: [String] = []
}
