import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

extension ReferenceEvaluator.Value {
  /// The greatest finite element of a floating-point array; 0 of anything else.
  var magnitude: Double {
    guard case .tensor(let tensor) = self, tensor.elementType.isFloatingPoint else { return 0 }
    return tensor.doubles().reduce(0) { $1.isFinite ? max($0, $1.magnitude) : $0 }
  }
}

extension [ReferenceEvaluator.Value] {
  /// - Throws: a diagnostic if one is a variable.
  func tensors() throws(Diagnostic) -> [Tensor] {
    var tensors: [Tensor] = []
    for value in self {
      guard case .tensor(let tensor) = value else { throw Diagnostic("a variable stands where its value is needed") }
      tensors.append(tensor)
    }
    return tensors
  }
}

extension GraphStorage {
  /// How many elements are computed in interpreting a node; `Int.max` if its shapes are not known.
  func work(of node: NodeID) -> Int {
    guard traits(of: node).isDisjoint(with: [.argument, .placeholder, .constant]) else { return 0 }
    guard stateRole(of: node) == .none else { return 0 }
    do {
      return try lowering(of: node).work
    } catch {
      return .max
    }
  }
}

extension Lowering {
  /// How many elements are computed in interpreting stages.
  var work: Int {
    switch self {
    case .compute(let program), .view(let program), .reshape(let program), .part(_, let program),
      .join(_, .some(let program)), .library(_, let program):
      program.stages.reduce(0) { $0.addingSaturated($1.work) }
    default: 0
    }
  }
}

extension Stage {
  fileprivate var work: Int {
    let own = Double(extents.reduce(1, *))
    let all: Double =
      switch kind {
      case .map, .scan: own
      case .reduce(let reduction): reduction.extents.reduce(own) { $0 * Double($1) }
      case .scatter(let scatter): scatter.updateExtents.reduce(1) { $0 * Double($1) } + own
      }
    return all < 0x1p62 ? Int(all) : .max
  }
}

extension Int {
  func addingSaturated(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
