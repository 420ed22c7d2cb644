import Foundation
import Martlet
import MartletTestSupport
import Testing

@testable import MartletFormats

/// Whatever a GraphDef says, reading it gives a graph or an error: inference of every operation is reached with operands and
/// attributes that nobody would write.
///
/// `MARTLET_FUZZ_SEED` chooses other mutations, `MARTLET_FUZZ_ROUNDS` multiplies their number.
@Suite struct GraphFuzzTests {
  /// One application of each operation with its gradient, and TensorFlow's models.
  private static func corpus() throws -> [GraphDefRecord] {
    var records = try ModelTests.models.map { try GraphDefRecord(contentsOf: "\(ModelTests.folder)/\($0.name).pb") }
    for type in Catalog.standard.types {
      for sample in ContractSamples.standard.samples(of: type).prefix(1) {
        let graph = Graph()
        let arguments = sample.point.map { graph.placeholder(.float64, shape: Shape($0.shape)) }
        let outputs = try sample.build(arguments).filter { $0.elementType.isFloatingPoint }
        guard !outputs.isEmpty, graph.diagnostics.isEmpty else { continue }
        if case .rule = type.init().differentiation {
          _ = try gradients(of: outputs, withRespectTo: arguments, unconnected: .zeros)
        }
        records.append(try graph.graphDef())
      }
    }
    return records
  }

  @Test func answersToNonsense() throws {
    let environment = ProcessInfo.processInfo.environment
    let seed = environment["MARTLET_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = environment["MARTLET_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 1
    let corpus = try Self.corpus()
    var mutator = RecordMutator(seed: seed, corpus: corpus)
    var (readable, slowest) = (0, Duration.zero)
    for index in 0..<20_000 * rounds {
      let record = mutator.next()
      let start = Duration.threadProcessorTime
      do {
        let graph = try Graph(record)
        readable += 1
        let written = try graph.graphDef()
        guard index % 8 == 0 else { continue }
        // What was read twice stays as it is. Attributes that mean nothing, and functions that only they name, are gone then.
        let again = try Graph(written).graphDef()
        let third = try Graph(again).graphDef()
        let difference = zip(again.nodes, third.nodes).first { $0 != $1 }
        #expect(again == third, "seed \(seed), mutation \(index): \(String(describing: difference))")
      } catch is Diagnostic {
      } catch {
        Issue.record("seed \(seed), mutation \(index): \(error)")
      }
      slowest = max(slowest, Duration.threadProcessorTime - start)
    }
    #expect(slowest < .seconds(5), "seed \(seed)")
    #expect(readable > 2000)
  }
}

extension GraphFuzzTests {
  /// The text form is read as carefully.
  @Test func answersToDamagedText() throws {
    let texts = try Self.corpus().map { Array(GraphPrinter().print(try Graph($0)).utf8) }.filter { $0.count < 8000 }
    var mutator = Mutator(corpus: texts, seed: 1)
    var readable = 0
    for _ in 0..<5000 {
      let text = String(decoding: mutator.next(), as: UTF8.self)
      let graph = try? Graph(parsing: text) { name, list throws(Diagnostic) in
        Catalog.standard.type(named: name) == nil
          ? nil : try Catalog.standard.operation(named: name, attributes: list)
      }
      if graph != nil { readable += 1 }
    }
    #expect(readable > 100)
  }
}

/// Changes graphs where their meaning lies: operations, inputs, attributes.
private struct RecordMutator {
  private var numbers: SplitMix
  private let corpus: [GraphDefRecord]
  private let operations = Catalog.standard.types.map { $0.schema.name } + ["Unheard", "NextIteration", ""]

  private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }

  init(seed: UInt64, corpus: [GraphDefRecord]) {
    numbers = SplitMix(state: seed)
    self.corpus = corpus
  }

  private mutating func random(_ bound: Int) -> Int { Int.random(in: 0..<max(bound, 1), using: &numbers) }
  private mutating func pick<T>(_ items: [T]) -> T { items[random(items.count)] }

  mutating func next() -> GraphDefRecord {
    var record = corpus[random(corpus.count)]
    for _ in 0...random(3) {
      if !record.library.isEmpty, random(3) == 0 {
        let i = random(record.library.count)
        mutate(&record.library[i])
      } else {
        mutate(&record.nodes)
      }
    }
    return record
  }

