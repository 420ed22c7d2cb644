import CMartletRuntime
import MartletDiagnostics

/// NVRTC: CUDA C to machine code, for any architecture, with or without a GPU.
public struct CUDACompiler: Sendable {
  /// What came of one compilation.
  public struct Code: Sendable {
    /// A module for the driver to load: machine code or, for a virtual architecture, PTX, which ends with a 0.
    public var image: [UInt8]
    /// What the compiler said, usually nothing.
    public var log: String
    /// What each entry point needs, in the order of the code; of PTX, which the driver compiles, only the names.
    public var resources: [CUDAResources]
  }

  /// The major and minor version of NVRTC; part of the key of code that is kept.
  public let version: (major: Int, minor: Int)
  /// The file that NVRTC was loaded from.
  public let path: String
  /// The compute capabilities that it compiles for, such as 90, in ascending order.
  public let architectures: [Int]
  private let library: NVRTCTable

  /// A table of functions, which never changes.
  private struct NVRTCTable: @unchecked Sendable { let functions: UnsafePointer<martlet_nvrtc> }

  /// - Throws: A diagnostic that says what was looked for, where NVRTC is missing.
  public init(libraries: CUDALibraries = .standard) throws(Diagnostic) {
    library = NVRTCTable(functions: try libraries.nvrtc())
    let found = libraries.finding(.nvrtc)
    version = (found.version?.major ?? 0, found.version?.minor ?? 0)
    path = found.path ?? ""
    var count: Int32 = 0
    var known: [Int32] = []
    if library.functions.pointee.GetNumSupportedArchs(&count) == 0 {
      known = Array(repeating: 0, count: Int(count))
      if library.functions.pointee.GetSupportedArchs(&known) != 0 { known = [] }
    }
    architectures = known.map(Int.init).sorted()
  }

  /// Options that make results what `ScalarOperation` defines: nothing is contracted, flushed or approximated.
  ///
  /// Kernels declare what they do not always use, such as the lanes of an offset of which a vector needs the first.
  static let options = [
    "--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true", "--diag-suppress=177",
    "--ptxas-options=-v",
  ]

  /// Options for what users wrote: as NVIDIA's compiler has them, but for the report on resources.
  static let customOptions = ["--std=c++17", "--ptxas-options=-v"]

  /// Compiles generated code for an architecture such as `sm_90`, or a virtual one such as `compute_90`.
  ///
  /// - Throws: A diagnostic with the compiler's messages.
  public func compile(_ source: String, for architecture: String, name: String = "kernel") throws(Diagnostic) -> Code {
    try compile(source, for: architecture, name: name, options: Self.options) { messages in
      Diagnostic(
        "NVRTC \(version.major).\(version.minor) refuses generated code for \(architecture)", found: messages,
        hint: "this is a fault of Martlet, unless the architecture is newer than the compiler")
    }
  }

  /// Compiles code; `refusal` makes an error of the compiler's messages.
  func compile(
    _ source: String, for architecture: String, name: String = "kernel", options: [String],
    refusal: (String) -> Diagnostic
  ) throws(Diagnostic) -> Code {
    let library = library.functions.pointee
    var program: martlet_nvrtc_program?
    try check(library.CreateProgram(&program, source, "\(name).cu", 0, nil, nil), "nvrtcCreateProgram", architecture)
    defer { _ = library.DestroyProgram(&program) }
    let options = options + ["--gpu-architecture=\(architecture)"]
    let result = withCStrings(options) { library.CompileProgram(program, Int32($0.count), $0.baseAddress) }
    var size = 0
    try check(library.GetProgramLogSize(program, &size), "nvrtcGetProgramLogSize", architecture)
    var log = [CChar](repeating: 0, count: max(1, size))
    try check(library.GetProgramLog(program, &log), "nvrtcGetProgramLog", architecture)
    let messages = String(decoding: log.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard result == 0 else { throw refusal("\(reason(result)): \(messages)") }
    let isVirtual = Self.isVirtual(architecture)
    var bytes = 0
    try check(
      isVirtual ? library.GetPTXSize(program, &bytes) : library.GetCUBINSize(program, &bytes),
      isVirtual ? "nvrtcGetPTXSize" : "nvrtcGetCUBINSize", architecture)
    var image = [UInt8](repeating: 0, count: bytes)
    let status = image.withUnsafeMutableBytes { image in
      let base = image.bindMemory(to: CChar.self).baseAddress
      return isVirtual ? library.GetPTX(program, base) : library.GetCUBIN(program, base)
    }
    try check(status, isVirtual ? "nvrtcGetPTX" : "nvrtcGetCUBIN", architecture)
    let (resources, rest) = CUDAResources.read(messages)
    return Code(image: image, log: rest, resources: isVirtual ? CUDAResources.entries(ofPTX: image) : resources)
  }

  /// Whether code for an architecture is PTX.
  static func isVirtual(_ architecture: String) -> Bool { architecture.hasPrefix("compute_") }

  private func check(_ result: Int32, _ call: String, _ architecture: String) throws(Diagnostic) {
    guard result != 0 else { return }
    throw Diagnostic("\(call) failed for \(architecture)", found: "\(reason(result)) (\(result))")
  }

  private func reason(_ result: Int32) -> String {
    library.functions.pointee.GetErrorString(result).map { String(cString: $0) } ?? "error \(result)"
  }

  private func withCStrings<R>(_ strings: [String], _ body: (UnsafeBufferPointer<UnsafePointer<CChar>?>) -> R) -> R {
    let bytes = strings.map { Array($0.utf8CString) }
    let joined = Array(bytes.joined())
    return joined.withUnsafeBufferPointer { buffer in
      var pointers: [UnsafePointer<CChar>?] = []
      var offset = 0
      for part in bytes {
        pointers.append(buffer.baseAddress! + offset)
        offset += part.count
      }
      return pointers.withUnsafeBufferPointer(body)
    }
  }
}
