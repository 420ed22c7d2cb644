import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors
import Testing

/// The messages for users' mistakes, word by word.
@Suite struct ArrayMistakeTests {
  struct Mistake: Sendable, CustomStringConvertible {
    var text: String
    var build: @Sendable (Graph) -> Void
    init(_ text: String, _ build: @escaping @Sendable (Graph) -> Void) { (self.text, self.build) = (text, build) }
    var description: String { text }
  }

  static let mistakes = [
    Mistake(
      """
      error: Reshape 'Reshape': the shapes have different numbers of elements; operand 'shape' requires as many \
      elements as float32[2, 3]; found [4, 2]
      """
    ) { g in _ = reshape(g.placeholder(.float32, shape: [2, 3]), [4, 2]) },
    Mistake(
      "error: Reshape 'Reshape': operand 'shape' requires extents of 0 or more, and -1 at most once; found [-1, -1]"
    ) { g in _ = reshape(g.placeholder(.float32, shape: [2, 3]), [-1, -1]) },
    Mistake("error: Transpose 'Transpose': operand 'perm' requires each axis once; found [0, 0]") { g in
      _ = transpose(g.placeholder(.float32, shape: [2, 3]), permutation: [0, 0])
    },
    Mistake("error: Transpose 'Transpose': operand 'perm' requires one axis for each of 2 dimensions; found int32[1]") {
      g in _ = transpose(g.placeholder(.float32, shape: [2, 3]), permutation: [0])
    },
    Mistake("error: ExpandDims 'ExpandDims': operand 'dim' requires an axis from -3 to 2; found 3") { g in
      _ = expandDims(g.placeholder(.float32, shape: [2, 3]), axis: 3)
    },
    Mistake(
      "error: Squeeze 'Squeeze': operand 'input' requires extent 1 along the axis 0 that is squeezed; found float32[2]"
    ) { g in _ = squeeze(g.placeholder(.float32, shape: [2]), axes: [0]) },
    Mistake(
      """
      error: ConcatV2 'ConcatV2': the arrays differ beside axis 0; operand 'values[1]' requires a shape that goes with \
      [?, 3]; found float32[2, 4]
      """
    ) { g in
      _ = concat([g.placeholder(.float32, shape: [2, 3]), g.placeholder(.float32, shape: [2, 4])], axis: 0)
    },
    Mistake(
      """
      error: Pack 'Pack': the arrays have different shapes; operand 'values[1]' requires the shape [2]; found float32[3]
      """
    ) { g in _ = stack([g.placeholder(.float32, shape: [2]), g.placeholder(.float32, shape: [3])]) },
    Mistake(
      """
      error: Split 'Split': operand 'value' requires an extent along axis 1 that 2 divides; found float32[2, 3]
        hint: cut into parts of different extents with split(_:sizes:axis:)
      """
    ) { g in _ = split(g.placeholder(.float32, shape: [2, 3]), into: 2, axis: 1) },
    Mistake("error: Split 'Split': attribute 'num_split' must lie between 1 and 65535; found 0") { g in
      _ = split(g.placeholder(.float32, shape: [2]), into: 0, axis: 0)
    },
    Mistake("error: Unpack 'Unpack': attribute 'num' must lie between 0 and 65535; found -1") { g in
      _ = unstack(g.placeholder(.float32))
    },
    Mistake(
      "error: SplitV 'SplitV': operand 'size_splits' requires extents that add up to 3, with -1 at most once; found [1, 1]"
    ) { g in _ = split(g.placeholder(.float32, shape: [3]), sizes: [1, 1], axis: 0) },
    Mistake(
      """
      error: StridedSlice 'StridedSlice': operand 'begin' requires positions within the array, whose extent along axis 0 \
      is 3; found 3
      """
    ) { g in _ = g.placeholder(.float32, shape: [3])[3] },
    Mistake("error: StridedSlice 'StridedSlice': operand 'begin' requires at most 1 ranges and positions; found 2") {
      g in _ = g.placeholder(.float32, shape: [3])[0, 0]
    },
    Mistake("error: StridedSlice 'StridedSlice': operand 'strides' requires numbers other than zero; found [0]") { g in
      _ = g.placeholder(.float32, shape: [3])[.stride(by: 0)]
    },
    Mistake("error: StridedSlice 'StridedSlice': a slice has more than one ellipsis") { g in
      _ = g.placeholder(.float32, shape: [3])[.ellipsis, .ellipsis]
    },
    Mistake(
      """
      error: Slice 'Slice': operand 'size' requires extents of 0 or more that stay within the array, whose extent along \
      axis 0 is 3; found 3 from 1
      """
    ) { g in _ = slice(g.placeholder(.float32, shape: [3]), begin: [1], size: [3]) },
    Mistake("error: Pad 'Pad': operand 'paddings' requires numbers of 0 or more; found [0, -1]") { g in
      _ = pad(g.placeholder(.float32, shape: [3]), [(0, -1)])
    },
    Mistake("error: Tile 'Tile': operand 'multiples' requires one number for each of 1 dimensions; found 2") { g in
      _ = tile(g.placeholder(.float32, shape: [3]), multiples: [1, 2])
    },
    Mistake("error: Range 'Range': operand 'delta' requires a number other than zero; found 0.0") { g in
      _ = g.range(0, 3, delta: 0)
    },
    Mistake(
      "error: Range 'Range': the range runs away from its limit; operand 'delta' requires start ≤ limit; found start 3.0, "
        + "limit 0.0"
    ) { g in _ = g.range(3, 0) },
    Mistake("error: Fill 'Fill': operand 'dims' requires extents of 0 or more; found [-2]") { g in
      _ = fill([-2], with: g.constant(0.0))
    },
    Mistake(
      """
      error: BroadcastTo 'BroadcastTo': operand 'input' requires a shape that can be stretched to [3]; found float32[2]
        hint: a dimension can be stretched if it is 1
      """
    ) { g in _ = broadcast(g.placeholder(.float32, shape: [2]), to: [3]) },
    Mistake("error: ReverseV2 'ReverseV2': operand 'axis' requires each axis at most once; found [0, -1]") { g in
      _ = reverse(g.placeholder(.float32, shape: [2]), axes: [0, -1])
    },
    Mistake(
      """
      error: GatherV2 'GatherV2': operand 'indices' requires the batch dimensions [2] of 'params'; found int32[3, 1]
      """
    ) { g in
      let indices = g.placeholder(.int32, shape: [3, 1])
      _ = gather(g.placeholder(.float32, shape: [2, 5]), indices, axis: 1, batchDims: 1)
    },
    Mistake("error: OneHot 'OneHot': operand 'depth' requires a number of 0 or more; found -1") { g in
      _ = oneHot(g.placeholder(.int32, shape: [3]), depth: -1)
    },
    Mistake(
      """
      error: Fill 'Fill': the result has too many dimensions; found float32[1, 1, 1, 1, 1, 1, 1, 1, 1]
        hint: at most 8 can be used
      """
    ) { g in _ = fill([Int](repeating: 1, count: 9), with: g.constant(0.0)) },
    Mistake("error: Fill 'Fill': the result is too large; found float32[4611686018427387904, 4]") { g in
      _ = fill([1 << 62, 4], with: g.constant(0.0))
    },
    Mistake(
      """
      error: AssignVariableOp 'AssignVariableOp': the value does not fit the variable; operand 'value' requires \
      float32[2]; found float32[3]
      """
    ) { g in assign(g.variableHandle(.float32, shape: [2], name: "v"), g.placeholder(.float32, shape: [3])) },
    Mistake("error: Assert 'Assert': operand 'condition' requires a scalar; found bool[2]") { g in
      assertTrue(g.placeholder(.bool, shape: [2]))
    },
    Mistake(
      "error: RandomUniformInt 'RandomUniformInt': operand 'maxval' requires a number above 'minval', which is 3; found 3"
    ) { g in _ = randomUniform(g.constant([2]), from: g.constant(3), to: g.constant(3)) },
    Mistake(
      """
      error: StatelessIf 'cond': the branches differ in the type of result 0; requires float32[], as in @cond_true; \
      found int32[] in @cond_false
      """
    ) { g in
      _ = cond(g.placeholder(.bool, shape: [])) {
        [g.constant(1.0)]
      } else: {
        [g.constant(1)]
      }
    },
    Mistake(
      """
      error: StatelessWhile 'while': the loop's body gives back another number of values than it takes; requires 1 \
      results; found 2
      """
    ) { g in
      _ = whileLoop([g.constant(0)]) {
        $0[0] .< 3
      } body: {
        $0 + $0
      }
    },
    Mistake(
      """
      error: StatelessWhile 'while': the loop's body changes the type of a value; operand 'input[0]' requires float32[2]; \
      found float32[4] after a step
        hint: give extents that change as nil in the loop's shapeInvariants
      """
    ) { g in
      let x = g.placeholder(.float32, shape: [2])
      _ = whileLoop([x]) {
        $0[0][0] .< 3
      } body: {
        [concat([$0[0], $0[0]], axis: 0)]
      }
    },
  ]

  @Test(arguments: mistakes) func message(_ mistake: Mistake) {
    let graph = Graph()
    mistake.build(graph)
    let found = graph.diagnostics.map { DiagnosticRenderer(showsSites: false).render($0) }
    #expect(found == [mistake.text])
  }

  /// What follows from a mistake says nothing.
  @Test func mistakesAreReportedOnce() {
    let graph = Graph()
    let wrong = reshape(graph.placeholder(.float32, shape: [2, 3]), [5])
    _ = transpose(concat([wrong, wrong], axis: 0))[0]
    #expect(graph.diagnostics.count == 1)
  }
}
