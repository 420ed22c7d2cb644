import MartletTensors

/// CUDA C that computes an operation's results on an NVIDIA GPU: entry points, and how they are launched one after the other.
///
/// Every entry point takes a pointer to the elements of each operand, each result and each temporary, in this order; then
/// `const long long* run`, whose first element is the number of the run in its session; then `martlet_status* status`:
///
/// ```swift
/// CUDASource(
///   """
///   extern "C" __global__ void reversed(
///     const float* x, float* y, const long long* run, martlet_status* status) {
///     const int i = blockIdx.x * blockDim.x + threadIdx.x;
///     if (i < \(count)) y[i] = x[\(count - 1) - i];
///   }
///   """, launches: [.init("reversed", blocks: (count + 255) / 256, threads: 256)])
/// ```
///
/// Operands are `const`. The types in C are `float`, `double`, `int`, `long long`, `unsigned char` and `bool`; see
/// ``MartletTensors/ElementType/cudaType``. Every extent is known where an operation is lowered, so that it can be written into the
/// text. Arrays are dense, the last axis innermost, and begin at multiples of their elements' size; results overlap nothing.
/// What the launches leave for one another stands in temporaries. `martlet_fail(status, index)` makes the run throw an error
/// that names the operation and the index.
///
/// The code is checked and compiled by NVRTC. Messages carry the line of the Swift file that the text stands in.
public struct CUDASource: Hashable, Sendable {
  /// One launch of an entry point, in one dimension of blocks and of threads.
  public struct Launch: Hashable, Sendable {
    /// The entry point's name.
    public var entry: String
    /// At least one.
    public var blocks: Int
    /// Threads of a block, 1 to 1024.
    public var threads: Int
    /// Bytes of dynamic shared memory (`extern __shared__`), which with those that the code declares are at most 48 KiB.
    public var sharedBytes: Int
    public init(_ entry: String, blocks: Int, threads: Int, sharedBytes: Int = 0) {
      (self.entry, self.blocks, self.threads, self.sharedBytes) = (entry, blocks, threads, sharedBytes)
    }
  }

  public var text: String
  /// In order; each begins when the one before it has ended.
  public var launches: [Launch]
  /// Arrays in device memory, whose elements are undefined when the first launch begins.
  public var temporaries: [TensorType]
  /// Further options of NVRTC, such as `--use_fast_math` or `-DTILE=16`.
  public var options: [String]
  /// Where the text stands.
  public var file: String
  /// The number of the text's first line in the file.
  public var line: Int

  /// - Parameters:
  ///   - file: the file that messages name; by default that of the call.
  ///   - line: the line of the call. A text of several lines begins two lines below it, as in the example above.
  public init(
    _ text: String, launches: [Launch], temporaries: [TensorType] = [], options: [String] = [],
    file: String = #filePath, line: Int = #line
  ) {
    (self.text, self.launches, self.temporaries, self.options, self.file) = (text, launches, temporaries, options, file)
    self.line = text.contains("\n") ? line + 2 : line
  }
}

extension ElementType {
  /// The type of an element in CUDA C, such as `float` or `long long`; of floats of 16 bits, that of their bits.
  public var cudaType: String {
    switch self {
    case .float32: "float"
    case .float64: "double"
    case .float16, .bfloat16: "unsigned short"
    case .int32: "int"
    case .uint8: "unsigned char"
    case .bool: "bool"
    default: "long long"
    }
  }
}
