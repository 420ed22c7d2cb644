import MartletGraph
import MartletLoopIR
import MartletTensors

/// How a thread of a team takes elements of a row; see `CUDASchedule.Shape.rows`.
struct RowLayout {
  var lanes: Int
  var steps: Int
}

/// Rows of elements: loads and stores of 16 bytes and, where a row fits, everything in registers, so that memory is read once.
///
/// In every loop over elements the variable `e` is the index in the row. A thread's elements are `lanes` of them from
/// `e0` on, of which `l` counts; `k` counts the vectors in registers.
extension TeamEmitter {
  /// The elements of a row.
  var rowLength: Int {
    emitter.group.stages.map { number in
      kernel.accesses.domain(of: emitter.stage(number)).dropFirst(shared).reduce(1, *)
    }.max() ?? 1
  }

  /// Whether a stage's elements stay in the registers of the threads that computed them.
  func isHeld(_ number: Int) -> Bool {
    guard let layout, layout.steps > 0, ownCount(number) != 1, emitter.isReadLater(number) else { return false }
    return emitter.group.stages.allSatisfy { reader in
      let stage = emitter.stage(reader)
      return kernel.accesses.loads(stage.roots).allSatisfy { load in
        kernel.program.scalars[load].payload != Source.stage(number).payload
          || kernel.accesses.isIdentity(load, in: kernel.accesses.domain(of: stage))
      }
    }
  }

  // MARK: Loops

  /// Runs `body` for each element of this thread.
  ///
  /// - Parameters:
  ///   - roots: What the body computes of the element with an index; what it loads side by side is loaded as vectors first.
  ///   - before: Statements before the lanes of a vector.
  ///   - after: Statements behind them, where `e` is the vector's first index.
  func eachElement(
    _ writer: EntryWriter, _ layout: RowLayout, roots: (Scalar) -> [Scalar], before: () -> Void = {},
    body: (Scalar) -> Void, after: ((Scalar) -> Void)? = nil
  ) {
    let axis = rowAxis ?? writer.axis(rowLength, "e")
    rowAxis = axis
    let isHeld = layout.steps > 0
    let loads = vectorLoads(writer, roots(axis), axis)
    for load in loads where isHeld && load.isOfRow { hold(writer, layout, load, axis) }
    eachVector(writer, layout) {
      for load in loads where !(isHeld && load.isOfRow) {
        let variable = writer.name("c")
        writer.line("m_vector<\(layout.lanes), \(load.type.kernelType)> \(variable);")
        fetch(writer, layout, load, axis, into: variable)
        writer.remember(load.id, EntryWriter.Value(texts: ["\(variable).at[l]"], isNarrow: false))
      }
      before()
      writer.line("#pragma unroll")
      writer.block("for (int l = 0; l < \(layout.lanes); l++)") {
        writer.line("const int e = e0 + l;")
        body(axis)
      }
      if let after {
        writer.block("") {
          writer.line("const int e = e0;")
          after(axis)
        }
      }
    }
  }

  /// The vectors of this thread.
  private func eachVector(_ writer: EntryWriter, _ layout: RowLayout, _ body: () -> Void) {
    let stride = parts * layout.lanes
    guard layout.steps > 0 else {
      writer.line("#pragma unroll 4")
      writer.block(
        "for (int e0 = part * \(layout.lanes); e0 < \(rowLength); e0 += \(stride))", body)
      return
    }
    writer.line("#pragma unroll")
    writer.block("for (int k = 0; k < \(layout.steps); k++)") {
      writer.line("const int e0 = k * \(stride) + part * \(layout.lanes);")
      if layout.steps * stride == rowLength { body() } else { writer.block("if (e0 < \(rowLength))", body) }
    }
  }

  // MARK: Loads

  private struct VectorLoad {
    var id: ScalarID
    var buffer: Int
    var offset: Scalar
    var type: ElementType
    /// Whether it reads another place for each row.
    var isOfRow: Bool
    /// Whether a vector of it begins at a multiple of its size, if the array does.
    var isWhole: Bool
  }

  /// The loads that `roots` need, not known yet, whose elements lie side by side along a row.
  private func vectorLoads(_ writer: EntryWriter, _ roots: [Scalar], _ axis: Scalar) -> [VectorLoad] {
    let arena = writer.scalars.arena
    let lanes = Int64(layout?.lanes ?? 1)
    return arena.reachable(from: roots.map(\.id)).compactMap { id in
      let row = arena[id]
      guard row.operation == .load, row.condition == .none, writer.known(id) == nil,
        writer.buffers[Int(row.payload)].isGlobal
      else { return nil }
      let form = AffineForm(row.operand(0), in: arena)
      let rest = form.terms.filter { $0.atom != axis.id }
      guard form.coefficient(of: axis.id) == 1,
        rest.allSatisfy({ !arena.reachable(from: [$0.atom]).contains(axis.id) })
      else { return nil }
      let isWhole = form.constant % lanes == 0 && rest.allSatisfy { $0.coefficient % lanes == 0 }
      return VectorLoad(
        id: id, buffer: Int(row.payload), offset: Scalar(row.operand(0), .int64), type: row.type,
        isOfRow: !rest.isEmpty,
        isWhole: isWhole)
    }
  }

