import CMartletRuntime
import MartletGraph
import MartletTensors
import Synchronization

/// Constants in the layouts that library calls read, shared by all plans of a back end that want the same.
final class ConstantLayouts: Sendable {
  enum Layout: Hashable, Sendable {
    /// Panels of a product's right matrix.
    case panels(width: Int, columns: Int, steps: Int, isTransposed: Bool)
    /// A filter in Winograd's basis.
    case winograd(panelWidth: Int, isTurned: Bool)
    /// One of oneDNN's own, from the dimensions and strides that the constant has.
    case primitive(DNNLayout, from: [Int64])
  }

  private struct Key: Hashable {
    var constant: ObjectIdentifier
    var layout: Layout
  }

  /// Calls keep what they read, plans their constants.
  private struct Entry {
    weak var constant: Constant?
    weak var laidOut: LaidOutConstant?
    var isAlive: Bool { constant != nil && laidOut != nil }
  }

  private struct State {
    var entries: [Key: Entry] = [:]
    /// At this number the dead ones are swept out.
    var sweep = 64

    mutating func sweepOutDead() {
      guard entries.count >= sweep else { return }
      entries = entries.filter { $0.value.isAlive }
      sweep = max(64, 2 * entries.count)
    }
  }

  private let state = Mutex(State())

  /// A constant in a layout; nil if it cannot be made.
  func constant(_ constant: Constant, by source: some LayoutSource) -> LaidOutConstant? {
    let key = Key(constant: ObjectIdentifier(constant), layout: source.layout)
    let (laidOut, isKnown) = state.withLock { state in
      if let entry = state.entries[key], entry.constant === constant, let known = entry.laidOut { return (known, true) }
      let new = LaidOutConstant(constant, by: source)
      state.entries[key] = Entry(constant: constant, laidOut: new)
      state.sweepOutDead()
      return (new, false)
    }
    guard isKnown else { return laidOut.layOutIfFree() ? laidOut : nil }
    // It may be in use by a run, for which this must not have the team wait.
    laidOut.share()
    return laidOut
  }
}

/// A layout of oneDNN's.
final class DNNLayout: Hashable, @unchecked Sendable {
  private let pointer: OpaquePointer
  private let byteCount: Int

  /// - Parameter pointer: belongs to the object from now on.
  init(_ pointer: OpaquePointer, byteCount: Int) { (self.pointer, self.byteCount) = (pointer, byteCount) }

  deinit { martlet_dnn_layout_release(pointer) }

  static func == (a: DNNLayout, b: DNNLayout) -> Bool {
    a === b || (a.byteCount == b.byteCount && martlet_dnn_layouts_agree(a.pointer, b.pointer) != 0)
  }
  func hash(into hasher: inout Hasher) { hasher.combine(byteCount) }
}
