import CMartletRuntime
import Glibc
import MartletDiagnostics
import Synchronization

/// The shared libraries of CUDA, each loaded when it is first asked for and kept for the life of the process.
///
/// They are values, so that a test may have stand-ins of its own beside the machine's.
public final class CUDALibraries: Sendable {
  /// What became of looking for a library.
  public struct Finding: Sendable {
    public var library: CUDALibrary
    /// The file that was loaded, symbolic links resolved.
    public var path: String?
    public var version: CUDAVersion?
    /// The version of CUDA that the library was made for; of the driver, the newest that it runs.
    public var cuda: CUDAVersion?
    /// Where it was looked for.
    public var places: String
    /// Why the files that were tried are of no use, in the order in which they were tried.
    public var reasons: [String]
  }

  /// Those of the machine; see ``CUDALibrary/variable`` for how to name files.
  public static let standard = CUDALibraries(CUDALibrarySearch())

  private enum Source: Sendable {
    case search(CUDALibrarySearch)
    case files([CUDALibrary: String])
  }

  private struct Loads {
    var driver: Load<martlet_cuda_driver>?
    var nvrtc: Load<martlet_nvrtc>?
    var cublasLt: Load<martlet_cublaslt>?
    var cudnn: Load<martlet_cudnn>?
  }

  private struct Load<Table> {
    var table: UnsafePointer<Table>?
    var finding: Finding
  }

  private let source: Source
  private let loads = Mutex(Loads())

  init(_ search: CUDALibrarySearch) { source = .search(search) }

  /// Exactly these files; nil for a library that is not to be had.
  public init(driver: String?, nvrtc: String?, cublasLt: String?, cudnn: String?) {
    let files: [CUDALibrary: String?] = [.driver: driver, .nvrtc: nvrtc, .cublasLt: cublasLt, .cudnn: cudnn]
    source = .files(files.compactMapValues { $0 })
  }

  // MARK: Tables

  /// The functions of the driver.
  ///
  /// - Throws: A diagnostic that says what was looked for.
  func driver() throws(Diagnostic) -> UnsafePointer<martlet_cuda_driver> {
    try table(loads.withLock { driver(&$0) })
  }

  func nvrtc() throws(Diagnostic) -> UnsafePointer<martlet_nvrtc> { try table(loads.withLock { nvrtc(&$0) }) }

  func cublasLt() throws(Diagnostic) -> UnsafePointer<martlet_cublaslt> {
    try table(loads.withLock { cublasLt(&$0) })
  }

  func cudnn() throws(Diagnostic) -> UnsafePointer<martlet_cudnn> { try table(loads.withLock { cudnn(&$0) }) }

  /// What became of looking for a library, which is loaded for this.
  public func finding(_ library: CUDALibrary) -> Finding {
    loads.withLock { loads in
      switch library {
      case .driver: driver(&loads).finding
      case .nvrtc: nvrtc(&loads).finding
      case .cublasLt: cublasLt(&loads).finding
      case .cudnn: cudnn(&loads).finding
      }
    }
  }

  private func table<Table>(_ load: sending Load<Table>) throws(Diagnostic) -> UnsafePointer<Table> {
    if let table = load.table { return table }
    let finding = load.finding
    let reasons = finding.reasons.isEmpty ? "" : ": " + finding.reasons.joined(separator: "; ")
    throw Diagnostic(
      "\(finding.library.title) of CUDA cannot be loaded",
      required: CUDACompatibility.requirement(finding.library), found: "\(finding.places)\(reasons)",
      hint: finding.library.remedy)
  }

  // MARK: Loading

  private func driver(_ loads: inout Loads) -> Load<martlet_cuda_driver> {
    if let load = loads.driver { return load }
    let load = load(.driver, empty: martlet_cuda_driver(), find: martlet_cuda_driver_find) { table, finding in
      var number: Int32 = 0
      guard table.pointee.DriverGetVersion(&number) == 0 else { return "it does not tell its version" }
      let version = CUDAVersion(thousands: Int(number))
      (finding.version, finding.cuda) = (version, version)
      return CUDACompatibility.row(for: version) == nil ? "it runs CUDA \(version) at most" : nil
    }
    loads.driver = load
    return load
  }

  private func nvrtc(_ loads: inout Loads) -> Load<martlet_nvrtc> {
    if let load = loads.nvrtc { return load }
    let loaded = driver(&loads)
    let driver = loaded.finding.cuda
    let load = load(.nvrtc, empty: martlet_nvrtc(), find: martlet_nvrtc_find) { table, finding in
      var (major, minor): (Int32, Int32) = (0, 0)
      guard table.pointee.Version(&major, &minor) == 0 else { return "it does not tell its version" }
      let version = CUDAVersion(major: Int(major), minor: Int(minor))
      (finding.version, finding.cuda) = (version, version)
      return Self.fault(version, driver)
    } best: { found in
      CUDACompatibility.bestCompiler(
        of: found.map {
          (
            version: $0.finding.version ?? CUDAVersion(major: 0, minor: 0),
            architectures: $0.table.pointee.architectures
          )
        },
        for: loaded.table?.pointee.capabilities ?? [], driver: driver)
    }
    loads.nvrtc = load
    return load
  }