  /// Reads all of a thread's elements of a row into registers, where the loops that follow find them.
  private func hold(_ writer: EntryWriter, _ layout: RowLayout, _ load: VectorLoad, _ axis: Scalar) {
    let variable = writer.name("c")
    writer.line("m_vector<\(layout.lanes), \(load.type.kernelType)> \(variable)[\(layout.steps)];")
    eachVector(writer, layout) { fetch(writer, layout, load, axis, into: "\(variable)[k]") }
    writer.remember(load.id, EntryWriter.Value(texts: ["\(variable)[k].at[l]"], isNarrow: false))
  }

  private func fetch(
    _ writer: EntryWriter, _ layout: RowLayout, _ load: VectorLoad, _ axis: Scalar, into variable: String
  ) {
    let array = writer.buffers[load.buffer].name
    writer.block("") {
      writer.line("const int e = e0;")
      let offset = writer.text(load.offset)
      if layout.lanes > 1, load.isWhole {
        let flag = writer.alignment(load.buffer, lanes: layout.lanes)
        writer.line("\(variable) = m_load<\(layout.lanes)>(\(array) + \(offset), \(flag));")
      } else {
        for lane in 0..<layout.lanes { writer.line("\(variable).at[\(lane)] = \(array)[\(offset) + \(lane)];") }
      }
    }
  }

  // MARK: Maps

  /// Maps over the elements of a row.
  func rowMaps(
    _ writer: EntryWriter, _ layout: RowLayout, _ stages: [Int], _ axes: @escaping (Scalar) -> [Scalar],
    values: (Scalar) -> [(stage: Int, value: Scalar)]
  ) {
    var registers: [Int: String] = [:]
    for number in stages where isHeld(number) {
      let variable = writer.name("h")
      writer.line(
        "m_vector<\(layout.lanes), \(emitter.stage(number).result.elementType.kernelType)> \(variable)[\(layout.steps)];"
      )
      registers[number] = variable
    }
    let stored = stages.filter { !kernel.memory[$0].isEmpty }
    let results = stored.map { _ in writer.name("y") }
    func finish(_ axis: Scalar) {
      for (number, result) in zip(stored, results) {
        let offset = writer.offset(axes(axis), emitter.stage(number).extents)
        for buffer in kernel.memory[number] { store(writer, layout, buffer, offset, result) }
      }
    }
    eachElement(
      writer, layout, roots: { axis in values(axis).map(\.value) },
      before: {
        for (number, result) in zip(stored, results) {
          writer.line("m_vector<\(layout.lanes), \(emitter.stage(number).result.elementType.kernelType)> \(result);")
        }
      },
      body: { axis in
        let all = values(axis)
        let texts = writer.texts(all.map(\.value.id)).map { $0.texts[0] }
        for ((number, _), text) in zip(all, texts) {
          if let variable = registers[number] { writer.line("\(variable)[k].at[l] = \(text);") }
          if let buffer = scratch[number] {
            let offset = writer.text(scratchOffset(writer, number, Array(axes(axis).dropFirst(shared))))
            writer.line("\(writer.buffers[buffer].name)[\(offset)] = \(text);")
          }
          if let place = stored.firstIndex(of: number) { writer.line("\(results[place]).at[l] = \(text);") }
        }
      },
      after: stored.isEmpty ? nil : finish)
    for number in stages {
      guard let variable = registers[number] else { continue }
      held[number] = writer.register(emitter.stage(number).result.elementType, "\(variable)[k].at[l]")
    }
  }

  /// Stores a vector at an offset, which is that of its first element.
  private func store(
    _ writer: EntryWriter, _ layout: RowLayout, _ buffer: Int, _ offset: Scalar, _ vector: String
  ) {
    let array = writer.buffers[buffer].name
    let form = AffineForm(offset.id, in: writer.scalars.arena)
    let lanes = Int64(layout.lanes)
    let isWhole =
      form.constant % lanes == 0 && form.terms.allSatisfy { $0.atom == rowAxis?.id || $0.coefficient % lanes == 0 }
    let text = writer.text(offset)
    if lanes > 1, isWhole {
      let flag = writer.alignment(buffer, lanes: layout.lanes)
      writer.line("m_store<\(lanes)>(\(array) + \(text), \(vector), \(flag));")
    } else {
      for lane in 0..<lanes { writer.line("\(array)[\(text) + \(lane)] = \(vector).at[\(lane)];") }
    }
  }
}
