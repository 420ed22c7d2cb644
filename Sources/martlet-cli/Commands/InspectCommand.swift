import ArgumentParser
import Martlet

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Tells what is in a model.",
    discussion: """
      Inputs, outputs, variables, operations with their counts, and operations that Martlet cannot run. With --plan also \
      the plan of a run that fetches all outputs, its exact peak memory, and the largest values in memory at the busiest \
      step with the source lines that made them.
      """)

  @OptionGroup var model: ModelArgument
  @Flag(help: "Plans a run, without running it.")
  var plan = false
  @Flag(help: "With --plan: prints what each kernel computes, its schedule and its loops.")
  var kernels = false
  @OptionGroup var settings: SessionSettings
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var shapes: ShapeOptions
  @Flag(help: "Prints one JSON object.")
  var json = false

  func validate() throws {
    if kernels, !plan || json { throw ValidationError("--kernels goes with --plan, and not with --json") }
  }

  func run() throws {
    try reportingFailure {
      let interface = ModelInterface(try model.load())
      let plan = self.plan ? try makePlan(interface) : nil
      print(json ? object(interface, plan?.plan, plan?.profile).text : text(interface, plan?.plan))
    }
  }

  private func makePlan(_ interface: ModelInterface) throws -> (plan: ExecutionPlan, profile: CompilationProfile) {
    let fetches = try selection.fetches(of: interface)
    let targets = try selection.targets(of: interface)
    let types = try shapes.feedTypes(interface, fetches, targets)
    return try Session(interface.graph, options: settings.options).profiledPlan(
      for: fetches, targets: targets, feeds: types)
  }

  // MARK: Output

  private func object(
    _ model: ModelInterface, _ plan: ExecutionPlan?, _ profile: CompilationProfile?
  ) -> JSONValue {
    func values(_ outputs: [Output]) -> JSONValue { .array(outputs.map(value)) }
    func counts(_ list: [(name: String, count: Int)]) -> JSONValue {
      .array(list.map { .object(["name": .string($0.name), "count": .int($0.count)]) })
    }
    let use = plan.map { MemoryUse($0) }
    let peakBytes: JSONValue? = use.map { .int($0.peakBytes) }
    let numbers: JSONValue? = plan.map { plan in
      .object([
        "kernels": .int(plan.kernels.count), "instructions": .int(plan.instructionCount),
        "arena_bytes": .int(plan.arenaBytes),
      ])
    }
    return .object([
      "nodes": .int(model.graph.nodeCount), "functions": .int(model.graph.library.functions.count),
      "inputs": values(model.inputs), "outputs": values(model.outputs), "variables": values(model.variables),
      "operations": counts(model.operations), "unsupported": counts(model.unsupported), "plan": numbers ?? .null,
      "peak_bytes": peakBytes ?? .null, "memory": use?.json ?? .null,
      "compile": profile.map { .profile($0) } ?? .null,
    ])
  }

  /// A value's name and type; what is not known of a shape is null.
  private func value(_ output: Output) -> JSONValue {
    let shape: JSONValue? = output.shape.dimensions.map { dimensions in
      .array(dimensions.map { $0.known.map { .int($0) } ?? .null })
    }
    return .object([
      "name": .string(output.name), "dtype": .optional(output.type.elementType?.name), "shape": shape ?? .null,
    ])
  }

  private func text(_ model: ModelInterface, _ plan: ExecutionPlan?) -> String {
    let functions = model.graph.library.functions
    var lines = ["\(self.model.model): \(model.graph.nodeCount) nodes, \(functions.count) sub-graphs"]
    func add(_ title: String, _ rows: [String]) {
      guard !rows.isEmpty else { return }
      lines.append(title)
      lines += rows.map { "  \($0)" }
    }
    func types(_ outputs: [Output]) -> [String] {
      let width = outputs.map(\.name.count).max() ?? 0
      return outputs.map { padded($0.name, to: width) + "  \($0.type)" }
    }
    func counts(_ list: [(name: String, count: Int)]) -> [String] {
      let width = list.map { "\($0.count)".count }.max() ?? 0
      return list.map { String(repeating: " ", count: width - "\($0.count)".count) + "\($0.count) \($0.name)" }
    }
    add("inputs", types(model.inputs))
    add("outputs", types(model.outputs))
    add("variables", types(model.variables))
    add("operations", counts(model.operations))
    add("cannot be run", counts(model.unsupported))
    if let plan { lines += ["\(plan)", MemoryUse(plan).text] }
    if kernels, let plan { lines += plan.kernels.enumerated().map { kernelText($0.element, number: $0.offset) } }
    return lines.joined(separator: "\n")
  }
}

/// A kernel as it is told to people.
private func kernelText(_ kernel: PlanKernel, number: Int) -> String {
  "\nkernel \(number) '\(kernel.label)'\n\(kernel.program.map { "\($0)\n" } ?? "")\(kernel.code)"
}

/// The text with spaces behind it.
func padded(_ text: String, to width: Int) -> String {
  text + String(repeating: " ", count: max(width - text.count, 0))
}
