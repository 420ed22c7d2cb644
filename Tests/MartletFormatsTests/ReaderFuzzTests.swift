import Foundation
import MartletDiagnostics
import MartletTensors
import Testing

@testable import MartletFormats

/// Every reader answers to damaged files with a value or a diagnostic, in time and memory that are in proportion to the file.
///
/// `MARTLET_FUZZ_SEED` chooses other mutations, `MARTLET_FUZZ_ROUNDS` multiplies their number.
@Suite struct ReaderFuzzTests {
  enum Reader: String, CaseIterable, Sendable {
    case binary, text, npy, idx, gzip

    /// How many mutations are tried; together more than 100,000.
    var count: Int {
      switch self {
      case .binary: 40_000
      case .text: 25_000
      case .npy: 20_000
      case .idx: 12_000
      case .gzip: 8_000
      }
    }

    /// The valid files that are damaged.
    func corpus() throws -> [[UInt8]] {
      switch self {
      case .binary: try Self.graphs().map { try $0.encoded() }
      case .text: try Self.graphs().map { Array(try $0.text().utf8) }
      case .npy: try ["f4", "b1", "fortran3", "f8_big"].map { Self.withoutPadding(try Fixture.bytes("NPY/\($0).npy")) }
      case .idx: IDXTests.arrays.map(\.0)
      case .gzip: [IDXTests.compressed]
      }
    }

    /// Small graphs, so that a mutation has a good chance to hit something that matters.
    private static func graphs() throws -> [GraphDefRecord] {
      let fixture = try GraphDefRecord(contentsOf: Fixture.path("GraphDef/attributes.pb"))
      var graphs = fixture.nodes.dropFirst().map { GraphDefRecord(nodes: [$0], versions: fixture.versions) }
      for start in stride(from: 0, to: fixture.nodes[0].attributes.count, by: 4) {
        var node = fixture.nodes[0]
        node.attributes = Array(node.attributes[start...].prefix(4))
        graphs.append(GraphDefRecord(nodes: [node, NodeRecord(name: "b", op: "NoOp", inputs: ["a"])]))
      }
      var signature = SignatureRecord(
        name: "f", inputs: [.init(name: "x", type: 1)], outputs: [.init(name: "y", type: 1)])
      signature.attributes = [.init(name: "T", type: "type")]
      let function = FunctionRecord(
        signature: signature, nodes: [NodeRecord(name: "n", op: "Relu", inputs: ["x"])], returns: [.init("y", "n:0")])
      var graph = GraphDefRecord(library: [function])
      graph.otherFields = fixture.otherFields
      return graphs + [graph]
    }

    /// An npy file with a header as short as it can be.
    private static func withoutPadding(_ bytes: [UInt8]) -> [UInt8] {
      let end = bytes.firstIndex(of: UInt8(ascii: "}"))! + 1
      return Array(bytes[..<8]) + [UInt8(end - 10), 0] + bytes[10..<end] + bytes[128...]
    }

    /// Reads, and checks what came of it.
    func read(_ bytes: [UInt8], checkingRoundTrip: Bool) throws {
      switch self {
      case .binary, .text:
        let arena = MessageArena()
        defer {
          // Text grows by less than five times when it is turned into bytes.
          #expect(arena.peakByteCount <= (self == .text ? 5 : 1) * 64 * bytes.count + 65536)
        }
        let record = try bytes.withUnsafeBytes {
          try GraphDefRecord($0, format: self == .text ? .text : .binary, name: "f", arena: arena)
        }
        if checkingRoundTrip {
          let written = try record.encoded()
          let again = try GraphDefRecord(bytes: written, format: .binary).encoded()
          #expect(again == written)
          _ = try? record.text()
        }
        for node in record.nodes {
          guard case .tensor(let tensor) = node.attributes["value"] else { continue }
          _ = try? tensor.tensor(limit: 1 << 16)
        }
      case .npy:
        #expect(try NPY.read(bytes: bytes).byteCount <= bytes.count)
      case .idx:
        #expect(try IDX.read(bytes: bytes).byteCount <= 4 * bytes.count)
      case .gzip:
        #expect(try IDX.read(bytes: bytes).byteCount <= 4 * 1032 * bytes.count)
      }
    }
  }

  @Test(arguments: Reader.allCases) func answersToDamage(_ reader: Reader) throws {
    let environment = ProcessInfo.processInfo.environment
    let seed = environment["MARTLET_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = environment["MARTLET_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 1
    var mutator = Mutator(corpus: try reader.corpus(), seed: seed)
    var slowest = Duration.zero
    var readable = 0
    for index in 0..<reader.count * rounds {
      let bytes = mutator.next()
      let start = Duration.threadProcessorTime
      do {
        try reader.read(bytes, checkingRoundTrip: index % 16 == 0)
        readable += 1
      } catch is Diagnostic {
      } catch {
        Issue.record("seed \(seed), mutation \(index) of \(reader): \(error)")
      }
      slowest = max(slowest, Duration.threadProcessorTime - start)
    }
    #expect(slowest < .seconds(2), "seed \(seed)")
    // A mutator whose files were all refused at the first byte would test nothing.
    #expect(readable > reader.count / 200, "seed \(seed)")
  }
}

/// Damages valid files: the same way for the same seed.
struct Mutator {
  private let corpus: [[UInt8]]
  private var state: UInt64

  init(corpus: [[UInt8]], seed: UInt64) {
    self.corpus = corpus
    state = seed
  }

  /// A number below a bound, by SplitMix64.
  private mutating func random(_ bound: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var bits = state
    bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
    return Int((bits ^ bits >> 31) % UInt64(max(bound, 1)))
  }

  /// The next damaged file.
  mutating func next() -> [UInt8] {
    var bytes = corpus[random(corpus.count)]
    for _ in 0...random(3) { damage(&bytes) }
    return bytes
  }

  private mutating func damage(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return bytes.append(UInt8(random(256))) }
    let place = random(bytes.count)
    switch random(8) {
    case 0: bytes.removeLast(bytes.count - place)
    case 1, 2: bytes[place] ^= 1 << UInt8(random(8))
    case 3: bytes[place] = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x7d][random(8)]
    case 4: bytes.replaceSubrange(place..<min(place + 1 + random(8), bytes.count), with: [])
    case 5:
      let other = corpus[random(corpus.count)]
      let start = random(other.count)
      bytes.insert(contentsOf: other[start..<min(start + 1 + random(24), other.count)], at: place)
    case 6:
      // Lengths that promise too much, in base 128 and in fixed width.
      let lengths: [[UInt8]] = [
        [0xff, 0xff, 0xff, 0xff, 0x07], [0xff, 0xff, 0xff, 0xff, 0x0f], [0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        Array(repeating: 0xff, count: 9) + [0x01], [0xff, 0xff, 0xff, 0x7f], Array("4294967296".utf8),
      ]
      let length = lengths[random(lengths.count)]
      bytes.replaceSubrange(place..<min(place + random(length.count + 1), bytes.count), with: length)
    default:
      let piece = bytes[place..<min(place + 1 + random(12), bytes.count)]
      for _ in 0...random(6) { bytes.insert(contentsOf: piece, at: place) }
    }
  }
}
