import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// What stands for the gradient of a value on which nothing depends.
public enum Unconnected: Sendable {
  /// nil.
  case none
  /// Zeros of the value's shape.
  case zeros
}

/// Adds to the graph the gradients of the sum of `outputs` with respect to `inputs`, by reverse mode.
///
/// The gradients are symbolic, so that they can be differentiated again. They are in the name scope `gradients`; each
/// node is reported at the line that built the node it differentiates.
///
/// ```swift
/// let loss = mean(square(matMul(x, w) - y))
/// let dw = try gradients(of: [loss], withRespectTo: [w])[0]
/// ```
///
/// - Parameters:
///   - outputs: floating-point values.
///   - inputs: floating-point values, or variables, for which the gradients with respect to all their reads are summed.
///   - upstream: weights for the outputs, of their shapes; ones where nil.
///   - stopping: values that count as constants, except that an input among them still gets its own gradient.
///   - unconnected: what stands for the gradient of an input on which no output depends, or that is no floating-point
///     value.
/// - Returns: a gradient for each input, of its shape.
/// - Throws: a diagnostic if an output or an upstream has a wrong type, or an operation on the way has no gradient.
public func gradients(
  of outputs: [Output], withRespectTo inputs: [Output], upstream: [Output?]? = nil, stopping: [Output] = [],
  unconnected: Unconnected = .none
) throws(Diagnostic) -> [Output?] {
  let parts = try cotangents(of: outputs, withRespectTo: inputs, upstream: upstream, stopping: stopping)
  var results: [Output?] = []
  for (part, input) in zip(parts, inputs) {
    switch part {
    case .none: results.append(unconnected == .zeros ? try zeros(like: input) : nil)
    case .dense(let value): results.append(value)
    case .slices(let values, let indices, let shape): results.append(densified(values, indices, shape))
    }
  }
  return results
}

/// The gradient of one output with respect to one value; zeros if it does not depend on it.
public func gradient(of output: Output, withRespectTo input: Output) throws(Diagnostic) -> Output {
  guard let result = try gradients(of: [output], withRespectTo: [input], unconnected: .zeros)[0] else {
    preconditionFailure("an unconnected gradient is zeros")
  }
  return result
}

/// As `gradients(of:withRespectTo:)`, with gradients of gathered rows left as slices: what an optimizer can apply without
/// touching the other rows.
public func cotangents(
  of outputs: [Output], withRespectTo inputs: [Output], upstream: [Output?]? = nil, stopping: [Output] = []
) throws(Diagnostic) -> [Cotangent] {
  guard let graph = outputs.first?.graph else { return inputs.map { _ in .none } }
  for value in outputs + inputs + (upstream ?? []).compactMap({ $0 }) + stopping where value.graph !== graph {
    throw Diagnostic(
      "'\(value.name)' belongs to another graph than '\(outputs[0].name)'", operation: "gradients",
      hint: "inside of a sub-graph, only its own values can be differentiated; make the other an argument")
  }
  // A mistake is reported where it was made.
  if let poison = (outputs + inputs).first(where: { $0.type == .poison }) { return inputs.map { _ in .dense(poison) } }
  for (i, output) in outputs.enumerated() {
    guard case .tensor(let type) = output.type, type.elementType.isFloatingPoint else {
      throw Diagnostic(
        "only floating-point values have gradients", operation: "gradients", operand: "of[\(i)]",
        found: "'\(output.name)', \(output.type)", hint: "convert it with cast(_:to:)")
    }
  }
  if let upstream, upstream.count != outputs.count {
    throw Diagnostic(
      "there must be one for each output", operation: "gradients", operand: "upstream",
      required: "\(outputs.count) values", found: "\(upstream.count)")
  }
  var result: [Cotangent] = []
  var failure: Diagnostic?
  graph.withNameScope("gradients") {
    do throws(Diagnostic) {
      var starts: [Output] = []
      for (i, output) in outputs.enumerated() {
        guard let start = upstream?[i] else {
          starts.append(output.shape.rank == 0 ? output.scalar(1) : onesLike(output))
          continue
        }
        guard start.elementType == output.elementType, start.shape.isCompatible(with: output.shape) else {
          throw Diagnostic(
            "must have the type and shape of the output it belongs to", operation: "gradients",
            operand: "upstream[\(i)]", required: "\(output.type)", found: "\(start.type)")
        }
        starts.append(start)
      }
      var mode = ReverseMode(graph)
      result = try mode.run(outputs: outputs, upstream: starts, inputs: inputs, stopping: stopping)
    } catch {
      failure = error
    }
  }
  if let failure { throw failure }
  return result
}

/// Zeros of the shape of `input`, or of what the variable `input` holds.
func zeros(like input: Output) throws(Diagnostic) -> Output {
  guard case .resource(let type) = input.type else { return zerosLike(input) }
  guard let extents = type.shape.known else {
    throw Diagnostic(
      "a variable of unknown shape has no zeros", operation: "gradients", operand: "withRespectTo",
      found: "\(input.type)")
  }
  let zero = cast(input.graph.constant(0.0), to: type.elementType)
  return broadcast(zero, to: extents)
}