  private mutating func mutate(_ function: inout FunctionRecord) {
    switch random(6) {
    case 0 where !function.signature.inputs.isEmpty:
      let i = random(function.signature.inputs.count)
      function.signature.inputs[i].type = pick([1, 2, 3, 9, 10, 20, 21, 7, 0, 99])
    case 1 where !function.returns.isEmpty:
      let i = random(function.returns.count)
      function.returns[i].value = pick(["x", "", "a:b:c", "y:z:-1", function.nodes.first?.name ?? "q"])
    case 2 where !function.signature.outputs.isEmpty: function.signature.outputs.removeLast()
    case 3 where !function.signature.inputs.isEmpty:
      function.signature.inputs.append(function.signature.inputs[0])
    default: mutate(&function.nodes)
    }
  }

  private mutating func mutate(_ nodes: inout [NodeRecord]) {
    guard !nodes.isEmpty else { return }
    let i = random(nodes.count)
    let other = nodes[random(nodes.count)]
    switch random(12) {
    case 0: nodes[i].op = pick(operations)
    case 1:
      nodes[i].op = other.op
      nodes[i].attributes = other.attributes
    case 2 where !nodes[i].inputs.isEmpty: nodes[i].inputs[random(nodes[i].inputs.count)] = other.name
    case 3: nodes[i].inputs.append(other.name)
    case 4 where !nodes[i].inputs.isEmpty: nodes[i].inputs.remove(at: random(nodes[i].inputs.count))
    case 5 where !nodes[i].inputs.isEmpty: nodes[i].inputs[random(nodes[i].inputs.count)] += ":\(random(4))"
    case 6: nodes.remove(at: i)
    case 7: nodes[i].inputs.append("^" + other.name)
    case 8 where !nodes[i].attributes.isEmpty: nodes[i].attributes.remove(at: random(nodes[i].attributes.count))
    default:
      guard !nodes[i].attributes.isEmpty else { return }
      let j = random(nodes[i].attributes.count)
      let value = changed(nodes[i].attributes[j].value)
      nodes[i].attributes[j].value = value
    }
  }

  private mutating func integer() -> Int64 {
    pick([0, 1, 2, 3, 4, 7, -1, -2, -5, 64, 255, 65535, 65536, 1 << 31, -(1 << 31), 1 << 40, .max, .min])
  }

  private mutating func extents() -> ShapeRecord {
    let rank = pick([0, 1, 1, 2, 2, 3, 4, 9])
    var shape = ShapeRecord(dimensions: [])
    for _ in 0..<rank { shape.dimensions.append(.init(size: integer())) }
    shape.hasUnknownRank = random(8) == 0
    return shape
  }

  private mutating func changed(_ value: AttributeRecord) -> AttributeRecord {
    switch value {
    case .int: return .int(integer())
    case .bool(let x): return .bool(!x)
    case .float: return .float(pick([0, -1, .nan, .infinity, 1e-30]))
    case .type: return .type(pick([0, 1, 2, 3, 4, 7, 9, 10, 14, 19, 20, 21, 101, -1]))
    case .bytes: return .string(pick(["", "SAME", "VALID", "EXPLICIT", "NCHW", "NHWC", "x"]))
    case .shape: return .shape(extents())
    case .tensor(var tensor):
      switch random(4) {
      case 0: tensor.shape = extents()
      case 1:
        tensor.type = 3
        let count = random(6)
        tensor.shape = ShapeRecord([count])
        tensor.values = .ints((0..<count).map { _ in Int32(truncatingIfNeeded: integer()) })
      case 2:
        tensor.type = 9
        let count = random(6)
        tensor.shape = ShapeRecord([count])
        tensor.values = .int64s((0..<count).map { _ in integer() })
      default: tensor.type = pick([1, 2, 3, 7, 9, 10])
      }
      return .tensor(tensor)
    case .list(var list):
      switch random(5) {
      case 0: list.ints = (0..<random(6)).map { _ in integer() }
      case 1 where !list.ints.isEmpty: list.ints[random(list.ints.count)] = integer()
      case 2 where !list.types.isEmpty: list.types[random(list.types.count)] = pick([1, 3, 7, 20, 21])
      case 3: list.shapes.append(extents())
      default: list = ListRecord()
      }
      return .list(list)
    case .function: return .function(FunctionReference(name: pick(["", "f", "missing"])))
    case .placeholder, .unknown: return .int(integer())
    }
  }
}
