import ArgumentParser
import Martlet

/// How the sessions of a command compile and run.
struct SessionSettings: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "cpu, cuda:N or interpreter; by default the one that MARTLET_DEVICE names, or cpu.", valueName: "DEVICE"))
  var device: DeviceArgument?
  @Flag(help: "Runs operations whose wanted device is not there on the one that is.")
  var softPlacement = false
  @Flag(help: "On a GPU: lets products and convolutions round their operands to TensorFloat-32.")
  var tf32 = false
  @Flag(name: .customLong("bf16-products"), help: "On a GPU: lets products round their operands to bfloat16.")
  var bfloat16Products = false
  @Flag(help: "On a GPU: lets the gradient of maximum pooling go to any of equal maxima.")
  var anyMaximum = false
  @Flag(
    help: "On a GPU: sums floats at scattered positions in any order, so that last bits differ from run to run.")
  var unorderedSums = false
  @Option(help: ArgumentHelp("How many threads share the work; all processors by default.", valueName: "N"))
  var threads: Int?
  @Flag(
    help:
      "Has library calls keep to the operations' own arithmetic: no Winograd convolution, nothing folded into filters, attention as it is written."
  )
  var exact = false
  @Flag(help: "Avoids library calls whose results depend on the number of threads; 'martlet doctor' lists them.")
  var deterministic = false
  @Flag(
    help:
      "Schedules kernels by trying out some ways on this machine. The choices are kept with the machine code; results have the same bits."
  )
  var tune = false
  @OptionGroup var memory: MemoryOptions
  @OptionGroup var rules: RuleOptions

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
  }

  var options: SessionOptions {
    SessionOptions(
      device: device?.device, threads: threads, isExact: exact, isDeterministic: deterministic,
      memoryBudget: memory.budget, tunesSchedules: tune, isPlacementSoft: softPlacement,
      cuda: CUDAOptions(
        allowsTensorFloat32: tf32, allowsBFloat16Products: bfloat16Products, allowsAnyMaximum: anyMaximum,
        allowsUnorderedSums: unorderedSums),
      disabledRules: Set(rules.disabled))
  }
}
