extension BufferType: CustomStringConvertible {
  public var description: String { "\(elementType)\(extents)" }
}

extension Source: CustomStringConvertible {
  /// `in0` for the first input, `s0` for the first stage.
  public var description: String {
    switch self {
    case .input(let i): "in\(i)"
    case .stage(let i): "s\(i)"
    }
  }
}

extension StageProgram: CustomStringConvertible {
  /// The stages as text: axes of the result and then of the reduction are i0, i1 and so on.
  public var description: String {
    let arguments = inputs.enumerated().map { "in\($0): \($1)" }.joined(separator: ", ")
    var text = "program(\(arguments)) -> (\(outputs.map(\.description).joined(separator: ", ")))\n"
    var printer = ScalarPrinter(scalars) { Source(payload: $0).description }
    func write(_ names: [String], _ roots: [ScalarID]) {
      let values = printer.print(roots)
      for line in printer.takeLines() { text += "  \(line)\n" }
      for (name, value) in zip(names, values) { text += "  \(name) = \(value)\n" }
    }
    for (number, stage) in stages.enumerated() {
      printer.reset()
      text += "s\(number): \(stage.result) = "
      switch stage.kind {
      case .map(let value):
        text += "map \"\(stage.name)\"\n"
        write(["value"], [value])
      case .reduce(let reduction):
        text += "reduce\(reduction.extents) \"\(stage.name)\"\n"
        write(reduction.initial.indices.map { "initial\($0)" }, reduction.initial)
        write(reduction.step.indices.map { "step\($0)" }, reduction.step)
        write(reduction.merge.indices.map { "merge\($0)" }, reduction.merge)
        write(["finish"], [reduction.finish])
      case .scan(let scan):
        let marks = (scan.isReversed ? " reversed" : "") + (scan.isExclusive ? " exclusive" : "")
        text += "scan i\(scan.axis)\(marks) \"\(stage.name)\"\n"
        write(["initial", "step"], [scan.initial, scan.step])
      case .scatter(let scatter):
        text += "scatter\(scatter.updateExtents) \"\(stage.name)\"\n"
        write(["initial"], [scatter.initial])
        printer.reset()  // The updates' axes are others.
        write(scatter.position.indices.map { "position\($0)" }, scatter.position)
        write(["combine"], [scatter.combine])
      }
    }
    return text
  }
}
