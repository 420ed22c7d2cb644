import Martlet

/// The rows of a matrix, each in ascending order.
///
/// An operation that does not fit the language of kernels brings code of its own: Swift for the processor and, if there is to
/// be any, CUDA C for a GPU. Nothing is fused with it.
struct SortRows: Operation {
  static let schema = Schema(
    "SortRows", inputs: ["x": "T"], outputs: ["sorted": "T"], types: ["T": .init([.float32, .int32])])

  var differentiation: Differentiation { .none("this example leaves it out") }

  func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard operands[0].shape.rank ?? 2 == 2 else {
      throw Diagnostic("", operand: "x", required: "a matrix", found: "\(operands[0].type)")
    }
    return [Inference(operands[0].elementType ?? .float32, operands[0].shape)]
  }

  func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let (type, shape) = (l.results[0].elementType, l.resultShape(0))
    return .host(
      HostFunction(cuda: cuda(type, rows: shape[0], columns: shape[1])) { operands in
        switch type {
        case .float32: [sorted(operands[0], as: Float.self)]
        default: [sorted(operands[0], as: Int32.self)]
        }
      })
  }

  private func sorted<Element: TensorElement & Comparable>(_ x: Tensor, as: Element.Type) -> Tensor {
    let (elements, columns) = (x.scalars(as: Element.self), x.shape[1])
    let rows = (0..<x.shape[0]).flatMap { elements[$0 * columns..<($0 + 1) * columns].sorted() }
    return Tensor(rows, shape: x.shape)
  }

  /// A block for each row. A thread's elements go where as many are below them or equal and before them.
  ///
  /// Extents are known here and part of the code. The entry point takes operands, results, the numbers of the run, the status.
  private func cuda(_ type: ElementType, rows: Int, columns: Int) -> CUDASource {
    CUDASource(
      """
      typedef \(type.cudaType) element;

      extern "C" __global__ void sortRows(
        const element* x, element* sorted, const long long* run, martlet_status* status) {
        const element* row = x + (long long)blockIdx.x * \(columns);
        for (int i = threadIdx.x; i < \(columns); i += blockDim.x) {
          int place = 0;
          for (int j = 0; j < \(columns); j++) place += row[j] < row[i] || (row[j] == row[i] && j < i);
          sorted[(long long)blockIdx.x * \(columns) + place] = row[i];
        }
      }
      """, launches: [.init("sortRows", blocks: max(1, rows), threads: 256)])
  }
}

func sortRows(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(SortRows(), [x], name: name) }