  private func cublasLt(_ loads: inout Loads) -> Load<martlet_cublaslt> {
    if let load = loads.cublasLt { return load }
    let driver = driver(&loads).finding.cuda
    let load = load(.cublasLt, empty: martlet_cublaslt(), find: martlet_cublaslt_find) { table, finding in
      finding.version = CUDAVersion(library: table.pointee.GetVersion())
      let cuda = CUDAVersion(thousands: table.pointee.GetCudartVersion())
      finding.cuda = cuda
      return Self.fault(cuda, driver)
    }
    loads.cublasLt = load
    return load
  }

  private func cudnn(_ loads: inout Loads) -> Load<martlet_cudnn> {
    if let load = loads.cudnn { return load }
    let driver = driver(&loads).finding.cuda
    let load = load(.cudnn, empty: martlet_cudnn(), find: martlet_cudnn_find) { table, finding in
      let version = CUDAVersion(library: table.pointee.GetVersion())
      let cuda = CUDAVersion(thousands: table.pointee.GetCudartVersion())
      (finding.version, finding.cuda) = (version, cuda)
      if version.major != CUDACompatibility.cudnnMajor { return "it is version \(version)" }
      return Self.fault(cuda, driver)
    }
    loads.cudnn = load
    return load
  }

  /// Why a library for some CUDA is of no use beside a driver; without one any that is known will do.
  private static func fault(_ cuda: CUDAVersion, _ driver: CUDAVersion?) -> String? {
    if let driver, !CUDACompatibility.runs(major: cuda.major, onDriver: driver) {
      return "it is for CUDA \(cuda), and the driver runs CUDA \(driver) at most"
    }
    return CUDACompatibility.majors.contains(cuda.major) ? nil : "it is for CUDA \(cuda)"
  }

  /// Loads the first file that has all functions and that `judge` finds nothing wrong with, or where there are several and `best`
  /// is given, the one whose number that gives.
  private func load<Table>(
    _ library: CUDALibrary, empty: Table,
    find: (UnsafeMutableRawPointer?, UnsafeMutablePointer<Table>?) -> UnsafePointer<CChar>?,
    judge: (UnsafePointer<Table>, inout Finding) -> String?,
    best: (([(table: UnsafePointer<Table>, finding: Finding)]) -> Int)? = nil
  ) -> Load<Table> {
    let (candidates, places): ([String], String) =
      switch source {
      case .search(let search): (search.candidates(for: library), search.places(for: library))
      case .files(let files): (files[library].map { [$0] } ?? [], files[library] ?? "nothing was to be loaded")
      }
    var reasons: [String] = []
    var found: [(table: UnsafePointer<Table>, finding: Finding)] = []
    for candidate in candidates {
      guard let handle = dlopen(candidate, RTLD_LAZY | RTLD_LOCAL) else {
        let reason = dlerror().map { String(cString: $0) } ?? candidate
        // That a bare name is not on the loader's path goes without saying.
        if candidate.contains("/") || !reason.hasSuffix("No such file or directory") { reasons.append(reason) }
        continue
      }
      let table = UnsafeMutablePointer<Table>.allocate(capacity: 1)
      table.initialize(to: empty)
      var finding = Finding(library: library, places: places, reasons: [])
      let fault = find(handle, table).map { "it has no function \(String(cString: $0))" } ?? judge(table, &finding)
      if let fault {
        reasons.append("\(candidate): \(fault)")
        table.deallocate()
        dlclose(handle)
        continue
      }
      finding.path = Self.path(of: handle) ?? candidate
      // A file may have several names. One that is loaded stays: it may have started threads.
      if !found.contains(where: { $0.finding.path == finding.path }) { found.append((UnsafePointer(table), finding)) }
      if best == nil { break }
    }
    guard !found.isEmpty else { return Load(finding: Finding(library: library, places: places, reasons: reasons)) }
    var chosen = found[found.count > 1 ? best?(found) ?? 0 : 0]
    chosen.finding.reasons = reasons
    return Load(table: chosen.table, finding: chosen.finding)
  }

  private static func path(of handle: UnsafeMutableRawPointer) -> String? {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    guard martlet_library_path(handle, &path, path.count) != 0 else { return nil }
    return String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

extension CUDACompatibility {
  /// What is required of a library, for people.
  static func requirement(_ library: CUDALibrary) -> String {
    switch library {
    case .driver: "a driver of version \(oldest.driver) or later"
    case .nvrtc, .cublasLt: "\(library.title) of CUDA " + majors.sorted().map { "\($0)" }.joined(separator: " or ")
    case .cudnn: "cuDNN \(cudnnMajor)"
    }
  }
}

extension martlet_nvrtc {
  /// The compute capabilities that it compiles for, such as 90.
  fileprivate var architectures: [Int] {
    var count: Int32 = 0
    guard GetNumSupportedArchs(&count) == 0, count > 0 else { return [] }
    var known = [Int32](repeating: 0, count: Int(count))
    return GetSupportedArchs(&known) == 0 ? known.map(Int.init) : []
  }
}

extension martlet_cuda_driver {
  /// The compute capabilities of the machine's GPUs.
  fileprivate var capabilities: [Int] {
    var count: Int32 = 0
    guard Init(0) == 0, DeviceGetCount(&count) == 0 else { return [] }
    return (0..<count).compactMap { ordinal in
      var (device, major, minor): (Int32, Int32, Int32) = (0, 0, 0)
      guard DeviceGet(&device, ordinal) == 0, DeviceGetAttribute(&major, Int32(martlet_cuda_device_major), device) == 0,
        DeviceGetAttribute(&minor, Int32(martlet_cuda_device_minor), device) == 0
      else { return nil }
      return Int(major * 10 + minor)
    }
  }
}
