import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletPasses
import MartletRewriting
import MartletScheduling
import MartletTensors

/// Runs a program before and after each pass with the interpreter, on arrays that are made up, and keeps how far the
/// results are apart: it tells which pass changes what a graph computes.
///
///     let comparison = NumericComparison()
///     var options = SessionOptions()
///     options.instruments = [comparison.instrument]
///
/// Floats of feeds and variables are drawn evenly from −1 to 1 and from 0.1 to 0.9, from a fixed seed; integers are 0 and 1.
public final class NumericComparison: @unchecked Sendable {
  /// What a pass did to the numbers.
  public struct Difference: Sendable {
    public var pass: String
    /// The greatest distance of two elements, and the greatest distance relative to the larger of two: infinite where one
    /// alone is not a number.
    public var absolute: Double
    public var relative: Double
    /// The result or variable in which the relative distance is greatest.
    public var name: String
  }

  /// Pass by pass, in the order in which they ran. Read it when the pipeline has ended.
  public private(set) var differences: [Difference] = []
  private var last: [(name: String, tensor: Tensor)]?

  public init() {}

  public var instrument: ComparisonInstrument {
    ComparisonInstrument { pass, old, new in try self.compare(pass, old, new) }
  }

  private func compare(_ pass: String, _ old: Program, _ new: Program) throws {
    let before = try last ?? Self.results(of: old)
    let after = try Self.results(of: new)
    last = after
    guard before.map(\.name) == after.map(\.name) else {
      throw Diagnostic(
        "after \(pass) the program has other results", required: before.map(\.name).joined(separator: ", "),
        found: after.map(\.name).joined(separator: ", "), hint: "this is a fault of the pass, not of the graph")
    }
    var difference = Difference(pass: pass, absolute: 0, relative: 0, name: "")
    for (a, b) in zip(before, after) {
      guard a.tensor.type == b.tensor.type else {
        throw Diagnostic(
          "after \(pass) the result '\(a.name)' has another type", required: "\(a.tensor.type)",
          found: "\(b.tensor.type)", hint: "this is a fault of the pass, not of the graph")
      }
      for (x, y) in zip(a.tensor.doubles(), b.tensor.doubles()) {
        if x == y || x.isNaN && y.isNaN { continue }
        let distance = x.isFinite && y.isFinite ? abs(x - y) : .infinity
        difference.absolute = max(difference.absolute, distance)
        let relative = distance / max(abs(x), abs(y))
        let measure = relative.isNaN ? .infinity : relative
        if measure > difference.relative { (difference.relative, difference.name) = (measure, a.name) }
      }
    }
    differences.append(difference)
  }

  // MARK: Running

  /// The fetches by number and the variables' new values by name.
  private static func results(of program: Program) throws -> [(name: String, tensor: Tensor)] {
    let backend = InterpreterBackend()
    let plan = try Planner.plan(try finished(program, target: backend), for: backend)
    let store = VariableStore()
    let variables = try plan.variables.map { binding in
      let variable = try store.variable(binding.name, type: binding.type)
      try variable.assign(sample(binding.type, name: binding.name, isVariable: true))
      return variable
    }
    let feeds = plan.arguments.map { sample($0.type, name: $0.name, isVariable: false) }
    let fetched = try BoundPlan(plan, backend: backend).run(feeds, variables: variables, number: 0)
    var results = fetched.enumerated().map { (name: "fetch \($0.offset)", tensor: $0.element) }
    for (variable, binding) in zip(variables, plan.variables) where binding.result != nil {
      if let value = try variable.value { results.append(("variable \(binding.name)", value)) }
    }
    return results.sorted { $0.name < $1.name }
  }

  /// The program with what it still lacks to be planned, each operation on its own.
  private static func finished(_ program: Program, target: any Target) throws -> Program {
    var context = PassContext(target: target)
    var result = program
    if hasVariables(program) {
      for phase in Pipeline.standard(fusing: false).phases where phase.form == .typed {
        for pass in phase.passes { result = try pass.run(result, &context) }
      }
    } else {
      result = try ExpandComposites().run(try InferTypes().run(result, &context), &context)
    }
    return try FormKernels(fusing: false).run(result, &context)
  }

  private static func hasVariables(_ program: Program) -> Bool {
    ([program.main] + program.library.functions).contains { function in
      function.body.nodes.contains { function.body.stateRole(of: $0) != .none }
    }
  }

  /// An array of the type that depends on its name alone.
  private static func sample(_ type: TensorType, name: String, isVariable: Bool) -> Tensor {
    let shape = type.shape.known ?? []
    let count = shape.reduce(1, *)
    var key: UInt32 = 2_166_136_261
    for byte in name.utf8 { key = (key ^ UInt32(byte)) &* 16_777_619 }
    func unit(_ i: Int) -> Double {
      let block = Philox.block(counter: (UInt32(truncatingIfNeeded: i), 0, 0, 0), key: (key, 0))
      return Double(block.0) / 4_294_967_296
    }
    func number(_ i: Int) -> Double { isVariable ? 0.1 + 0.8 * unit(i) : 2 * unit(i) - 1 }
    if type.elementType.isFloatingPoint {
      return Tensor(rounding: (0..<count).map { number($0) }, shape: shape, as: type.elementType)
    }
    return switch type.elementType {
    case .int32: Tensor((0..<count).map { Int32(unit($0) < 0.5 ? 0 : 1) }, shape: shape)
    case .int64: Tensor((0..<count).map { Int64(unit($0) < 0.5 ? 0 : 1) }, shape: shape)
    case .uint8: Tensor((0..<count).map { UInt8(unit($0) < 0.5 ? 0 : 1) }, shape: shape)
    case .bool: Tensor((0..<count).map { unit($0) < 0.5 }, shape: shape)
    default: Tensor(zeros: type.elementType, shape: shape)
    }
  }
}
