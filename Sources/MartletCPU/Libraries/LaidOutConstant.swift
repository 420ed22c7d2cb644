import CMartletRuntime
import MartletGraph
import MartletTensors
import Synchronization

/// A constant in the layout that calls read, laid out when that pays.
///
/// A plan's first run does it in memory that the next call's layout takes over, so that it waits for no memory that nobody has
/// written yet, and a plan that runs once keeps nothing. From the second use on the layout is kept.
final class LaidOutConstant: Sendable {
  private struct State {
    /// Nil once the layout is kept.
    var constant: Constant?
    var kept: TensorStorage?
    var isUsedAgain = false
  }

  private let source: any LayoutSource
  private let state: Mutex<State>

  init(_ constant: Constant, by source: some LayoutSource) {
    self.source = source
    state = Mutex(State(constant: constant))
  }

  /// Smaller arrays are no burden.
  private static let fewestBytes = 64 << 10

  /// Has the layout kept from the first use on, since several calls or plans read it.
  func share() { state.withLock { $0.isUsedAgain = true } }

  /// Lays the constant out and keeps it if that takes next to no memory: because it is small, or the array is given up for it.
  ///
  /// - Returns: false if laying it out failed.
  func layOutIfFree() -> Bool {
    withTeam { state in
      guard let constant = state.constant else { return true }
      if constant.byteCount < Self.fewestBytes || source.givesUpArray && constant.canGiveUpArray {
        return keep(constant, &state) != nil
      }
      // An array that is computed for its layout, and the layout.
      PagePool.shared.reserve(byteCount: max(constant.byteCount, source.byteCount), count: 2)
      return true
    }
  }

  /// The layout, for a run, which has to hold it while it reads it; nil if it cannot be made.
  func storage() -> TensorStorage? {
    if let kept = state.withLock({ $0.constant == nil ? $0.kept : nil }) { return kept }
    return withTeam { state in
      guard let constant = state.constant else { return state.kept }
      if state.isUsedAgain { return keep(constant, &state) }
      state.isUsedAgain = true
      return source.laidOut(constant.passingTensor.aligned, to: TensorStorage(briefly: source.byteCount))
    }
  }

  /// Laying out takes the team. A run has it before it asks for a layout, so that who holds the state must not wait for it.
  private func withTeam<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
    guard martlet_team_is_inside() == 0 else { return state.withLock { body(&$0) } }
    var result: Result?
    withoutActuallyEscaping({ result = self.state.withLock { body(&$0) } }) { run in
      var task = TeamTask(run: run)
      withUnsafeMutablePointer(to: &task) { task in
        martlet_team_run({ $0?.assumingMemoryBound(to: TeamTask.self).pointee.run() }, task)
      }
    }
    return result!
  }

  private struct TeamTask {
    var run: () -> Void
  }

  /// A large array that nobody else holds, and that the layout has the elements of, is given up, so that the next one is laid out
  /// in its memory. Who asks for it has it computed from the layout.
  private func keep(_ constant: Constant, _ state: inout State) -> TensorStorage? {
    // Before an array that is computed takes the largest block for a while.
    let storage = TensorStorage(byteCount: source.byteCount)
    // No variable holds the array, which is to be nobody else's.
    let made = source.laidOut(constant.passingTensor.aligned, to: storage)
    guard let made else { return nil }
    (state.kept, state.constant) = (made, nil)
    if source.givesUpArray, constant.byteCount >= Self.fewestBytes {
      let type = constant.type
      // The constant keeps this object, by which other plans find the layout.
      constant.giveUpArray { [self] in source.array(type, from: made) }
    }
    return made
  }
}

/// A way to lay out constants.
protocol LayoutSource: Sendable {
  /// What tells the layout from others.
  var layout: ConstantLayouts.Layout { get }
  /// The bytes of an array in the layout.
  var byteCount: Int { get }
  /// Writes the array in the layout to some memory; nil if that fails.
  func laidOut(_ array: Tensor, to storage: TensorStorage) -> TensorStorage?
  /// Whether `array(_:from:)` has the array again, bit for bit.
  var givesUpArray: Bool { get }
  func array(_ type: TensorType, from layout: TensorStorage) -> Tensor
}

extension LayoutSource {
  var givesUpArray: Bool { false }
  func array(_ type: TensorType, from layout: TensorStorage) -> Tensor {
    preconditionFailure("an array is asked for that its layout does not have")
  }
}
