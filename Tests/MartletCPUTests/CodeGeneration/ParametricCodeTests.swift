import MartletExecution
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletCPU

/// Code that is told the numbers of its nest, against code that has them.
struct ParametricCodeTests {
  private static let target = LazyTarget(nil)

  /// The code of a nest with some of its numbers as parameters.
  private static func kernel(_ nest: Nest, _ isParameter: (Int) -> Bool) throws -> CompiledKernel {
    let skeleton = try #require(nest.skeleton)
    let (form, values) = nest.parametric(skeleton.numbers.indices.map(isParameter))
    let keyed = NestCompiler.KeyedNest(key: form.key, form: form, mayBeQuick: false)
    var kernel = try NestCompiler.generate([keyed], .full, target.value(), nil)[0]
    kernel.adopt(nest)
    kernel.parameters = values
    return kernel
  }

  @Test func runsHaveNoMoreParametersThanTheirOwn() {
    #expect(RunState.parameterCount <= ParametricNest.firstParameter)
  }

  /// Whatever is a parameter, the bits are those of exact code, which agree with the interpreter.
  @Test(arguments: 0..<20) func randomPrograms(_ block: Int) throws {
    for seed in 5000 + block * 5..<5000 + (block + 1) * 5 {
      let (program, inputs) = RandomStageProgram.program(seed: UInt64(seed))
      let outputs = program.outputs.map { program.type(of: $0) }
      let nest = try CompiledProgramTests.lowered(program, seed: seed)
      let exact = try CompiledProgramTests.run(nest, inputs, outputs: outputs)
      let choices: [(String, (Int) -> Bool)] = [
        ("all", { _ in true }), ("every second", { $0 % 2 == seed % 2 }), ("none", { _ in false }),
      ]
      for (name, isParameter) in choices {
        let kernel = try Self.kernel(nest, isParameter)
        let found = CompiledProgramTests.run(kernel, nest, inputs, outputs: outputs, pieces: 1 + seed % 3)
        #expect(found.map { $0.map(\.bitPattern) } == exact.map { $0.map(\.bitPattern) }, "\(name) of seed \(seed)")
        try CompiledProgramTests.expectAgreement(found, program, inputs, "\(name) of seed \(seed)")
      }
    }
  }

  /// Rows that are normalized, whose length is another each time: one code for all of them.
  private static func normalization(rows: Int, columns: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [rows, columns])])
    let sum = b.reduce("sum", .float32, [rows], over: [columns], .sum) { b, axes, reduced in
      b.load(.input(0), .float32, at: axes + reduced)
    }
    let result = b.map("centered", .float32, [rows, columns]) { b, axes in
      let mean = b.multiply(b.load(sum, .float32, at: [axes[0]]), b.constant(1 / Double(columns), .float32))
      return b.subtract(b.load(.input(0), .float32, at: axes), mean)
    }
    return b.finish([result])
  }

  @Test func furtherLengthsShareCode() throws {
    let compiler = NestCompiler()
    var generated: [Int] = []
    for columns in [64, 70, 71, 97, 127, 128, 66, 113] {
      let program = Self.normalization(rows: 9, columns: columns)
      let nest = lower(program, .default(for: program))
      var counts = NestCompiler.Statistics()
      let kernel = try compiler.compile([nest], .shared, hurried: 1, inAnyCase: true, store: nil, counts: &counts)[0]
      generated.append(counts.compiled)
      let values = (0..<9 * columns).map { Float(($0 * 37) % 101) / 101 - 0.5 }
      let input = Tensor(values, shape: [9, columns])
      let outputs = [BufferType(.float32, [9, columns])]
      let found = CompiledProgramTests.run(kernel, nest, [input], outputs: outputs)
      let exact = try CompiledProgramTests.run(nest, [input], outputs: outputs)
      #expect(found.map { $0.map(\.bitPattern) } == exact.map { $0.map(\.bitPattern) }, "\(columns) columns")
      try CompiledProgramTests.expectAgreement(found, program, [input], "\(columns) columns")
    }
    // One with the first length in it, one that is told the length.
    #expect(generated.reduce(0, +) <= 3, "\(generated)")
    #expect(generated.suffix(4) == [0, 0, 0, 0], "\(generated)")
  }
}
