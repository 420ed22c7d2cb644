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
    weak var storage: TensorStorage?
    var isAlive: Bool { constant != nil && storage != nil }
  }

  private struct State {
    var entries: [Key: Entry] = [:]
    /// At this number the dead ones are swept out.
    var sweep = 64
  }

  private let state = Mutex(State())

  /// A constant in a layout.
  ///
  /// - Parameter make: lays the array out; nil if that fails.
  func storage(
    of constant: Constant, as layout: Layout, make: (Tensor) -> TensorStorage?
  ) -> TensorStorage? {
    let key = Key(constant: ObjectIdentifier(constant), layout: layout)
    let known = state.withLock { state in
      state.entries[key].flatMap { $0.constant === constant ? $0.storage : nil }
    }
    if let known { return known }
    guard let made = make(constant.passingTensor.aligned) else { return nil }
    state.withLock { state in
      state.entries[key] = Entry(constant: constant, storage: made)
      guard state.entries.count >= state.sweep else { return }
      state.entries = state.entries.filter { $0.value.isAlive }
      state.sweep = max(64, 2 * state.entries.count)
    }
    return made
  }
}

extension ConstantLayouts {
  /// The right matrix of a product in panels.
  func panels(of matrix: Constant, for product: MatrixProduct, _ blocking: ProductBlocking) -> TensorStorage? {
    let layout = Layout.panels(
      width: blocking.width, columns: blocking.n, steps: blocking.k, isTransposed: product.transposeB)
    return storage(of: matrix, as: layout) { matrix in
      matrix.withUnsafeBytes { _ in blocking.packed(matrix.storage.bytes, product) }
    }
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
