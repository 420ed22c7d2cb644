import Synchronization
import Testing

@testable import MartletTensors

@Suite struct TensorTests {
  @Test func elementsComeBack() {
    let matrix = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
    #expect(matrix.elementType == .float32)
    #expect(matrix.shape == [2, 3])
    #expect(matrix.rank == 2)
    #expect(matrix.elementCount == 6)
    #expect(matrix.byteCount == 24)
    #expect(matrix.scalars(as: Float.self) == [1, 2, 3, 4, 5, 6])
    #expect(matrix.type == TensorType(.float32, [2, 3]))
    #expect(Tensor(Int64(-7)).item(as: Int64.self) == -7)
    #expect(Tensor(true).shape == [])
    #expect(Tensor([1.5, 2.5] as [Double]).shape == [2])
    #expect(Tensor(zeros: .int32, shape: [3]).scalars(as: Int32.self) == [0, 0, 0])
    #expect(Tensor(repeating: UInt8(9), shape: [2, 2]).scalars(as: UInt8.self) == [9, 9, 9, 9])
    #expect(Tensor([] as [Float]).scalars(as: Float.self) == [])
  }

  @Test func numbersConvert() {
    #expect(Tensor([-1, 2] as [Int32]).doubles() == [-1, 2])
    #expect(Tensor([1.5] as [Float]).doubles() == [1.5])
    #expect(Tensor([true, false]).doubles() == [1, 0])
    #expect(Tensor([255] as [UInt8]).integers() == [255])
    #expect(Tensor([true, false]).integers() == [1, 0])
    #expect(Tensor([Int64.min]).integers() == [Int.min])
    #expect(Tensor([1.5] as [Double]).integers() == nil)
  }

  @Test func copiesAreIndependent() {
    let original = Tensor([1, 2, 3] as [Float])
    var copy = original
    #expect(copy.storage === original.storage)
    copy.withUnsafeMutableBufferPointer(of: Float.self) { $0[1] = 9 }
    #expect(original.scalars(as: Float.self) == [1, 2, 3])
    #expect(copy.scalars(as: Float.self) == [1, 9, 3])
    #expect(copy.storage !== original.storage)
  }

  @Test func aSoleOwnerWritesInPlace() {
    var tensor = Tensor([1, 2, 3] as [Float])
    let address = tensor.storage.bytes
    tensor.withUnsafeMutableBufferPointer(of: Float.self) { $0[0] = 7 }
    #expect(tensor.storage.bytes == address)
    #expect(tensor.scalars(as: Float.self) == [7, 2, 3])
  }

  @Test func reshapingSharesMemoryUntilAWrite() {
    let vector = Tensor([1, 2, 3, 4] as [Int32])
    var matrix = vector.reshaped([2, 2])
    #expect(matrix.storage === vector.storage)
    matrix.withUnsafeMutableBufferPointer(of: Int32.self) { $0[3] = 0 }
    #expect(vector.scalars(as: Int32.self) == [1, 2, 3, 4])
    #expect(matrix.shape == [2, 2])
  }

