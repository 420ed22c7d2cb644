import MartletGraph
import MartletLoopIR
import MartletTensors

/// Writes the reductions of a unit as one, with the components of all their states side by side and equal ones once.
struct TeamReduction {
  private struct Component {
    var name: String
    var type: ElementType
  }
  private let team: TeamEmitter
  private let writer: EntryWriter
  private let unit: StageUnit
  /// The axes of the results.
  private let axes: [Scalar]
  /// The runs of reduced axes.
  private let runs: [Range<Int>]
  private let domain: [Int]
  /// Whether the parts of a team share the iterations, rather than each having a reduction of its own.
  private let isTogether: Bool
  private var components: [Component] = []

  init(
    _ team: TeamEmitter, _ writer: EntryWriter, _ unit: StageUnit, _ axes: [Scalar], _ runs: [Range<Int>],
    _ domain: [Int], isTogether: Bool
  ) {
    (self.team, self.writer, self.unit) = (team, writer, unit)
    (self.axes, self.runs, self.domain, self.isTogether) = (axes, runs, domain, isTogether)
  }

  private func reduction(_ number: Int) -> Reduction {
    guard case .reduce(let reduction) = team.emitter.stage(number).kind else { preconditionFailure("not a reduction") }
    return reduction
  }

  private func translate(_ roots: [ScalarID], axes: [Scalar], states: [Scalar], others: [Scalar] = []) -> [Scalar] {
    team.kernel.translate(roots, into: writer, axes: axes, states: states, others: others) {
      team.intermediate(writer, $0, $1, $2, [:])
    }
  }

  /// Writes all of it, and returns the finished value of each stage.
  mutating func run() -> [(stage: Int, value: Scalar)] {
    let arena = team.kernel.program.scalars
    var first: [[ScalarID]: Int] = [:]
    var places: [(stage: Int, first: Int, isNew: Bool)] = []
    for number in unit.stages {
      let reduction = reduction(number)
      let key = reduction.initial + reduction.step + reduction.merge
      if let earlier = first[key] {
        places.append((number, earlier, false))
        continue
      }
      first[key] = components.count
      places.append((number, components.count, true))
      let initial = translate(reduction.initial, axes: axes, states: [])
      for (id, start) in zip(reduction.initial, initial) {
        let component = Component(name: writer.name("t"), type: arena.type(of: id))
        writer.line("\(component.type.kernelType) \(component.name) = \(writer.text(start));")
        components.append(component)
      }
    }
    let fresh = places.filter(\.isNew)
    iterate(fresh)
    if isTogether { merge(fresh) }
    return places.map { number, first, _ in
      let reduction = reduction(number)
      let states = components[first..<first + reduction.initial.count].map { writer.register($0.type, $0.name) }
      return (number, translate([reduction.finish], axes: axes, states: states)[0])
    }
  }

  /// Assigns each component the value that `next` gives, all at once.
  private func assign(
    _ places: [(stage: Int, first: Int, isNew: Bool)], _ next: (Reduction, _ states: [Scalar], _ first: Int) -> [Scalar]
  ) {
    let states = components.map { writer.register($0.type, $0.name) }
    var values: [Scalar] = []
    for place in places {
      let reduction = reduction(place.stage)
      values += next(reduction, Array(states[place.first..<place.first + reduction.initial.count]), place.first)
    }
    for (component, text) in zip(components, writer.texts(values.map(\.id))) {
      writer.line("\(component.name) = \(text.texts[0]);")
    }
  }

