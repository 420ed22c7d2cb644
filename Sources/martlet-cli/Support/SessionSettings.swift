import ArgumentParser
import Martlet

/// How the sessions of a command compile and run.
struct SessionSettings: ParsableArguments {
  @Option(help: ArgumentHelp("How many threads share the work; all processors by default.", valueName: "N"))
  var threads: Int?
  @Flag(
    help:
      "Has library calls keep to the operations' own arithmetic: no Winograd convolution, nothing folded into filters, attention as it is written."
  )
  var exact = false
  @Flag(help: "Avoids library calls whose results depend on the number of threads; 'martlet doctor' lists them.")
  var deterministic = false
  @OptionGroup var memory: MemoryOptions
  @OptionGroup var rules: RuleOptions

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
  }

  func options(device: SessionOptions.Device = .cpu) -> SessionOptions {
    SessionOptions(
      device: device, threads: threads, isExact: exact, isDeterministic: deterministic, memoryBudget: memory.budget,
      disabledRules: Set(rules.disabled))
  }
}
