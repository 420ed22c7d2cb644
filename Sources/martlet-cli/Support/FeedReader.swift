import Martlet

/// Reads the arrays that are fed to a model, and checks that they fit.
struct FeedReader {
  private let model: ModelInterface

  init(_ model: ModelInterface) { self.model = model }

  /// - Throws: all mistakes as one error: arrays that do not fit, inputs without one.
  func read(
    _ feeds: [FeedArgument], fetches: [Output], targets: [GraphNode]
  ) throws -> [(value: Output, tensor: Tensor)] {
    var arrays: [(value: Output, tensor: Tensor)] = []
    var mistakes = DiagnosticList()
    for feed in feeds {
      let value = try model.value(named: feed.name)
      guard !arrays.contains(where: { $0.value == value }) else {
        throw Diagnostic("'\(feed.name)' is fed twice")
      }
      let tensor = try NPY.read(feed.path)
      arrays.append((value, tensor))
      if let mistake = check(tensor, for: value, file: feed.path) { mistakes.append(mistake) }
    }
    for input in model.neededInputs(of: fetches, targets, fed: Set(arrays.map(\.value))) {
      mistakes.append(
        Diagnostic(
          "the run needs an array for this input", operation: input.title, required: "\(input.type)",
          found: "no --feed",
          hint: "--feed \(input.name)=FILE.npy"))
    }
    try mistakes.throwIfAny()
    return arrays
  }

  private func check(_ tensor: Tensor, for value: Output, file: String) -> Diagnostic? {
    guard let type = value.type.tensor else { return nil }
    let fitsType = type.elementType == tensor.elementType
    if fitsType, type.shape.isCompatible(with: Shape(tensor.shape)) { return nil }
    return Diagnostic(
      "the array of \(file) does not fit", operation: value.title, required: "\(type)", found: "\(tensor.type)",
      hint: fitsType ? nil : "convert it with NumPy: x.astype('\(type.elementType.name)')")
  }
}
