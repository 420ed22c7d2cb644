import MartletGraph
import MartletLoopIR
import MartletTensors

/// Writes the text of one entry point: statements and scopes here, scalars beside it.
///
/// Scalars are rows of an arena of its own, in which loads have one flat offset and their payload numbers `buffers`, and
/// registers are variables.
final class EntryWriter {
  struct Buffer {
    var name: String
    var elementType: ElementType
    var elementCount: Int
    /// Whether it is memory of the device, which can be moved by 16 bytes where the address allows it.
    var isGlobal: Bool
  }

  /// What a row is in the text: one expression, or one for each lane.
  struct Value {
    var texts: [String]
    /// Whether an int64 is kept in an `int`.
    var isNarrow: Bool
    func text(_ lane: Int) -> String { texts.count == 1 ? texts[0] : texts[lane] }
  }

  var scalars = ScalarBuilder()
  private(set) var buffers: [Buffer]
  private(set) var registers: [(name: String, type: ElementType)] = []
  /// The variables of axes by number.
  private var axes: [Value] = []
  /// Declarations that come before all statements.
  private var prologue: [String] = []
  private var lines: [String] = []
  private var indentation = 1
  private var scopes: [[ScalarID: Value]] = [[:]]
  private var nextName = 0
  private var isAlignmentKnown: Set<String> = []

  init(arguments: [Buffer]) { buffers = arguments }

  var body: [String] { prologue + lines }

  // MARK: Names

  func name(_ prefix: String) -> String {
    nextName += 1
    return "\(prefix)\(nextName)"
  }

  /// The type of a loop's variable that counts to an extent; steps beyond it must not overflow either.
  static func indexType(_ extent: Int) -> String { extent <= 1 << 30 ? "int" : "m_long" }

  /// A new axis of an extent; its variable must be declared with the type that `indexType` gives.
  func axis(_ extent: Int, _ variable: String) -> Scalar {
    axis(extent, Value(texts: [variable], isNarrow: extent <= 1 << 30))
  }

  /// An axis whose indices are the lanes.
  func laneAxis(_ lanes: Int) -> Scalar {
    axis(lanes, Value(texts: (0..<lanes).map { "\($0)" }, isNarrow: true))
  }

  private func axis(_ extent: Int, _ value: Value) -> Scalar {
    axes.append(value)
    scalars.axisExtents.append(extent)
    return scalars.axis(axes.count - 1)
  }

  func axisValue(_ number: Int) -> Value { axes[number] }

  /// A register: a variable that the caller declares and that rows may read. One that changes, such as a reduction's state,
  /// is read only in blocks of their own for each value that it has.
  func register(_ type: ElementType, _ variable: String) -> Scalar {
    registers.append((variable, type))
    return scalars.row(.register, type, payload: Int64(registers.count - 1))
  }

  func shared(_ type: ElementType, _ count: Int) -> Int {
    let name = name("s")
    prologue.append("  __shared__ \(type.kernelType) \(name)[\(count)];")
    buffers.append(Buffer(name: name, elementType: type, elementCount: count, isGlobal: false))
    return buffers.count - 1
  }

  /// Statements in braces that are all that some blocks do: what they declare is declared in them.
  func section(_ head: String, _ body: () -> Void) {
    let (outer, known) = (prologue, isAlignmentKnown)
    (prologue, isAlignmentKnown) = ([], [])
    var start = 0
    block(head) {
      start = lines.count
      body()
    }
    lines.insert(contentsOf: prologue.map { "  " + $0 }, at: start)
    (prologue, isAlignmentKnown) = (outer, known)
  }

  func declare(_ line: String) { prologue.append("  " + line) }

  /// A variable that says whether a buffer may be moved by vectors of `lanes`.
  func alignment(_ buffer: Int, lanes: Int) -> String {
    let variable = "w\(buffer)_\(lanes)"
    if isAlignmentKnown.insert(variable).inserted {
      let bytes = min(16, lanes * buffers[buffer].elementType.byteWidth)
      declare("const bool \(variable) = (size_t)\(buffers[buffer].name) % \(bytes) == 0;")
    }
    return variable
  }

  // MARK: Statements

  func line(_ text: String) { lines.append(String(repeating: "  ", count: indentation) + text) }

  /// Statements in braces after `head`; what is computed in them is not known behind them.
  func block(_ head: String, _ body: () -> Void) {
    line(head.isEmpty ? "{" : head + " {")
    indentation += 1
    scopes.append([:])
    body()
    scopes.removeLast()
    indentation -= 1
    line("}")
  }

  /// The iterations of a block or a thread, of which those of all blocks together are `count`.
  ///
  /// Where there are as many blocks as iterations need, nothing is a loop. Where not, it is not unrolled: that would keep the
  /// constants of polynomials in registers all along, and more of the memory's time is not hidden by it, for stores stand between
  /// the loads of iterations.
  func strided(
    _ variable: String, from first: String, below count: String, by step: String, isOnce: Bool, _ body: () -> Void
  ) {
    let name = variable.split(separator: " ").last!
    if isOnce {
      block("") {
        line("const \(variable) = \(first);")
        block("if (\(name) < \(count))", body)
      }
    } else {
      line("#pragma unroll 1")
      block("for (\(variable) = \(first); \(name) < \(count); \(name) += \(step))", body)
    }
  }

  // MARK: Values

  func known(_ id: ScalarID) -> Value? {
    for scope in scopes.reversed() { if let value = scope[id] { return value } }
    return nil
  }

  func remember(_ id: ScalarID, _ value: Value) { scopes[scopes.count - 1][id] = value }

  // MARK: Indices

  /// The index along each of several axes for number `flat` of their combinations, outermost first.
  func indices(_ flat: Scalar, _ extents: [Int]) -> [Scalar] {
    let strides = rowMajorStrides(extents)
    return extents.indices.map { i in
      let outer = scalars.floorDivide(flat, scalars.integer(max(1, strides[i])))
      return i == 0 ? outer : scalars.floorModulo(outer, scalars.integer(max(1, extents[i])))
    }
  }

  func offset(_ indices: [Scalar], _ extents: [Int]) -> Scalar {
    scalars.sum(zip(indices, rowMajorStrides(extents)).map { (scalar: $0, factor: $1) })
  }

  func load(_ buffer: Int, at offset: Scalar, if condition: Scalar? = nil) -> Scalar {
    let type = buffers[buffer].elementType
    guard buffers[buffer].elementCount > 0 else {
      // Nothing can be read. The offset stays, for the check that it may hold.
      return guarded(scalars.cast(offset, to: type), condition)
    }
    return scalars.intern(
      ScalarRow(.load, type, [offset.id], payload: Int64(buffer), condition: condition?.id ?? .none))
  }

  /// A value where a condition is true, else zero: what a load of it gives.
  func guarded(_ value: Scalar, _ condition: Scalar?) -> Scalar {
    guard let condition else { return value }
    return scalars.select(condition, value, scalars.constant(bits: 0, value.type))
  }
}
