import CMartletRuntime
import Glibc
import Testing

/// Names of oneDNN's terms as Swift has them: tensors in plain layouts, and primitives that own their scratch memory.
struct Tensor {
  var description = martlet_dnn_tensor()

  init(_ dims: [Int], strides: [Int]) {
    description.placement = martlet_dnn_strided
    description.type = martlet_dnn_f32
    description.rank = Int32(dims.count)
    fill(&description.dims, dims)
    fill(&description.strides, strides)
  }

  /// Activations in the order N H W C.
  static func activations(_ n: Int, _ h: Int, _ w: Int, _ c: Int) -> Tensor {
    Tensor([n, c, h, w], strides: [h * w * c, 1, w * c, c])
  }

  /// Filters in the order H W I O, the O of all groups side by side.
  static func filters(_ h: Int, _ w: Int, _ i: Int, _ o: Int, groups: Int) -> Tensor {
    let all = groups * o
    return groups == 1
      ? Tensor([o, i, h, w], strides: [1, o, w * i * o, i * o])
      : Tensor([groups, o, i, h, w], strides: [o, 1, all, w * i * all, i * all])
  }

  var any: Tensor {
    var tensor = self
    tensor.description.placement = martlet_dnn_any
    return tensor
  }
}

/// Copies integers into a C array, which Swift sees as a tuple.
func fill<Array>(_ array: inout Array, _ values: [Int]) {
  withUnsafeMutableBytes(of: &array) { bytes in
    let elements = bytes.assumingMemoryBound(to: Int64.self)
    for (i, value) in values.enumerated() { elements[i] = Int64(value) }
  }
}

/// A run of floats, aligned as oneDNN likes it.
final class Memory {
  let floats: UnsafeMutableBufferPointer<Float>

  init(bytes: Int, filledWith value: Float = .nan) {
    let address = aligned_alloc(64, (bytes + 127) / 64 * 64)!
    floats = UnsafeMutableBufferPointer(start: address.assumingMemoryBound(to: Float.self), count: (bytes + 3) / 4)
    floats.initialize(repeating: value)
  }

  convenience init(_ values: [Float]) {
    self.init(bytes: values.count * 4)
    for (i, value) in values.enumerated() { floats[i] = value }
  }

  deinit { free(floats.baseAddress) }
}

struct NotMade: Error { var message: String }

/// A primitive of oneDNN.
final class Primitive {
  let handle: OpaquePointer

  init(_ description: martlet_dnn_description) throws(NotMade) {
    var (description, message) = (description, [CChar](repeating: 0, count: 256))
    guard let handle = martlet_dnn_make(&description, &message, message.count) else {
      throw NotMade(message: String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
    self.handle = handle
  }

  deinit { martlet_dnn_release(handle) }

  func bytes(_ role: martlet_dnn_role) -> Int { Int(martlet_dnn_bytes(handle, role)) }

  /// Runs over the given memory; scratch memory is added.
  func run(_ memory: [martlet_dnn_role: Memory]) -> Bool {
    var pointers = [UnsafeMutableRawPointer?](repeating: nil, count: Int(martlet_dnn_role_count.rawValue))
    for (role, memory) in memory { pointers[Int(role.rawValue)] = UnsafeMutableRawPointer(memory.floats.baseAddress) }
    let scratch = Memory(bytes: bytes(martlet_dnn_scratch_role))
    pointers[Int(martlet_dnn_scratch_role.rawValue)] = UnsafeMutableRawPointer(scratch.floats.baseAddress)
    struct Work {
      var handle: OpaquePointer
      var pointers: UnsafeMutablePointer<UnsafeMutableRawPointer?>
      var done: Int32 = 0
    }
    return pointers.withUnsafeMutableBufferPointer { pointers in
      var work = Work(handle: handle, pointers: pointers.baseAddress!)
      martlet_team_run(
        { context in
          let work = context!.assumingMemoryBound(to: Work.self)
          work.pointee.done = martlet_dnn_run(work.pointee.handle, work.pointee.pointers)
        }, &work)
      return work.done == 1
    }
  }

  /// The values in the plain layout `tensor`, as the primitive wants to have them at `role`.
  func input(_ values: [Float], _ tensor: Tensor, at role: martlet_dnn_role) throws -> Memory {
    var description = tensor.description
    if martlet_dnn_layout_is(handle, role, &description) == 1 { return Memory(values) }
    let result = Memory(bytes: bytes(role))
    try reorder(tensor, at: role, from: Memory(values), to: result, outward: false)
    return result
  }

  /// What the primitive left at `role`, in the plain layout `tensor`.
  func output(_ memory: Memory, _ tensor: Tensor, at role: martlet_dnn_role, count: Int) throws -> [Float] {
    let result = Memory(bytes: count * 4)
    try reorder(tensor, at: role, from: memory, to: result, outward: true)
    return Array(result.floats.prefix(count))
  }

  private func reorder(
    _ tensor: Tensor, at role: martlet_dnn_role, from source: Memory, to destination: Memory, outward: Bool
  ) throws {
    let layout = martlet_dnn_layout_at(handle, role)
    defer { martlet_dnn_layout_release(layout) }
    var own = tensor.description
    own.placement = martlet_dnn_opaque
    own.layout = layout
    var description = martlet_dnn_description()
    description.kind = martlet_dnn_reorder
    description.source = outward ? own : tensor.description
    description.destination = outward ? tensor.description : own
    let done = try Primitive(description).run([
      martlet_dnn_source_role: source, martlet_dnn_destination_role: destination,
    ])
    #expect(done)
  }
}

extension martlet_dnn_role: @retroactive Hashable {}

/// Reproducible values between -1 and 1.
func values(_ count: Int, seed: UInt32) -> [Float] {
  var state = seed &* 7919 &+ 1
  return (0..<count).map { _ in
    state = state &* 1_664_525 &+ 1_013_904_223
    return Float(Int(state >> 9) % 2001 - 1000) / 1000
  }
}

/// The largest difference, relative to the largest expected value.
func difference(_ actual: [Float], _ expected: [Double]) -> Double {
  let largest = expected.reduce(1e-9) { max($0, abs($1)) }
  return zip(actual, expected).reduce(0) { $1.0.isNaN ? .infinity : max($0, abs(Double($1.0) - $1.1)) } / largest
}
