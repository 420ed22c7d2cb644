import Dispatch
import Foundation
import MartletDiagnostics
import MartletExecution
import Synchronization

extension CUDACompiler {
  /// The machine code of kernels, from the cache or compiled now, on all cores.
  ///
  /// ```swift
  /// for image in try CUDACompiler().compile(kernels, for: device) {
  ///   let module = try CUDAModule(context, image: image.bytes)
  ///   // The entry points of the kernels in image.keys: module.function(kernel.launches[0].entry)
  /// }
  /// ```
  ///
  /// - Parameters:
  ///   - kernels: Made for `device`. What has equal keys is compiled once.
  ///   - cache: Where code is kept from one process to the next. What is there is found by the version and file of NVRTC, its
  ///     options, the architecture and the kernel's source.
  /// - Returns: Images, in the order of the first kernel of each; every distinct key is in one of them.
  /// - Throws: A diagnostic with the compiler's messages, or one that names the architectures that it knows.
  public func compile(
    _ kernels: [CUDAKernel], for device: CUDADevice, cache: CodeCache = .standard
  ) throws(Diagnostic) -> [CUDAImage] {
    let architecture = try architecture(for: device)
    var known: Set<String> = []
    let distinct = kernels.filter { known.insert($0.key).inserted }
    let library = CUDACodeLibrary(cache, compiler: self, architecture)
    let (found, rest) = library?.load(distinct) ?? ([], distinct)
    let generated = rest.filter { $0.custom == nil }
    let threads = ProcessInfo.processInfo.activeProcessorCount
    // What users wrote shares no names with other code.
    let batches =
      CompilationBatches.deal(generated.map(\.body.utf8.count), among: threads)
      .map { batch in batch.sorted().map { generated[$0] } } + rest.filter { $0.custom != nil }.map { [$0] }
    let results = Mutex<[Result<CUDAImage, Diagnostic>?]>(Array(repeating: nil, count: batches.count))
    DispatchQueue.concurrentPerform(iterations: batches.count) { number in
      let batch = batches[number]
      let result = Result { () throws(Diagnostic) in
        let code = try compile(batch, for: architecture)
        for kernel in batch { try kernel.check(code.resources, on: device) }
        library?.save(code.image, batch)
        return CUDAImage(bytes: code.image, keys: batch.map(\.key))
      }
      results.withLock { $0[number] = result }
    }
    let images = try found + results.withLock { $0 }.map { (result) throws(Diagnostic) in try result!.get() }
    let order = Dictionary(uniqueKeysWithValues: zip(distinct.map(\.key), 0...))
    return images.sorted { order[$0.keys[0]]! < order[$1.keys[0]]! }
  }

  private func compile(_ batch: [CUDAKernel], for architecture: String) throws(Diagnostic) -> Code {
    guard let custom = batch[0].custom else { return try compile(CUDAKernel.source(batch), for: architecture) }
    return try compile(batch[0].body, for: architecture, options: Self.customOptions + custom.options) { messages in
      Diagnostic(
        "NVRTC \(version.major).\(version.minor) refuses the CUDA code at \(custom.file):\(custom.line)",
        found: messages)
    }
  }

  /// The architecture to compile for: the device's own or, for one that is newer than NVRTC, the last that NVRTC knows of the
  /// same generation, whose machine code the device runs too. Systems on a chip run no other's code, and others not theirs. For
  /// a device of a newer generation it is the last virtual one, whose PTX the driver compiles.
  public func architecture(for device: CUDADevice) throws(Diagnostic) -> String {
    let known = architectures
    if let best = Self.architecture(for: device.capability, among: known) { return "sm_\(best)" }
    guard let best = Self.virtualArchitecture(for: device.capability, among: known) else {
      throw Diagnostic(
        "NVRTC \(version.major).\(version.minor) does not compile for this device",
        required: "an architecture of " + known.map { "sm_\($0)" }.joined(separator: ", "),
        found: device.architecture, hint: "install a version of CUDA that fits the device")
    }
    return "compute_\(best)"
  }

  /// The compute capabilities of systems on a chip (Jetson, Drive, Thor).
  private static let chips: Set<Int> = [53, 62, 72, 87, 101, 110]

  /// The newest of some compute capabilities whose machine code a device runs.
  static func architecture(for capability: Int, among known: [Int]) -> Int? {
    let fitting = known.filter { $0 <= capability && $0 / 10 == capability / 10 }
    return fitting.filter { $0 == capability || (!chips.contains($0) && !chips.contains(capability)) }.max()
  }

  /// The newest of some compute capabilities whose PTX the driver compiles for a device.
  static func virtualArchitecture(for capability: Int, among known: [Int]) -> Int? {
    known.filter { $0 <= capability && !chips.contains($0) }.max()
  }
}
