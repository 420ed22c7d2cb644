import Foundation
import MartletCUDA
import MartletDiagnostics

/// What of CUDA the machine has, and what fits.
struct CUDAExamination {
  private(set) var finding: Examination.Finding
  private(set) var problems: [Examination.Problem] = []

  init(_ libraries: CUDALibraries = .standard) {
    let findings = CUDALibrary.allCases.map { libraries.finding($0) }
    let driver = findings.first { $0.library == .driver }?.cuda
    var lines: [String] = []
    var devices: [JSONValue] = []
    var fault: String?
    var capabilities: [Int] = []
    var libraryFaults: [CUDALibraryFault] = []
    if driver != nil {
      do throws(Diagnostic) {
        for ordinal in 0..<(try CUDAContext.deviceCount(libraries)) {
          let context = try CUDAContext(ordinal: ordinal, libraries: libraries)
          let capability = "\(context.device.capability / 10).\(context.device.capability % 10)"
          lines.append(
            "cuda:\(ordinal): \(context.name), compute capability \(capability), "
              + "\(context.device.multiprocessors) multiprocessors, memory \(byteText(context.memoryBytes))")
          capabilities.append(context.device.capability)
          libraryFaults += context.libraryFaults
          devices.append(
            .object([
              "name": .string(context.name), "capability": .string(capability),
              "multiprocessors": .int(context.device.multiprocessors), "memory_bytes": .int(context.memoryBytes),
            ]))
        }
        if devices.isEmpty { lines.append("the driver shows no GPU") }
      } catch {
        fault = [error.message, error.found].compactMap { $0 }.joined(separator: ": ")
        lines.append(fault ?? "")
      }
    }
    lines += findings.map(Self.line)
    lines.append(driver.map { CUDACompatibility.text(driver: $0) } ?? Self.choices)
    finding = Examination.Finding(
      key: "cuda", title: "CUDA",
      isAvailable: !devices.isEmpty && findings.contains { $0.library == .nvrtc && $0.path != nil }, lines: lines,
      facts: [
        "devices": .array(devices), "kernel_driver": .optional(Self.kernelDriver),
        "libraries": .members(findings.map { (key: $0.library.rawValue, value: Self.facts($0)) }),
        "fits": .string(lines.last ?? ""),
      ])
    findProblems(findings, hasDriver: driver != nil, fault: fault)
    problems += libraryFaults.map { fault in
      Examination.Problem(
        what: "\(fault)",
        remedy: "see that all parts of the library are there, that it is made for the GPU, and that "
          + "the GPU has memory to spare")
    }
    if let compiler = findings.first(where: { $0.library == .nvrtc })?.cuda,
      let row = CUDACompatibility.row(for: compiler), let oldest = capabilities.min(), oldest < row.capability
    {
      problems.append(
        Examination.Problem(
          what: "NVRTC of CUDA \(compiler) has no code for a GPU of compute capability \(oldest / 10).\(oldest % 10)",
          remedy: "use the libraries of CUDA 12, whose files MARTLET_NVRTC, MARTLET_CUBLASLT and MARTLET_CUDNN can name"
        ))
    }
  }

  /// A machine without a GPU lacks nothing.
  private mutating func findProblems(_ findings: [CUDALibraries.Finding], hasDriver: Bool, fault: String?) {
    if let fault {
      problems.append(
        Examination.Problem(what: "the GPU cannot be used: \(fault)", remedy: "see what 'nvidia-smi' says"))
    }
    guard hasDriver || Self.kernelDriver != nil else { return }
    problems += findings.filter { $0.path == nil }.map { finding in
      let reasons = finding.reasons.isEmpty ? "" : " (\(finding.reasons.joined(separator: "; ")))"
      return Examination.Problem(
        what: "\(finding.library.title) is missing, so that \(finding.library.consequence)\(reasons)",
        remedy: finding.library.remedy)
    }
  }

  private static func line(_ finding: CUDALibraries.Finding) -> String {
    guard let path = finding.path, let version = finding.version else {
      let reasons = finding.reasons.isEmpty ? "" : "; \(finding.reasons.joined(separator: "; "))"
      return "\(finding.library.title) not found: looked for \(finding.places)\(reasons)"
    }
    switch finding.library {
    case .driver: return "the driver\(kernelDriver.map { " \($0)" } ?? ""), CUDA up to \(version): \(path)"
    case .nvrtc: return "NVRTC \(version): \(path)"
    case .cublasLt, .cudnn:
      return "\(finding.library.title) \(version) for CUDA \(finding.cuda.map { "\($0)" } ?? "?"): \(path)"
    }
  }

  private static func facts(_ finding: CUDALibraries.Finding) -> JSONValue {
    .object([
      "path": .optional(finding.path), "version": .optional(finding.version?.description),
      "cuda": .optional(finding.cuda?.description), "looked_for": .string(finding.places),
      "reasons": .array(finding.reasons.map { .string($0) }),
    ])
  }

  /// Where there is no driver: from which one on which CUDA would do.
  private static let choices =
    CUDACompatibility.majors.sorted().compactMap { major in
      CUDACompatibility.rows.first { $0.cuda.major == major }.map {
        "a driver from \($0.driver) on runs CUDA \(major).x with \($0.cudnn)"
      }
    }.joined(separator: "; ")

  /// The version of the driver in the kernel, such as 580.65.06.
  private static let kernelDriver: String? = {
    guard let text = try? String(contentsOfFile: "/proc/driver/nvidia/version", encoding: .utf8) else { return nil }
    return text.split { $0 == " " || $0 == "\n" }.map { String($0) }.first { word in
      let parts = word.split(separator: ".", omittingEmptySubsequences: false)
      return 2...3 ~= parts.count && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isNumber) }
    }
  }()
}