  private func iterate(_ places: [(stage: Int, first: Int, isNew: Bool)]) {
    let sizes = runs.map { domain[$0].reduce(1, *) }
    let count = sizes.reduce(1, *)
    func all(_ flat: Scalar) -> [Scalar] {
      axes + team.emitter.spread(writer, writer.indices(flat, sizes), runs, domain)
    }
    func step(_ flat: Scalar) {
      assign(places) { reduction, states, _ in translate(reduction.step, axes: all(flat), states: states) }
    }
    if let layout = team.layout {
      let roots = { (flat: Scalar) in
        places.flatMap { place in
          let reduction = reduction(place.stage)
          let states = reduction.initial.map { writer.register(team.kernel.program.scalars.type(of: $0), "0") }
          return translate(reduction.step, axes: all(flat), states: states)
        }
      }
      team.eachElement(writer, layout, roots: roots, body: step)
    } else {
      team.loop(writer, count, from: isTogether ? "part" : "0", by: isTogether ? team.parts : 1, step)
    }
  }

  // MARK: Merging

  /// Merges the states of the team's parts in a fixed tree. Every thread has the result.
  private func merge(_ places: [(stage: Int, first: Int, isNew: Bool)]) {
    if team.parts == 1 { return }
    if team.width > 1 {
      mergeInMemory(places)
    } else {
      let isBlock = !team.isInWarp
      mergeInWarp(places, isBlock ? CUDADevice.warp : team.threads, mask: isBlock ? "0xffffffffu" : team.mask)
      if isBlock { mergeWarps(places) }
    }
  }

  /// Merges with what `other` gives for each component.
  private func merge(_ places: [(stage: Int, first: Int, isNew: Bool)], with other: (Component, Int) -> String) {
    let others = components.enumerated().map { number, component in
      let variable = writer.name("o")
      writer.line("const \(component.type.kernelType) \(variable) = \(other(component, number));")
      return writer.register(component.type, variable)
    }
    assign(places) { reduction, states, first in
      translate(
        reduction.merge, axes: axes, states: states, others: Array(others[first..<first + reduction.initial.count]))
    }
  }

  private func mergeInWarp(_ places: [(stage: Int, first: Int, isNew: Bool)], _ threads: Int, mask: String) {
    let distance = writer.name("d")
    writer.line("#pragma unroll")
    writer.block("for (int \(distance) = \(threads / 2); \(distance) > 0; \(distance) /= 2)") {
      merge(places) { component, _ in "m_exchange(\(component.name), \(distance), \(mask))" }
    }
    // The first thread's order of merging is the one that counts.
    for component in components { writer.line("\(component.name) = m_first(\(component.name), \(mask));") }
  }

  private func mergeWarps(_ places: [(stage: Int, first: Int, isNew: Bool)]) {
    let warps = team.threads / CUDADevice.warp
    let arrays = components.enumerated().map { team.exchange(writer, $1.type, component: $0) }
    writer.block("if (threadIdx.x % 32 == 0)") {
      for (component, array) in zip(components, arrays) {
        writer.line("\(array)[threadIdx.x / 32] = \(component.name);")
      }
    }
    writer.line("__syncthreads();")
    for (component, array) in zip(components, arrays) { writer.line("\(component.name) = \(array)[0];") }
    let warp = writer.name("w")
    writer.block("for (int \(warp) = 1; \(warp) < \(warps); \(warp)++)") {
      merge(places) { _, number in "\(arrays[number])[\(warp)]" }
    }
    writer.line("__syncthreads();")
  }

  private func mergeInMemory(_ places: [(stage: Int, first: Int, isNew: Bool)]) {
    let arrays = components.enumerated().map { team.exchange(writer, $1.type, component: $0) }
    func write() {
      for (component, array) in zip(components, arrays) { writer.line("\(array)[thread] = \(component.name);") }
    }
    write()
    writer.line("__syncthreads();")
    let distance = writer.name("d")
    writer.block("for (int \(distance) = \(team.parts / 2); \(distance) > 0; \(distance) /= 2)") {
      writer.block("if (part < \(distance))") {
        merge(places) { _, number in "\(arrays[number])[thread + \(distance) * \(team.width)]" }
        write()
      }
      writer.line("__syncthreads();")
    }
    for (component, array) in zip(components, arrays) { writer.line("\(component.name) = \(array)[x];") }
    writer.line("__syncthreads();")
  }
}
