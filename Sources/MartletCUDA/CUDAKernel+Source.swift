import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletLoopIR
import MartletTensors

extension CUDAKernel {
  /// A kernel of an operation's own code.
  ///
  /// - Parameters:
  ///   - inputs: The operands' arrays.
  ///   - outputs: The results'.
  /// - Throws: A diagnostic for launches or temporaries that no device can have. What is wrong with the code is found when it is
  ///   compiled.
  public init(
    _ source: CUDASource, inputs: [BufferType], outputs: [BufferType], for device: CUDADevice
  ) throws(Diagnostic) {
    try Self.check(source, device)
    var temporaries: [BufferType] = []
    for type in source.temporaries {
      guard let extents = type.shape.known else {
        throw Diagnostic("a temporary of CUDA code must have known extents", found: "\(type)")
      }
      temporaries.append(BufferType(type.elementType, extents))
    }
    let pointers =
      inputs.map { "const \($0.elementType.cudaType)*" } + (outputs + temporaries).map { "\($0.elementType.cudaType)*" }
    let signature = (pointers + ["const long long*", "martlet_status*"]).joined(separator: ", ")
    var entries: [String] = []
    for launch in source.launches where !entries.contains(launch.entry) { entries.append(launch.entry) }
    let checks = entries.map { entry in
      let wanted = "\(entry) must be declared as: extern \\\"C\\\" __global__ void \(entry)(\(signature))"
      return "static_assert(martlet_same<decltype(&\(entry)), void (*)(\(signature))>::value, \"\(wanted)\");"
    }
    let file = source.file.replacing("\\", with: "/").replacing("\"", with: "'")
    let parts = [device.architecture] + source.options + source.launches.map { "\($0)" }
    let body = """
      // \(parts.joined(separator: " ").replacing("\n", with: " "))
      \(Self.customPrelude)
      #line \(source.line) "\(file)"
      \(source.text)
      #line 1 "Martlet's check of the entry points"
      \(checks.joined(separator: "\n"))

      """
    self.init(
      custom: source, inputs: inputs, outputs: outputs, temporaries: temporaries,
      key: "custom" + StructuralKey(text: body).digest, body: body)
  }

  /// What a user's code finds before it.
  private static let customPrelude = """
    struct martlet_status { long long site, index; int code, reserved; };
    __device__ inline void martlet_fail(martlet_status* status, long long index) {
      if (atomicCAS(&status->code, 0, 1) == 0) { status->site = 0; status->index = index; }
    }
    template <class T, class S> struct martlet_same { static constexpr bool value = false; };
    template <class T> struct martlet_same<T, T> { static constexpr bool value = true; };
    """

  private static func check(_ source: CUDASource, _ device: CUDADevice) throws(Diagnostic) {
    func fail(_ what: String, _ required: String, _ found: String) -> Diagnostic {
      Diagnostic("\(what) of CUDA code at \(source.file):\(source.line)", required: required, found: found)
    }
    guard !source.launches.isEmpty else { throw fail("launches", "at least one", "none") }
    for launch in source.launches {
      let name = launch.entry
      let isName = name.utf8.allSatisfy { $0 == 95 || 48...57 ~= $0 || 65...90 ~= $0 || 97...122 ~= $0 }
      guard isName, let first = name.utf8.first, !(48...57 ~= first) else {
        throw fail("an entry point", "a name in C", "'\(name)'")
      }
      guard 1...Int(Int32.max) ~= launch.blocks else {
        throw fail("blocks of '\(name)'", "1 to \(Int32.max)", "\(launch.blocks)")
      }
      guard 1...1024 ~= launch.threads else {
        throw fail("threads of '\(name)'", "1 to 1024 in a block", "\(launch.threads)")
      }
      guard 0...device.mostSharedBytes ~= launch.sharedBytes else {
        throw fail("shared memory of '\(name)'", "at most \(device.mostSharedBytes) bytes", "\(launch.sharedBytes)")
      }
    }
  }

  /// Finds entry points that were compiled under another name, and more shared memory than there is.
  func check(_ resources: [CUDAResources], on device: CUDADevice) throws(Diagnostic) {
    guard let custom else { return }
    for launch in custom.launches {
      guard let found = resources.first(where: { $0.entry == launch.entry }) else {
        throw Diagnostic(
          "there is no entry point '\(launch.entry)' in CUDA code at \(custom.file):\(custom.line)",
          found: resources.isEmpty ? "none" : resources.map(\.entry).joined(separator: ", "),
          hint: "declare it as extern \"C\" __global__ void")
      }
      guard found.sharedBytes + launch.sharedBytes <= device.mostSharedBytes else {
        throw Diagnostic(
          "'\(launch.entry)' in CUDA code at \(custom.file):\(custom.line) takes too much shared memory",
          required: "at most \(device.mostSharedBytes) bytes a block",
          found: "\(found.sharedBytes) declared and \(launch.sharedBytes) dynamic")
      }
    }
  }
}
