import MartletLoopIR

/// The nest of a kernel under the schedule that fixed estimates choose for it.
func lower(_ program: StageProgram, name: String, vectorBytes: Int) -> Nest {
  let machine = MachineShape(vectorBytes: vectorBytes)
  return MartletLoopIR.lower(program, .default(for: program, machine: machine), for: machine, name: name)
}
