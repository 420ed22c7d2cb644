import MartletLoopIR

extension StageProgram {
  func inPlaceCandidates(output: Int) -> [Int] { [] }
}

func lower(_ program: StageProgram, name: String, vectorBytes: Int) -> Nest {
  Nest(name: name, scalars: program.scalars, buffers: [], registers: [], phases: [], scratchBytes: 0)
}
