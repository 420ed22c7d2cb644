import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// `eˣ / Σ eˣ` along the last dimension.
public struct Softmax: RowwiseActivation {
  public init() {}
  public static let schema = Schema(rowwise: "Softmax", output: "softmax")

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (y, dy) = (g.results[0], g.dy)
    return [.dense((dy - sum(dy * y, axes: [-1], keepDims: true)) * y)]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    var b = l.builder()
    let rows = RowStages(&b, .input(0), "Softmax")
    let result = rows.softmax(&b, .input(0))
    return .compute(b.finish([result]))
  }
}

/// The logarithm of the softmax, `x - log Σ eˣ`, along the last dimension.
public struct LogSoftmax: RowwiseActivation {
  public init() {}
  public static let schema = Schema(rowwise: "LogSoftmax", output: "logsoftmax")

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (y, dy) = (g.results[0], g.dy)
    return [.dense(dy - sum(dy, axes: [-1], keepDims: true) * exp(y))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    var b = l.builder()
    let rows = RowStages(&b, .input(0), "LogSoftmax")
    let result = b.map("LogSoftmax", type, l.resultShape(0)) { b, axes in
      let row = Array(axes.dropLast())
      let shifted = rows.shifted(&b, b.load(.input(0), type, at: axes), row)
      return b.subtract(shifted, b.log(b.load(rows.total, type, at: row)))
    }
    return .compute(b.finish([result]))
  }
}

protocol RowwiseActivation: Operation {}

extension Schema {
  fileprivate init(rowwise name: String, output: String) {
    self.init(name, inputs: ["logits": "T"], outputs: [output: "T"], types: ["T": .floating])
  }
}

extension RowwiseActivation {
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    if operands[0].shape.rank == 0 {
      throw Diagnostic("", operand: "logits", required: "one dimension or more", found: "\(operands[0].type)")
    }
    return [Inference(operands[0].elementType ?? .float32, operands[0].shape)]
  }
}

/// The stages that all softmaxes begin with: along the last dimension the maximum, and the sum of the exponentials of
/// what is shifted by it, so that none overflows.
struct RowStages {
  let type: ElementType
  let extents: [Int]
  let maximum: Source
  let total: Source

  init(_ b: inout StageBuilder, _ logits: Source, _ name: String) {
    let buffer = b.type(of: logits)
    let type = buffer.elementType
    let rows = Array(buffer.extents.dropLast())
    let width = Array(buffer.extents.suffix(1))
    let greatest = type.greatestFiniteMagnitude
    let maximum = b.reduce(
      "\(name)/max", type, rows, over: width, .maximum, { b, row, inner in b.load(logits, type, at: row + inner) },
      // From ∞, finite elements then still differ, and have the probability 0 beside it.
      finish: { b, maximum in
        b.minimum(maximum, b.constant(greatest, type))
      })
    total = b.reduce("\(name)/sum", type, rows, over: width, .sum) { b, row, inner in
      b.exp(b.subtract(b.load(logits, type, at: row + inner), b.load(maximum, type, at: row)))
    }
    (self.type, self.extents, self.maximum) = (type, buffer.extents, maximum)
  }

  /// `x`, an element of `row`, less the row's maximum.
  func shifted(_ b: inout ScalarBuilder, _ x: Scalar, _ row: [Scalar]) -> Scalar {
    b.subtract(x, b.load(maximum, type, at: row))
  }

  /// The softmax of one element.
  func probability(_ b: inout ScalarBuilder, _ logits: Source, _ axes: [Scalar]) -> Scalar {
    let row = Array(axes.dropLast())
    let power = b.exp(shifted(&b, b.load(logits, type, at: axes), row))
    // A row has one division, which costs as much as a quarter of its exponentials otherwise. Totals are 1 or more.
    return b.multiply(power, b.reciprocal(b.load(total, type, at: row)))
  }

  /// The stage of the whole softmax.
  func softmax(_ b: inout StageBuilder, _ logits: Source) -> Source {
    b.map("Softmax", type, extents) { b, axes in probability(&b, logits, axes) }
  }
}

/// `eˣ / Σ eˣ` along the last dimension.
public func softmax(_ logits: Output, name: String? = nil) -> Output {
  logits.graph.addOne(Softmax(), [logits], name: name)
}
/// The logarithm of the softmax along the last dimension, exact where the softmax itself would be 0.
public func logSoftmax(_ logits: Output, name: String? = nil) -> Output {
  logits.graph.addOne(LogSoftmax(), [logits], name: name)
}
