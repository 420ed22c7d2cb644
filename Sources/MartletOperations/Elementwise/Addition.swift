import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The sum `x + y`.
public struct AddV2: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "AddV2", types: .numeric, commutative: true)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.add(x[0], x[1]) }
  public func known(_ x: [Dimension]) -> Dimension? { x[0] + x[1] }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let dy = g.dy
    return g.cotangents({ dy }, { dy })
  }
}

/// The difference `x - y`.
public struct Sub: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Sub", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.subtract(x[0], x[1]) }
  public func known(_ x: [Dimension]) -> Dimension? { x[0] - x[1] }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let dy = g.dy
    return g.cotangents({ dy }, { -dy })
  }
}

/// The sum of any number of values of one shape; it does not broadcast.
public struct AddN: Operation {
  public init() {}
  public static let schema = Schema("AddN", inputs: ["inputs": "N*T"], outputs: ["sum": "T"], types: ["T": .numeric])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard let first = operands.first else {
      throw Diagnostic("there is nothing to add", operand: "inputs", required: "one value or more", found: "none")
    }
    var shape = first.shape
    for (i, operand) in operands.enumerated().dropFirst() {
      guard let both = shape.merged(with: operand.shape) else {
        throw Diagnostic(
          "the values' shapes differ", operand: "inputs[\(i)]", required: "the shape \(shape) of those before",
          found: "\(operand.type)", hint: "AddN does not broadcast; use +")
      }
      shape = both
    }
    return [Inference(first.elementType ?? .float32, shape)]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    Array(repeating: .dense(g.dy), count: g.operands.count)
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    var b = l.builder()
    let count = l.operands.count
    let sum = b.map("AddN", type, l.resultShape(0)) { b, axes in
      (1..<count).reduce(b.load(.input(0), type, at: axes)) { sum, i in b.add(sum, b.load(.input(i), type, at: axes)) }
    }
    return .compute(b.finish([sum]))
  }
}

/// The sum of values of one shape, at least one.
public func addN(_ values: [Output], name: String? = nil) -> Output {
  precondition(!values.isEmpty, "addN needs a value")
  return values[0].graph.addOne(AddN(), values, name: name)
}
