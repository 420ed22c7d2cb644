import MartletDiagnostics
import MartletLoopIR
import MartletTensors

/// How an operation runs. Passes and back ends look at this, never at which operation it is.
public enum Lowering: Sendable {
  /// As a kernel generated from stages; input i of the program is operand i.
  case compute(StageProgram)
  /// As a rearrangement without arithmetic; the program has one map stage that loads its only input once.
  case view(StageProgram)
  /// As operand 0 under another shape: the same bytes in the same order. The program says so for fused kernels.
  case reshape(StageProgram)
  /// As a stretch of operand 0: its bytes from `offset` on. The program says so for fused kernels.
  case part(offset: Int, StageProgram)
  /// As the first `count` operands, whose bytes stand one behind the other. What a plan computes in its place is not
  /// moved. The program says so for fused kernels; nil if the operands are too many for one.
  case join(count: Int, StageProgram?)
  /// By a library, where the target claims the contract; else, and as the oracle, by the reference stages.
  case library(LibraryContract, reference: StageProgram)
  /// By a library, where the target claims the contract; else as other operations. For what is too long for stages.
  case libraryOrComposite(
    LibraryContract, @Sendable (inout Expansion) throws(Diagnostic) -> [Output])
  /// As other operations.
  case composite(@Sendable (inout Expansion) throws(Diagnostic) -> [Output])
  /// By host code on whole arrays.
  case host(HostFunction)
  /// As the one or the other sub-graph, by the Boolean operand 0; the arguments are the other operands.
  case conditional(then: FunctionName, else: FunctionName)
  /// As a sub-graph repeated while another gives true; operands, arguments and results are the same list of values.
  case loop(condition: FunctionName, body: FunctionName)
  /// A value that is bound from outside: a feed, an argument, a variable.
  case bound
  /// A value known now.
  case constant(Constant)
  /// Nothing to run: only there for its control edges.
  case nothing
}

extension Lowering {
  /// Offsets of parts, and the bytes of all joined operands but the last, are multiples of this.
  public static let partAlignment = 64
}

/// Host code behind an operation. It must not keep its arguments.
public struct HostFunction: Sendable {
  /// A class of effects that keep their order among each other; nil for a pure function.
  public var effect: String?
  /// From the operands' arrays to the results'.
  public var body: @Sendable ([Tensor]) throws -> [Tensor]
  /// The same for NVIDIA GPUs; without it the processor runs `body` there too.
  public var cuda: CUDASource?
  public init(
    effect: String? = nil, cuda: CUDASource? = nil, _ body: @escaping @Sendable ([Tensor]) throws -> [Tensor]
  ) {
    (self.effect, self.cuda, self.body) = (effect, cuda, body)
  }
}

/// What a lowering may know: operands and results with every dimension known.
public struct LoweringContext: Sendable {
  public let operands: [Operand]
  public let results: [TensorType]
  /// The node's name; the stream of random numbers of a node without seeds hangs on it.
  public let name: String

  public init(operands: [Operand], results: [TensorType], name: String) {
    (self.operands, self.results, self.name) = (operands, results, name)
  }

  /// The operands as buffers.
  public var operandTypes: [BufferType] { operands.map { BufferType($0.elementType ?? .float32, shape(of: $0)) } }
  public func operandShape(_ i: Int) -> [Int] { shape(of: operands[i]) }
  public func resultShape(_ i: Int) -> [Int] { results[i].shape.known ?? [] }
  /// A builder whose inputs are the operands.
  public func builder() -> StageBuilder { StageBuilder(inputs: operandTypes) }

  private func shape(of operand: Operand) -> [Int] {
    guard let known = operand.shape.known else {
      preconditionFailure("\(name) is lowered with an operand of unknown shape \(operand.type)")
    }
    return known
  }
}

extension Lowering {
  /// What the operation is written in, if it can be written in others.
  public var expansion: (@Sendable (inout Expansion) throws(Diagnostic) -> [Output])? {
    switch self {
    case .composite(let body), .libraryOrComposite(_, let body): body
    default: nil
    }
  }
}