  @Test func adoptedMemoryIsReadNotWrittenAndReleasedOnce() {
    let memory = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2)
    _ = memory.initialize(from: [1, 2])
    defer { memory.deallocate() }
    let counter = Counter()
    do {
      let base = UnsafeMutableRawPointer(memory.baseAddress!)
      let storage = TensorStorage(adopting: base, byteCount: 8) { _ in counter.increment() }
      var tensor = Tensor(elementType: .float32, shape: [2], storage: storage)
      #expect(tensor.scalars(as: Float.self) == [1, 2])
      tensor.withUnsafeMutableBufferPointer(of: Float.self) { $0[0] = 5 }
      #expect(tensor.scalars(as: Float.self) == [5, 2])
      #expect(Array(memory) == [1, 2])
    }
    #expect(counter.value == 1)
  }

  @Test func equalityIsOfBits() {
    let nan = Tensor([Float.nan])
    #expect(nan == Tensor([Float.nan]))
    #expect(Tensor([0.0] as [Float]) != Tensor([-0.0] as [Float]))
    #expect(Tensor([1, 2] as [Int32]) == Tensor([1, 2] as [Int32]))
    #expect(Tensor([1, 2] as [Int32]) != Tensor([1, 2] as [Int32], shape: [2, 1]))
    #expect(Tensor([0] as [Int32]) != Tensor([0] as [Float]))
  }

  @Test func contentHashTellsContentsApart() {
    var hashes: Set<UInt64> = []
    for length in 0..<70 {
      let zeros = Tensor(zeros: .uint8, shape: [length])
      hashes.insert(zeros.contentHash)
      #expect(zeros.contentHash == Tensor(zeros: .uint8, shape: [length]).contentHash)
      for position in 0..<length {
        var changed = zeros
        changed.withUnsafeMutableBytes { $0[position] = 1 }
        hashes.insert(changed.contentHash)
      }
    }
    #expect(hashes.count == 70 + 70 * 69 / 2)
    hashes = [
      Tensor(zeros: .int32, shape: [2]).contentHash, Tensor(zeros: .float32, shape: [2]).contentHash,
      Tensor(zeros: .int32, shape: [2, 1]).contentHash, Tensor(zeros: .int32, shape: [1, 2]).contentHash,
    ]
    #expect(hashes.count == 4)
  }

  /// Large arrays are hashed in part: what differs all over, at the beginning or at the end is told apart.
  @Test func contentHashOfALargeArrayTakesInItsEnds() {
    let count = 1 << 20
    let zeros = Tensor(zeros: .float32, shape: [count])
    var hashes: Set<UInt64> = [zeros.contentHash, Tensor(repeating: 1 as Float, shape: [count]).contentHash]
    for place in [0, count - 1] {
      var changed = zeros
      changed.withUnsafeMutableBufferPointer(of: Float.self) { $0[place] = 1 }
      #expect(changed != zeros)
      hashes.insert(changed.contentHash)
    }
    #expect(hashes.count == 4)
    #expect(Tensor(zeros: .float32, shape: [count]).contentHash == zeros.contentHash)
    #expect(Tensor(zeros: .float32, shape: [count - 1]).contentHash != zeros.contentHash)
  }

  @Test func memoryIsAligned() {
    for count in [0, 1, 100, 100_000] {
      #expect(UInt(bitPattern: Tensor(zeros: .uint8, shape: [count]).storage.bytes) % 64 == 0)
    }
  }

  static let byteCounts: [(ElementType, [Int], Int?)] = [
    (.float32, [2, 3], 24), (.float64, [], 8), (.float32, [0, .max, .max], nil), (.float32, [0, 5], 0),
    (.float32, [.max], nil), (.uint8, [.max], .max), (.uint8, [.max, 2], nil), (.float32, [-1], nil),
    (.float32, [1 << 31, 1 << 31], nil), (.float32, [0, -1], nil), (.string, [2], nil), (.complex128, [3], 48),
  ]

  @Test(arguments: byteCounts) func hostileShapesHaveNoByteCount(type: ElementType, shape: [Int], expected: Int?) {
    #expect(Tensor.checkedByteCount(elementType: type, shape: shape) == expected)
  }

  @Test func textIsShort() {
    #expect("\(Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]))" == "float32[2, 2] [[1.0, 2.0], [3.0, 4.0]]")
    #expect("\(Tensor(Int32(5)))" == "int32[] 5")
    #expect("\(Tensor([true, false]))" == "bool[2] [true, false]")
    #expect("\(Tensor((0..<100).map(Int64.init)))" == "int64[100] [0, 1, 2, ..., 97, 98, 99]")
    #expect("\(Tensor(zeros: .float32, shape: [2, 0]))" == "float32[2, 0] [[], []]")
    #expect("\(Tensor(zeros: .int8, shape: [2]))" == "int8[2]")
    #expect("\(Tensor(zeros: .uint8, shape: Array(repeating: 2, count: 20)))".utf8.count < 20_000)
  }
}

/// A count that several threads may increase.
final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .sequentiallyConsistent) }
  func increment() { count.wrappingAdd(1, ordering: .sequentiallyConsistent) }
}
