import CMartletRuntime
import Foundation
import Martlet
import MartletCPU

/// What the machine has, and what is wrong with it.
struct Examination {
  /// One library, or none.
  struct Finding {
    var key: String
    var title: String
    var isAvailable: Bool
    /// Readable facts, first the library's own message.
    var lines: [String]
    var facts: KeyValuePairs<String, JSONValue>
  }
  struct Problem {
    var what: String
    var remedy: String
  }

  private let machine = martlet_machine_facts().pointee
  private(set) var findings: [Finding] = []
  private(set) var problems: [Problem] = []

  /// Whether anything can be compiled and run.
  var canRun: Bool { findings.first { $0.key == "llvm" }?.isAvailable ?? false }

  init() {
    examineTeam()
    examineBLAS()
    examineDNN()
    examineLLVM()
    examineZlib()
    examineCodeCache()
    examineDevice()
    let cuda = CUDAExamination()
    findings.append(cuda.finding)
    problems += cuda.problems
    if machine.has_avx2_fma == 0, Self.text(machine.architecture) == "x86_64" {
      problems.append(
        Problem(what: "the processor has neither AVX2 nor FMA", remedy: "runs are right but slow; use a newer machine"))
    }
  }

  // MARK: Libraries

  private mutating func examineTeam() {
    let threads = Int(martlet_team_start(0))
    let message = Self.text(martlet_team_message())
    let isGomp = message.contains("libgomp") && !message.contains("not found")
    findings.append(
      Finding(
        key: "team", title: "threads", isAvailable: true, lines: ["\(threads) workers; \(message)"],
        facts: ["threads": .int(threads), "libgomp": .bool(isGomp)]))
    if !isGomp {
      problems.append(
        Problem(
          what: "libgomp is missing, so that the libraries have threads of their own",
          remedy: "apt install libgomp1, or name the file in MARTLET_GOMP"))
    }
  }

  private mutating func examineBLAS() {
    let blas = martlet_blas_library().pointee
    let core = Self.text(blas.core)
    let version = Self.text(blas.configuration)
    var lines = [Self.text(blas.message)]
    if blas.available != 0 { lines.append("kernels for \(core); \(version)") }
    findings.append(
      Finding(
        key: "blas", title: "BLAS", isAvailable: blas.available != 0, lines: lines,
        facts: [
          "path": .optional(Self.present(blas.path)), "core": .optional(Self.present(blas.core)),
          "configuration": .optional(Self.present(blas.configuration)),
          "threading": .string(["sequential", "own threads", "OpenMP"][min(max(Int(blas.parallel), 0), 2)]),
        ]))
    guard blas.available != 0 else {
      problems.append(
        Problem(
          what: "OpenBLAS is missing: matrix products are generated code, and many times slower",
          remedy: "apt install libopenblas0-openmp, or name the file in MARTLET_BLAS"))
      return
    }
    if blas.parallel != 2 {
      problems.append(
        Problem(
          what: "OpenBLAS does not share the team's threads", remedy: "apt install libopenblas0-openmp"))
    }
    let isOld = ["prescott", "core2", "nehalem", "penryn", "generic", "sandybridge"].contains(core.lowercased())
    if isOld, machine.has_avx2_fma != 0 {
      problems.append(
        Problem(
          what: "OpenBLAS uses kernels for \(core), several times slower than this processor allows",
          remedy: "unset MARTLET_BLAS_CORE, or set it to \(machine.has_avx512 != 0 ? "SkylakeX" : "Haswell")"))
    }
  }

  private mutating func examineDNN() {
    let dnn = martlet_dnn_library().pointee
    let version = dnn.available != 0 ? "\(dnn.major).\(dnn.minor).\(dnn.patch)" : nil
    findings.append(
      Finding(
        key: "onednn", title: "oneDNN", isAvailable: dnn.available != 0,
        lines: [Self.text(dnn.message)] + (version.map { ["version \($0)"] } ?? []),
        facts: [
          "version": .optional(version), "path": .optional(Self.present(dnn.path)),
          "shares_team": .bool(dnn.shares_team != 0),
        ]))
    if dnn.available == 0 {
      problems.append(
        Problem(
          what: "oneDNN is missing: convolution and pooling are generated code, and many times slower",
          remedy: "apt install libdnnl-dev, or name the file in MARTLET_DNNL"))
    } else if dnn.shares_team == 0 {
      problems.append(
        Problem(
          what: "oneDNN does not run on OpenMP, so that it has threads of its own",
          remedy: "use a build for GNU OpenMP, such as Debian's libdnnl-dev"))
    }
  }

  private mutating func examineLLVM() {
    let llvm = martlet_llvm_library().pointee
    let version = llvm.available != 0 ? Int(llvm.major) : nil
    findings.append(
      Finding(
        key: "llvm", title: "LLVM", isAvailable: llvm.available != 0,
        lines: [Self.text(llvm.message)] + (version.map { ["version \($0), code for \(Self.text(llvm.cpu))"] } ?? []),
        facts: [
          "version": version.map { .int($0) } ?? .null, "path": .optional(Self.present(llvm.path)),
          "cpu": .optional(Self.present(llvm.cpu)),
        ]))
    if llvm.available == 0 {
      problems.append(
        Problem(
          what: "LLVM is missing: nothing can be compiled",
          remedy: "apt install libllvm19 (15 to 21 will do), or name the file in MARTLET_LLVM"))
    }
  }

  private mutating func examineZlib() {
    let isAvailable = martlet_zlib_available() != 0
    findings.append(
      Finding(
        key: "zlib", title: "zlib", isAvailable: isAvailable, lines: [Self.text(martlet_zlib_message())], facts: [:]))
    if !isAvailable {
      problems.append(
        Problem(what: "zlib is missing: compressed data sets cannot be read", remedy: "apt install zlib1g"))
    }
  }

