import Martlet
import MartletGraph
import MartletTensors
import MartletTestSupport
import Synchronization
import Testing

@testable import MartletCPU

struct ConstantLayoutTests {
  /// Lays arrays out as they are, and counts.
  private final class Copies: LayoutSource {
    let layout: ConstantLayouts.Layout
    let givesUpArray: Bool
    private let calls = Mutex(0)
    var count: Int { calls.withLock { $0 } }

    init(width: Int = 16, givesUpArray: Bool = false) {
      layout = .panels(width: width, columns: 2, steps: 2, isTransposed: false)
      self.givesUpArray = givesUpArray
    }
    var byteCount: Int { 80_000 }
    func laidOut(_ array: Tensor, to storage: TensorStorage) -> TensorStorage? {
      calls.withLock { $0 += 1 }
      array.withUnsafeBytes { storage.bytes.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
      return storage
    }
    func array(_ type: TensorType, from layout: TensorStorage) -> Tensor {
      Tensor(elementType: type.elementType, shape: type.shape.known!, storage: layout)
    }
  }

  /// More than 64 KB.
  private static func large() -> Tensor { Tensor((0..<20_000).map { Float($0) }) }

  @Test func aLayoutIsMadeOnceWhileItIsUsed() throws {
    let layouts = ConstantLayouts()
    let constant = Constant(Tensor([1, 2, 3, 4] as [Float]))
    let source = Copies()
    var first = layouts.constant(constant, by: source)
    #expect(source.count == 1)
    #expect(layouts.constant(constant, by: source) === first)
    #expect(try #require(first?.storage()) === first?.storage())
    #expect(source.count == 1)
    let other = try #require(layouts.constant(constant, by: Copies(width: 32)))
    #expect(other !== first)
    #expect(layouts.constant(Constant(Tensor([1, 2, 3, 4] as [Float])), by: source) !== first)
    #expect(source.count == 2)
    first = nil
    _ = layouts.constant(constant, by: source)
    #expect(source.count == 3)
    // The dead are swept out now and then; what is used stays.
    for width in 100..<300 { _ = layouts.constant(constant, by: Copies(width: width)) }
    #expect(layouts.constant(constant, by: Copies(width: 32)) === other)
  }

  /// The first use of what takes memory leaves nothing behind.
  @Test func aLargeLayoutIsKeptFromTheSecondUseOn() throws {
    let layouts = ConstantLayouts()
    let array = Self.large()
    let constant = Constant(array)
    let source = Copies(givesUpArray: true)
    let laidOut = try #require(layouts.constant(constant, by: source))
    #expect(source.count == 0)
    weak var passing: TensorStorage?
    do {
      let storage = try #require(laidOut.storage())
      passing = storage
      #expect(Tensor(elementType: .float32, shape: [20_000], storage: storage) == array)
    }
    #expect(passing == nil && source.count == 1)
    let kept = try #require(laidOut.storage())
    #expect(laidOut.storage() === kept && source.count == 2)
    #expect(Tensor(elementType: .float32, shape: [20_000], storage: kept) == array)
    // Somebody else has the array, so that it stays.
    #expect(constant.tensor.storage === array.storage)
  }

  /// What two calls read is not laid out for each of them.
  @Test func aSharedLayoutIsKeptFromTheFirstUseOn() throws {
    let layouts = ConstantLayouts()
    let constant = Constant(Self.large())
    let source = Copies()
    let first = try #require(layouts.constant(constant, by: source))
    let second = try #require(layouts.constant(constant, by: source))
    #expect(first.storage() === second.storage())
    #expect(source.count == 1)
  }