/// Where a composite operation is written in others.
public struct Expansion {
  public let graph: Graph
  public let operands: [Output]
  public init(graph: Graph, operands: [Output]) { (self.graph, self.operands) = (graph, operands) }
}

/// What a gradient rule works with. Operations added to `graph` through `Output`s become part of the user's graph.
public struct GradientContext {
  public let graph: Graph
  /// The node's operands and results.
  public let operands: [Output]
  public let results: [Output]
  /// The cotangent of each result; nil where the result does not reach what is differentiated.
  public let upstream: [Output?]
  /// Which operands' cotangents are asked for; the others may be `.none`.
  public let isNeeded: [Bool]
  /// The differentiation that the rule is part of, for rules that hand a part of their work back to it.
  public let differentiator: Differentiator

  public init(
    graph: Graph, operands: [Output], results: [Output], upstream: [Output?], isNeeded: [Bool],
    differentiator: Differentiator
  ) {
    self.graph = graph
    self.operands = operands
    self.results = results
    self.upstream = upstream
    self.isNeeded = isNeeded
    self.differentiator = differentiator
  }

  /// The cotangent of the first result, which every differentiable operation with one result has.
  public var dy: Output {
    guard let dy = upstream[0] else { preconditionFailure("a gradient rule was asked without an upstream gradient") }
    return dy
  }
}

/// Reverse mode, as gradient rules may call it.
public struct Differentiator: Sendable {
  /// The gradients of `outputs`, weighted by `upstream`, with respect to `inputs`: nil where they are not connected.
  /// Inputs count as independent, even where one is computed from another.
  ///
  /// An operation whose gradient is an expression that is easier written than differentiated builds it and asks for its
  /// gradients here.
  public var gradients:
    @Sendable (_ outputs: [Output], _ inputs: [Output], _ upstream: [Output]) throws(Diagnostic) -> [Output?]

  /// Adds to the library of `graph` the derivatives of the sub-graphs that one node runs on the same arguments.
  ///
  /// Needed arguments and results with upstream are floating-point; the gradient of a variable has the type of what it
  /// holds, and is zeros where it is not connected. Custom gradients are obeyed.
  public var derivatives:
    @Sendable (_ graph: Graph, _ functions: [FunctionName], _ hasUpstream: [Bool], _ isNeeded: [Bool])
      throws(Diagnostic) -> FunctionDerivatives

  public init(
    gradients: @escaping @Sendable ([Output], [Output], [Output]) throws(Diagnostic) -> [Output?],
    derivatives: @escaping @Sendable (Graph, [FunctionName], [Bool], [Bool]) throws(Diagnostic) -> FunctionDerivatives
  ) {
    self.gradients = gradients
    self.derivatives = derivatives
  }
}

/// The derivatives of sub-graphs that are run on the same arguments, one of them or the only one.
///
/// A gradient computes again what it needs of its sub-graph, but for what might come out differently: what was read from
/// variables, drawn at random, or computed with an effect. That the sub-graph has to save.
public struct FunctionDerivatives: Sendable {
  /// For each sub-graph one that takes its place. Its first results are those of the sub-graph; behind them is what is saved
  /// for any of the gradients, zeros where another sub-graph computes it.
  public var forward: [FunctionName]
  /// Whether `forward` has other results than the sub-graphs.
  public var isAugmented: Bool
  /// The numbers of the results of `forward` that the gradients are given.
  public var saved: [Int]
  /// For each sub-graph its gradient. It takes the arguments, the results that `saved` numbers and the upstream gradients
  /// of the results that have one, and gives the gradients of the needed arguments.
  public var gradients: [FunctionName]

  public init(forward: [FunctionName], isAugmented: Bool, saved: [Int], gradients: [FunctionName]) {
    (self.forward, self.isAugmented, self.saved, self.gradients) = (forward, isAugmented, saved, gradients)
  }
}

/// The cotangent of an operand.
public enum Cotangent: Sendable {
  case none
  case dense(Output)
  /// Rows of an array that is zero elsewhere: rows `values[i]` belong at `indices[i]`, and add up where indices repeat.
  case slices(values: Output, indices: Output, shape: Output)
}
