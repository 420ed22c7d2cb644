import MartletTensors

extension StageProgram {
  /// Checks the invariants of a program:
  ///
  /// - S1: The scalar rows are well formed (R1 to R5), and none is a register.
  /// - S2: Extents are not negative, and every array can exist in memory.
  /// - S3: A load names an input or an earlier stage, has an index for each of its axes, and its element type.
  /// - S4: A scalar uses only the axes in its scope.
  /// - S5: States occur only in `step`, `merge`, `finish` and `combine`, with one type a component throughout; the other
  ///   state only in `merge`. `initial`, `step` and `merge` have as many components; `initial` uses no axes of a reduction.
  /// - S6: A stage's values have its element type.
  /// - S7: A scan's axis is one of the result's; a scatter has an int64 position for each of the result's axes.
  /// - S8: Outputs name inputs and stages.
  ///
  /// - Throws: The first violation.
  public func verify() throws(KernelViolation) {
    do { try ScalarVerifier.verify(scalars) } catch { throw KernelViolation("S1", error.description) }
    for (i, input) in inputs.enumerated() { try verify(input, "input \(i)") }
    for (number, stage) in stages.enumerated() {
      let name = "stage \(number) \"\(stage.name)\""
      try verify(stage.result, name)
      let rank = stage.extents.count
      switch stage.kind {
      case .map(let value):
        try verify([value], [stage.result.elementType], axes: rank, before: number, name)
      case .reduce(let reduction):
        let types = reduction.initial.map { scalars.type(of: $0) }
        guard reduction.step.count == types.count, reduction.merge.count == types.count, !types.isEmpty else {
          throw KernelViolation("S5", "\(name): initial, step and merge have different numbers of components")
        }
        try verify(BufferType(.bool, stage.extents + reduction.extents), name)
        try verify(reduction.initial, types, axes: 0, before: number, name)
        try verify(reduction.step, types, axes: rank + reduction.extents.count, before: number, states: types, name)
        try verify(reduction.merge, types, axes: 0, before: number, states: types, others: types, name)
        try verify([reduction.finish], [stage.result.elementType], axes: rank, before: number, states: types, name)
      case .scan(let scan):
        guard stage.extents.indices.contains(scan.axis) else {
          throw KernelViolation("S7", "\(name): axis \(scan.axis) of a result of rank \(rank)")
        }
        let type = stage.result.elementType
        try verify([scan.initial], [type], axes: 0, before: number, name)
        try verify([scan.step], [type], axes: rank, before: number, states: [type], name)
      case .scatter(let scatter):
        guard scatter.position.count == rank else {
          throw KernelViolation("S7", "\(name): \(scatter.position.count) positions for a result of rank \(rank)")
        }
        let type = stage.result.elementType
        let axes = scatter.updateExtents.count
        try verify(BufferType(.bool, scatter.updateExtents), name)
        try verify([scatter.initial], [type], axes: rank, before: number, name)
        try verify(scatter.position, Array(repeating: .int64, count: rank), axes: axes, before: number, name)
        try verify([scatter.combine], [type], axes: axes, before: number, states: [type], name)
      }
    }
    for output in outputs {
      switch output {
      case .input(let i) where inputs.indices.contains(i): continue
      case .stage(let i) where stages.indices.contains(i): continue
      default: throw KernelViolation("S8", "output \(output) does not exist")
      }
    }
  }

  private func verify(_ type: BufferType, _ name: String) throws(KernelViolation) {
    guard type.elementType.isComputable,
      Tensor.checkedByteCount(elementType: type.elementType, shape: type.extents) != nil
    else { throw KernelViolation("S2", "\(name): \(type) is not an array in memory") }
  }

  private func verify(
    _ roots: [ScalarID], _ types: [ElementType], axes: Int, before number: Int, states: [ElementType] = [],
    others: [ElementType] = [], _ name: String
  ) throws(KernelViolation) {
    for (root, type) in zip(roots, types) where scalars.type(of: root) != type {
      throw KernelViolation("S6", "\(name): a value of type \(scalars.type(of: root)) where \(type) is stored")
    }
    for id in scalars.reachable(from: roots) {
      let row = scalars[id]
      let payload = Int(row.payload)
      switch row.operation {
      case .register: throw KernelViolation("S1", "\(name): register \(payload)")
      case .axis where payload >= axes: throw KernelViolation("S4", "\(name): axis \(payload) of \(axes)")
      case .state where payload >= states.count || states[payload] != row.type:
        throw KernelViolation("S5", "\(name): state \(payload) of type \(row.type)")
      case .other where payload >= others.count || others[payload] != row.type:
        throw KernelViolation("S5", "\(name): other state \(payload) of type \(row.type)")
      case .load:
        let source = Source(payload: row.payload)
        let exists: Bool =
          switch source {
          case .input(let i): inputs.indices.contains(i)
          case .stage(let i): i >= 0 && i < number
          }
        guard exists else { throw KernelViolation("S3", "\(name) loads \(source), which is not before it") }
        let loaded = type(of: source)
        guard loaded.elementType == row.type, loaded.extents.count == Int(row.operandCount) else {
          throw KernelViolation(
            "S3", "\(name) loads \(source), which is \(loaded), as \(row.type) at \(row.operandCount) indices")
        }
      default: break
      }
    }
  }
}
