import MartletGraph
import MartletLoopIR
import MartletPasses
import MartletRewriting
import Testing

/// Which operations become one kernel. In the expectations a kernel is its operations and how many arrays it reads and
/// writes, in the order in which the kernels run.
@Suite struct KernelGroupingTests {
  /// The kernels and library calls of `body` in a function of `arguments`.
  private func kernels(_ arguments: String, _ body: String) throws -> [String] {
    let program = try GoldenPass.parse("function @main(\(arguments)) {\n\(body)\n}\n")
    var context = PassContext(target: RecordedTarget())
    let main = try FormKernels().run(program, &context).main
    return main.body.topologicalOrder(results: main.results, targets: main.targets).compactMap { node in
      guard let kernel = main.body.operation(of: node) as? FusedKernel else {
        let isValue = main.body.operands(of: node).isEmpty
        return isValue ? nil : main.body.schema(of: node).name
      }
      return "\(kernel.label) \(kernel.program.inputs.count) -> \(kernel.program.outputs.count)"
    }
  }

  // A product needs the rectified values: they are one more output of the kernel that goes on with them.
  @Test func aProducerWithOtherUsersJoinsItsReader() throws {
    let found = try kernels(
      "%x: float32[64, 64]",
      """
        %r = Relu(%x) : float32[64, 64]
        %p = MatMul(%r, %x) {transpose_a: false, transpose_b: false} : float32[64, 64]
        %e = Exp(%r) : float32[64, 64]
        return %p, %e
      """)
    #expect(found == ["Relu+Exp 1 -> 2", "MatMul"])
  }

  // The sum needs the product, which needs the rectified values: one kernel would have to run before and after it.
  @Test func aKernelDoesNotSurroundWhatItNeeds() throws {
    let found = try kernels(
      "%x: float32[64, 64]",
      """
        %r = Tanh(%x) : float32[64, 64]
        %p = MatMul(%r, %x) {transpose_a: false, transpose_b: false} : float32[64, 64]
        %s = AddV2(%r, %p) : float32[64, 64]
        return %s
      """)
    #expect(found == ["Tanh 1 -> 1", "MatMul", "AddV2 2 -> 1"])
  }

  // The same over two kernels: %a before %p before %s, and %s would join %a through %b.
  @Test func aChainOfMergesDoesNotSurroundWhatItNeeds() throws {
    let found = try kernels(
      "%x: float32[64, 64]",
      """
        %a = Tanh(%x) : float32[64, 64]
        %b = Exp(%a) : float32[64, 64]
        %p = MatMul(%a, %b) {transpose_a: false, transpose_b: false} : float32[64, 64]
        %s = AddV2(%b, %p) : float32[64, 64]
        %t = Mul(%a, %s) : float32[64, 64]
        return %t
      """)
    #expect(found == ["Tanh+Exp 1 -> 2", "MatMul", "AddV2+Mul 3 -> 1"])
  }

  @Test func whatReadsTheSameArrayInTheSameWayIsOneKernel() throws {
    let maps = try kernels(
      "%x: float32[64, 64]",
      """
        %a = Tanh(%x) : float32[64, 64]
        %b = Exp(%x) : float32[64, 64]
        return %a, %b
      """)
    #expect(maps == ["Tanh+Exp 1 -> 2"])
    let sums = try kernels(
      "%x: float32[64, 512]",
      """
        %n = Const() {value: int32[1] <0>} : int32[1]
        %a = Sum(%x, %n) {keep_dims: false} : float32[512]
        %b = Max(%x, %n) {keep_dims: false} : float32[512]
        return %a, %b
      """)
    #expect(sums == ["Sum+Max 1 -> 2"])
  }

  // Sums of rows and of columns go through the array in different ways.
  @Test func whatReadsTheSameArrayInAnotherWayIsNot() throws {
    let found = try kernels(
      "%x: float32[512, 512]",
      """
        %m = Const() {value: int32[1] <0>} : int32[1]
        %n = Const() {value: int32[1] <1>} : int32[1]
        %a = Sum(%x, %m) {keep_dims: false} : float32[512]
        %b = Sum(%x, %n) {keep_dims: false} : float32[512]
        return %a, %b
      """)
    #expect(found.count == 2)
  }

  // A column's sum needs all rows: it would read what the first loop has written, as another kernel does.
  @Test func aSumOfColumnsDoesNotJoinWhatItReads() throws {
    let found = try kernels(
      "%x: float32[640, 512]",
      """
        %n = Const() {value: int32[1] <0>} : int32[1]
        %r = Tanh(%x) : float32[640, 512]
        %p = MatMul(%r, %r) {transpose_a: true, transpose_b: false} : float32[512, 512]
        %a = Sum(%r, %n) {keep_dims: false} : float32[512]
        return %p, %a
      """)
    #expect(found.count == 3)
  }

  // A normalization's moments are wanted too; what follows it still runs in its last loop.
  @Test func aReaderOfOneOfSeveralResultsJoins() throws {
    let found = try kernels(
      "%x: float32[8, 14, 14, 32], %g: float32[32], %z: float32[0]",
      """
        %y = FusedBatchNormV3(%x, %g, %g, %z, %z) {epsilon: 0.001, exponential_avg_factor: 1.0, data_format: "NHWC", is_training: true} : float32[8, 14, 14, 32], float32[32], float32[32], float32[32], float32[32], float32[0]
        %r = Relu(%y) : float32[8, 14, 14, 32]
        return %r, %y:1
      """)
    #expect(found == ["FusedBatchNormV3+Relu 3 -> 2"] || found == ["FusedBatchNormV3+Relu 4 -> 2"])
  }

  // Twice two cheap operations cost less than an array written and read twice.
  @Test func cheapMapsAreRepeated() throws {
    let found = try kernels(
      "%x: float32[512, 512]",
      """
        %m = Const() {value: int32[1] <0>} : int32[1]
        %n = Const() {value: int32[1] <1>} : int32[1]
        %s = Square(%x) : float32[512, 512]
        %a = Sum(%s, %m) {keep_dims: false} : float32[512]
        %b = Sum(%s, %n) {keep_dims: false} : float32[512]
        return %a, %b
      """)
    #expect(found == ["Sum 1 -> 1", "Sum 1 -> 1"])
  }

  // Costly ones are not, and none that is wanted itself.
  @Test(arguments: ["Tanh(%x)", "Square(%x)"]) func otherMapsAreNotRepeated(map: String) throws {
    let found = try kernels(
      "%x: float32[512, 512]",
      """
        %m = Const() {value: int32[1] <0>} : int32[1]
        %n = Const() {value: int32[1] <1>} : int32[1]
        %s = \(map) : float32[512, 512]
        %a = Sum(%s, %m) {keep_dims: false} : float32[512]
        %b = Sum(%s, %n) {keep_dims: false} : float32[512]
        return %a, %b\(map.hasPrefix("Square") ? ", %s" : "")
      """)
    #expect(found.count == 2)
  }
}
