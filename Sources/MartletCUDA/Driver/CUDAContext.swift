import CMartletRuntime
import Foundation
import MartletDiagnostics
import Synchronization

/// The primary context of a GPU, which all of the process share; held as long as this object lives.
///
/// Everything that is made in it keeps it.
public final class CUDAContext: @unchecked Sendable {
  public let libraries: CUDALibraries
  public let ordinal: Int
  /// What code is generated for.
  public let device: CUDADevice
  /// The device's name, such as `NVIDIA H100 80GB HBM3`.
  public let name: String
  /// All of the device's memory.
  public let memoryBytes: Int
  /// The newest CUDA that the driver runs.
  public let driverVersion: CUDAVersion
  let driver: UnsafePointer<martlet_cuda_driver>
  private let handle: martlet_cuda_context
  private let deviceHandle: Int32
  private let lock: DeviceLock

  private final class DeviceLock: @unchecked Sendable { let recursive = NSRecursiveLock() }

  private struct Place: Hashable {
    var driver: UInt
    var ordinal: Int
  }
  /// One for each device, which all contexts of the process share.
  private static let locks = Mutex<[Place: DeviceLock]>([:])

  /// How many GPUs the driver shows.
  ///
  /// - Throws: A diagnostic where there is no driver, or it has no GPU.
  public static func deviceCount(_ libraries: CUDALibraries = .standard) throws(Diagnostic) -> Int {
    let driver = try libraries.driver()
    do throws(CUDAFailure) {
      try driver.check(driver.pointee.Init(0), "cuInit")
      var count: Int32 = 0
      try driver.check(driver.pointee.DeviceGetCount(&count), "cuDeviceGetCount")
      return Int(count)
    } catch {
      throw error.diagnostic(hint: "'martlet doctor' shows what of CUDA there is")
    }
  }

  /// - Throws: A diagnostic where there is no driver or no such device, or the device cannot be used.
  public init(ordinal: Int, libraries: CUDALibraries = .standard) throws(Diagnostic) {
    let count = try Self.deviceCount(libraries)
    guard 0..<count ~= ordinal else {
      throw Diagnostic(
        "there is no device cuda:\(ordinal)",
        found: count == 0 ? "no GPU" : "\(count) GPU\(count == 1 ? "" : "s"), cuda:0 to cuda:\(count - 1)")
    }
    let driver = try libraries.driver()
    var version: Int32 = 0
    var deviceHandle: Int32 = 0
    var memory = 0
    var title = [CChar](repeating: 0, count: 256)
    var context: martlet_cuda_context?
    do throws(CUDAFailure) {
      try driver.check(driver.pointee.DriverGetVersion(&version), "cuDriverGetVersion")
      try driver.check(driver.pointee.DeviceGet(&deviceHandle, Int32(ordinal)), "cuDeviceGet")
      try driver.check(driver.pointee.DeviceGetName(&title, Int32(title.count), deviceHandle), "cuDeviceGetName")
      try driver.check(driver.pointee.DeviceTotalMem(&memory, deviceHandle), "cuDeviceTotalMem_v2")
      func attribute(_ number: Int) throws(CUDAFailure) -> Int {
        var value: Int32 = 0
        try driver.check(
          driver.pointee.DeviceGetAttribute(&value, Int32(number), deviceHandle), "cuDeviceGetAttribute")
        return Int(value)
      }
      device = CUDADevice(
        capability: try attribute(martlet_cuda_device_major) * 10 + attribute(martlet_cuda_device_minor),
        sharedBytes: try attribute(martlet_cuda_device_shared_bytes),
        mostSharedBytes: try attribute(martlet_cuda_device_most_shared_bytes),
        multiprocessors: try attribute(martlet_cuda_device_multiprocessors))
      try driver.check(driver.pointee.DevicePrimaryCtxRetain(&context, deviceHandle), "cuDevicePrimaryCtxRetain")
    } catch {
      throw error.diagnostic(operation: "cuda:\(ordinal)")
    }
    guard let context else { throw Diagnostic("the driver gave no context for cuda:\(ordinal)") }
    self.libraries = libraries
    self.ordinal = ordinal
    self.driver = driver
    self.deviceHandle = deviceHandle
    handle = context
    name = String(decoding: title.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    memoryBytes = memory
    driverVersion = CUDAVersion(thousands: Int(version))
    let place = Place(driver: UInt(bitPattern: driver), ordinal: ordinal)
    lock = Self.locks.withLock { locks in
      let lock = locks[place] ?? DeviceLock()
      locks[place] = lock
      return lock
    }
  }

  deinit {
    _ = driver.pointee.DevicePrimaryCtxRelease(deviceHandle)
  }

  /// Makes this the context of the calling thread, at the price of a comparison where it is already. All that is made in a
  /// context does this by itself.
  public func makeCurrent() throws(CUDAFailure) {
    try driver.check(martlet_cuda_make_current(driver, handle), "cuCtxSetCurrent")
  }

  /// Does something that other threads' captures on the device do not bear, or captures: making and releasing memory, modules and
  /// libraries' handles may wait for the whole device, which breaks a capture under way.
  func exclusively<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    lock.recursive.lock()
    defer { lock.recursive.unlock() }
    return try body()
  }

  /// The device's memory that nobody has.
  public func freeBytes() throws(CUDAFailure) -> Int {
    try makeCurrent()
    var (free, total) = (0, 0)
    try driver.check(driver.pointee.MemGetInfo(&free, &total), "cuMemGetInfo_v2")
    return free
  }
}