  /// An array that nobody else holds goes at once where its layout has all of it, and is there again for who asks.
  @Test func anArrayIsGivenUpForItsLayout() throws {
    let layouts = ConstantLayouts()
    let constant = Constant(Self.large())
    weak let array = constant.tensor.storage
    let source = Copies(givesUpArray: true)
    weak let laidOut = layouts.constant(constant, by: source)
    #expect(array == nil && source.count == 1)
    // The constant has the layout, by which plans to come find it.
    #expect(laidOut != nil)
    #expect(layouts.constant(constant, by: source)?.storage() === laidOut?.storage())
    #expect(source.count == 1)
    #expect(constant == Constant(Self.large()) && constant != Constant(Tensor(zeros: .float32, shape: [20_000])))
    #expect(constant.tensor == Self.large())
    // Kept from then on; the layout goes with the last call.
    #expect(laidOut == nil && constant.tensor.storage === constant.tensor.storage)
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
    let packed = try #require(layouts.constant(constant, by: Copies()))
    #expect(packed.storage() === packed.storage())
    #expect(calls.withLock { $0 } == 1)
    #expect(constant.passingTensor == Tensor([5, 6, 7] as [Float]))
    #expect(constant.tensor.storage === constant.tensor.storage)
    #expect(calls.withLock { $0 } == 3)
    #expect(constant == constant && constant != Constant(constant.tensor))
  }

  /// Panels have all elements of a matrix, transposed or not, with a last panel that is not full.
  @Test(arguments: [(k: 7, n: 130), (k: 300, n: 96), (k: 33, n: 5)], [false, true])
  func panelsGiveTheMatrixBack(size: (k: Int, n: Int), isTransposed: Bool) throws {
    let product = MatrixProduct(
      elementType: .float32, m: 50, n: size.n, k: size.k, transposeA: false, transposeB: isTransposed)
    let shape = isTransposed ? [size.n, size.k] : [size.k, size.n]
    let matrix = Tensor(randomNumbers(size.k * size.n, seed: 5), shape: shape)
    let layout = PanelLayout(
      product: product, blocking: ProductBlocking(m: 50, n: size.n, k: size.k, lanes: 16, TargetMachine()))
    let panels = try #require(layout.laidOut(matrix, to: TensorStorage(byteCount: layout.byteCount)))
    #expect(layout.array(matrix.type, from: panels) == matrix)
  }

  /// Runs of a session before and after weights are laid out, on plans of several shapes, and the weights themselves.
  @Test(arguments: [false, true], [false, true])
  func resultsAndWeightsStayTheSame(isHeld: Bool, isReadByKernel: Bool) throws {
    let numbers = randomNumbers(300 * 200, seed: 1)
    let filterNumbers = randomNumbers(3 * 3 * 32 * 64, seed: 2)
    let graph = Graph()
    var held: Tensor? = Tensor(numbers, shape: [300, 200])
    let w = graph.constant(held!)
    if !isHeld { held = nil }
    let scales = graph.constant(Tensor(randomNumbers(64, seed: 3)))
    let filter = graph.constant(Tensor(filterNumbers, shape: [3, 3, 32, 64])) * scales
    let x = graph.placeholder(.float32, shape: [nil, 300], name: "x")
    let image = graph.placeholder(.float32, shape: [nil, 12, 12, 32], name: "image")
    let product = matMul(x, w)
    let convolution = conv2D(image, filter, padding: .same)
    var fetches = [product, convolution]
    if isReadByKernel { fetches.append(exp(w)) }
    let session = try Session(graph, options: .cpu)
    for batch in [4, 64, 4] {
      let (rows, images) = (randomNumbers(batch * 300, seed: 4), randomNumbers(batch * 12 * 12 * 32, seed: 5))
      let feeds = [x: Tensor(rows, shape: [batch, 300]), image: Tensor(images, shape: [batch, 12, 12, 32])]
      let first = try session.run(fetches, feeds: feeds)
      for _ in 0..<2 { #expect(try session.run(fetches, feeds: feeds) == first) }
      let found = first[0].scalars(as: Float.self)
      for (i, j) in [(0, 0), (batch - 1, 199), (1, 77)] {
        let expected = (0..<300).reduce(0.0) { $0 + Double(rows[i * 300 + $1]) * Double(numbers[$1 * 200 + j]) }
        #expect(abs(Double(found[i * 200 + j]) - expected) < 1e-4)
      }
    }
    #expect(try session.run([w])[0] == Tensor(numbers, shape: [300, 200]))
    if let held { #expect(held == Tensor(numbers, shape: [300, 200])) }
  }
}
