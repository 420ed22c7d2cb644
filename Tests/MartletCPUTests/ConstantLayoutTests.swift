import MartletGraph
import MartletTensors
import Synchronization
import Testing

@testable import MartletCPU

struct ConstantLayoutTests {
  private static func copy(_ tensor: Tensor) -> TensorStorage {
    let storage = TensorStorage(byteCount: tensor.byteCount)
    tensor.withUnsafeBytes { storage.bytes.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    return storage
  }

  @Test func aLayoutIsMadeOnceWhileItIsUsed() throws {
    let layouts = ConstantLayouts()
    let constant = Constant(Tensor([1, 2, 3, 4] as [Float]))
    var count = 0
    func storage(_ constant: Constant, _ width: Int) throws -> TensorStorage {
      try #require(
        layouts.storage(of: constant, as: .panels(width: width, columns: 2, steps: 2, isTransposed: false)) {
          count += 1
          return Self.copy($0)
        })
    }
    var first: TensorStorage? = try storage(constant, 16)
    #expect(try storage(constant, 16) === first)
    #expect(count == 1)
    let other = try storage(constant, 32)
    #expect(other !== first)
    #expect(try storage(Constant(Tensor([1, 2, 3, 4] as [Float])), 16) !== first)
    #expect(count == 3)
    first = nil
    _ = try storage(constant, 16)
    #expect(count == 4)
    // The dead are swept out now and then; what is used stays.
    for width in 100..<300 { _ = try storage(constant, width) }
    #expect(try storage(constant, 32) === other)
  }

  /// What is computed for a layout only is not kept.
  @Test func aComputedConstantIsComputedWhenItIsNeeded() throws {
    let calls = Mutex(0)
    let constant = Constant(TensorType(.float32, [3])) {
      calls.withLock { $0 += 1 }
      return Tensor([5, 6, 7] as [Float])
    }
    #expect((constant.elementCount, constant.byteCount) == (3, 12))
    #expect(calls.withLock { $0 } == 0)
    let layouts = ConstantLayouts()
    let layout = ConstantLayouts.Layout.winograd(panelWidth: 16, isTurned: false)
    let packed = try #require(layouts.storage(of: constant, as: layout) { Self.copy($0) })
    #expect(layouts.storage(of: constant, as: layout) { Self.copy($0) } === packed)
    #expect(calls.withLock { $0 } == 1)
    #expect(constant.passingTensor == Tensor([5, 6, 7] as [Float]))
    #expect(constant.tensor.storage === constant.tensor.storage)
    #expect(calls.withLock { $0 } == 3)
    #expect(constant == constant && constant != Constant(constant.tensor))
  }
}