  private mutating func examineCodeCache() {
    let path = CodeCache.standard.path
    var finding = Finding(
      key: "code_cache", title: "code cache", isAvailable: path != nil,
      lines: [path ?? "off: machine code is not kept from process to process"],
      facts: ["path": .optional(path), "files": .int(0), "bytes": .int(0), "limit_bytes": .int(0)])
    do throws(Diagnostic) {
      if let path, let content = try CodeCache.standard.content() {
        finding.lines = [
          "\(path): \(content.files) files, \(byteText(content.bytes)) of at most \(byteText(content.limit))"
        ]
        finding.facts = [
          "path": .string(path), "files": .int(content.files), "bytes": .int(content.bytes),
          "limit_bytes": .int(content.limit),
        ]
      }
    } catch {
      finding.isAvailable = false
      problems.append(
        Problem(
          what: "\(error.message): \(error.found ?? ""); every process generates all machine code anew",
          remedy: error.hint ?? "name a folder in MARTLET_CACHE, or set it to off"))
    }
    findings.append(finding)
  }

  private mutating func examineDevice() {
    do throws(Diagnostic) {
      _ = try SessionOptions.Device.standard()
    } catch {
      problems.append(
        Problem(
          what: "\(error.message): \(error.found ?? "")", remedy: "unset it, or set it to \(error.required ?? "")"))
    }
  }

  // MARK: Output

  private var environment: [(name: String, value: String)] {
    let names = ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_CORETYPE"]
    return ProcessInfo.processInfo.environment.filter { $0.key.hasPrefix("MARTLET_") || names.contains($0.key) }
      .map { (name: $0.key, value: $0.value) }.sorted { $0.name < $1.name }
  }

  private var reproducibility: [String] {
    let calls = ThreadDependentCall.present
    let rest =
      "the same for any number of threads\(calls.isEmpty ? "" : " by all but these; --deterministic avoids them:")"
    let onDevice = "on a GPU with --unordered-sums: all but sums of floats at scattered positions"
    return [rest] + calls.map { "\($0.title), in whose place comes \($0.replacement.title)" } + [onDevice]
  }

  var text: String {
    let vectors = machine.has_avx512 != 0 ? "AVX-512" : machine.has_avx2_fma != 0 ? "AVX2 and FMA" : "no AVX2"
    var rows: [(title: String, lines: [String])] = [
      (
        "processor",
        [
          "\(Self.text(machine.name)), \(Self.text(machine.architecture)), \(machine.processors) processors for this process",
          "\(vectors), vectors of \(machine.vector_bits) bits; caches \(byteText(Int(machine.l1_bytes))), "
            + "\(byteText(Int(machine.l2_bytes))), \(byteText(Int(machine.l3_bytes))); memory "
            + byteText(Int(machine.memory_bytes)),
        ]
      )
    ]
    rows += findings.map { ($0.title, $0.lines) }
    rows.append(("same bits", reproducibility))
    if !environment.isEmpty { rows.append(("environment", environment.map { "\($0.name)=\($0.value)" })) }
    var lines = rows.flatMap { row in
      row.lines.enumerated().map { padded($0.offset == 0 ? row.title : "", to: 13) + $0.element }
    }
    if problems.isEmpty {
      lines.append("\nNothing is wrong.")
    } else {
      lines.append("\nWhat is wrong, and what to do:")
      lines += problems.map { "- \($0.what)\n  \($0.remedy)" }
    }
    return lines.joined(separator: "\n")
  }

  var json: JSONValue {
    let libraries = findings.map { finding in
      let known: KeyValuePairs<String, JSONValue> = [
        "available": .bool(finding.isAvailable), "message": .string(finding.lines.first ?? ""),
      ]
      let members = (Array(known) + Array(finding.facts)).map { (key: $0.key, value: $0.value) }
      return (key: finding.key, value: JSONValue.members(members))
    }
    let processor = JSONValue.object([
      "name": .string(Self.text(machine.name)), "architecture": .string(Self.text(machine.architecture)),
      "processors": .int(Int(machine.processors)), "vector_bits": .int(Int(machine.vector_bits)),
      "avx2_fma": .bool(machine.has_avx2_fma != 0), "avx512": .bool(machine.has_avx512 != 0),
      "avx512_bf16": .bool(machine.has_avx512_bf16 != 0), "avx512_vnni": .bool(machine.has_avx512_vnni != 0),
      "amx": .bool(machine.has_amx != 0), "l1_bytes": .int(Int(machine.l1_bytes)),
      "l2_bytes": .int(Int(machine.l2_bytes)), "l3_bytes": .int(Int(machine.l3_bytes)),
      "memory_bytes": .int(Int(machine.memory_bytes)),
    ])
    let rest: [(key: String, value: JSONValue)] = [
      ("environment", .members(environment.map { (key: $0.name, value: .string($0.value)) })),
      (
        "problems",
        .array(problems.map { .object(["what": .string($0.what), "remedy": .string($0.remedy)]) })
      ),
      (
        "thread_dependent",
        .array(
          ThreadDependentCall.present.map { call in
            .object(["call": .string(call.title), "replacement": .string(call.replacement.title)])
          })
      ),
      ("can_run", .bool(canRun)),
    ]
    return .members([(key: "processor", value: processor)] + libraries + rest)
  }

  // MARK: C strings

  private static func text(_ pointer: UnsafePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }

  private static func present(_ pointer: UnsafePointer<CChar>?) -> String? {
    let text = text(pointer)
    return text.isEmpty ? nil : text
  }

  /// The characters of a C array, up to its first zero.
  private static func text<T>(_ characters: T) -> String {
    withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
