/// Which driver runs which CUDA, and which cuDNN goes with it.
///
/// NVIDIA, "CUDA Toolkit Release Notes", the table of toolkits and drivers for Linux; "CUDA Compatibility", minor version
/// compatibility: a driver runs all libraries of the major versions that it knows; "cuDNN Support Matrix".
public enum CUDACompatibility {
  /// A driver, and the newest CUDA that it was made for.
  public struct Row: Hashable, Sendable {
    /// The oldest driver with this CUDA.
    public var driver: String
    public var cuda: CUDAVersion
    /// What cuDNN's packages call the build.
    public var cudnn: String
    /// The oldest compute capability that this CUDA's compiler knows.
    public var capability: Int
  }

  /// Oldest first.
  public static let rows: [Row] =
    [
      ("525.60.13", 12, 0), ("530.30.02", 12, 1), ("535.54.03", 12, 2), ("545.23.06", 12, 3), ("550.54.14", 12, 4),
      ("555.42.02", 12, 5), ("560.28.03", 12, 6), ("570.26", 12, 8), ("575.51.03", 12, 9), ("580.65.06", 13, 0),
      ("590.44.01", 13, 1),
    ].map { driver, major, minor in
      Row(
        driver: driver, cuda: CUDAVersion(major: major, minor: minor), cudnn: "cuDNN 9 for CUDA \(major).x",
        capability: major >= 13 ? 75 : 50)
    }

  public static var oldest: Row { rows[0] }
  /// The major versions of CUDA that will do, newest first.
  public static let majors = [13, 12]
  public static let cudnnMajor = 9

  /// The row of the newest CUDA that is not newer than this one; nil where the version is too old.
  public static func row(for cuda: CUDAVersion) -> Row? { rows.last { $0.cuda <= cuda } }

  /// Whether a library that was made for one major version of CUDA runs on a driver of some version.
  public static func runs(major: Int, onDriver driver: CUDAVersion) -> Bool {
    majors.contains(major) && major <= driver.major
  }

  /// Which of several compilers to take: one that knows the most of these GPUs; of such the newest that is not newer than the
  /// driver, or else the oldest that is; the first of equal ones.
  ///
  /// - Parameters:
  ///   - compilers: in the order in which they were found.
  ///   - capabilities: of the machine's GPUs, such as 90.
  ///   - driver: the newest CUDA that the driver runs.
  static func bestCompiler(
    of compilers: [(version: CUDAVersion, architectures: [Int])], for capabilities: [Int], driver: CUDAVersion?
  ) -> Int {
    func isBetter(_ a: Int, _ b: Int) -> Bool {
      let (x, y) = (compilers[a], compilers[b])
      func known(_ architectures: [Int]) -> Int { capabilities.count { architectures.contains($0) } }
      let (first, second) = (known(x.architectures), known(y.architectures))
      if first != second { return first > second }
      guard let driver, x.version > driver || y.version > driver else { return x.version > y.version }
      return x.version < y.version
    }
    return compilers.indices.dropFirst().reduce(0) { best, next in isBetter(next, best) ? next : best }
  }

  /// What a driver of this version runs, for people.
  public static func text(driver: CUDAVersion) -> String {
    let known = majors.filter { $0 <= driver.major }
    guard !known.isEmpty else {
      return "too old: CUDA \(oldest.cuda) needs a driver of version \(oldest.driver) or later"
    }
    let choice = known.map { "CUDA \($0).x with cuDNN \(cudnnMajor) for CUDA \($0)" }
    return "it fits " + choice.joined(separator: ", or ")
  }
}
