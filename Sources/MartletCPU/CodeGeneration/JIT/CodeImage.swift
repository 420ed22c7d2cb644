import CMartletRuntime
import Foundation
import MartletDiagnostics

/// The code of one object file, loaded as long as this object lives.
///
/// Code can be run and read, constants only be read, and nothing be written. What code calls of the C library goes over
/// entries of 16 bytes, a jump and the address that it goes to, so that it does not matter how far away it is.
final class CodeImage: @unchecked Sendable {
  /// Bytes of the object file.
  let byteCount: Int
  private let memory: UnsafeMutableRawPointer
  private let length: Int
  private var addresses: [String: UInt] = [:]

  /// - Parameter resolve: the address of a function that the object calls; see `address(ofExternal:)`.
  /// - Throws: a diagnostic for an object that needs more than is known here.
  init(
    _ object: ObjectFile, resolve: (String) -> UInt? = CodeImage.address(ofExternal:)
  ) throws(Diagnostic) {
    byteCount = object.bytes.count
    let layout = try Layout(object)
    length = layout.length
    guard
      let memory = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED
    else { throw Diagnostic("there is no memory for machine code", found: "\(length) bytes") }
    self.memory = memory
    for section in object.sections {
      guard let offset = layout.offsets[section.number] else { continue }
      object.bytes.withUnsafeBytes {
        memory.advanced(by: offset).copyMemory(
          from: $0.baseAddress! + section.range.lowerBound, byteCount: section.range.count)
      }
    }
    try link(object, layout, resolve)
    guard mprotect(memory, layout.codeLength, PROT_READ | PROT_EXEC) == 0,
      mprotect(memory + layout.codeLength, length - layout.codeLength, PROT_READ) == 0
    else { throw Diagnostic("the system does not let generated code run: \(String(cString: strerror(errno)))") }
    martlet_code_flush(memory, length)
  }

  deinit { munmap(memory, length) }

  /// The address of a function in it.
  func address(of symbol: String) throws(Diagnostic) -> UInt {
    guard let address = addresses[symbol] else { throw ObjectFile.damage("it has no function \(symbol)") }
    return address
  }

  /// A function that generated code may call: ours, or one of the C library and what else the process has.
  static func address(ofExternal name: String) -> UInt? {
    if name == KernelFault.raiseName { return KernelFault.raiseAddress }
    return dlsym(nil, name).map { UInt(bitPattern: $0) }
  }

  private func link(
    _ object: ObjectFile, _ layout: Layout, _ resolve: (String) -> UInt?
  ) throws(Diagnostic) {
    let base = UInt64(UInt(bitPattern: memory))
    var targets: [UInt64] = []
    for (number, symbol) in object.symbols.enumerated() {
      var target: UInt64 = 0
      if let section = symbol.section, let offset = layout.offsets[section] {
        target = base &+ UInt64(offset) &+ symbol.value
        if symbol.isGlobal, layout.isCode(symbol) { addresses[symbol.name] = UInt(target) }
      } else if symbol.section == nil, layout.entries[number] != nil {
        guard let address = resolve(symbol.name) else {
          throw ObjectFile.damage("there is no function \(symbol.name)")
        }
        target = UInt64(address)
      }
      targets.append(target)
    }
    for (symbol, offset) in layout.entries {
      JumpEntry.write(to: targets[symbol], at: memory + offset, object.machine)
    }
    for relocation in object.relocations {
      guard let offset = layout.offsets[relocation.section] else { continue }
      let entry = layout.entries[relocation.symbol].map { base + UInt64($0) }
      let isExternal = object.symbols[relocation.symbol].section == nil
      try relocation.apply(
        object.machine, at: memory + offset + relocation.offset,
        position: base + UInt64(offset + relocation.offset), room: layout.room(relocation),
        symbol: isExternal ? entry ?? 0 : targets[relocation.symbol],
        slot: entry.map { $0 + UInt64(JumpEntry.addressOffset) })
    }
  }
}

/// Where an object's sections lie in memory: code, the entries of external functions, then constants on pages of their own.
private struct Layout {
  /// By the sections' numbers.
  var offsets: [Int: Int] = [:]
  /// By the symbols' numbers.
  var entries: [Int: Int] = [:]
  var codeLength = 0
  var length = 0
  private var sizes: [Int: Int] = [:]

  private static let largest = 1 << 30

  init(_ object: ObjectFile) throws(Diagnostic) {
    let page = Int(getpagesize())
    for section in object.sections where section.isExecutable { place(section) }
    length = (length + JumpEntry.byteCount - 1) & -JumpEntry.byteCount
    for relocation in object.relocations where entries[relocation.symbol] == nil {
      guard object.symbols[relocation.symbol].section == nil || relocation.needsSlot(object.machine) else { continue }
      entries[relocation.symbol] = length
      length += JumpEntry.byteCount
    }
    length = (max(length, 1) + page - 1) & -page
    codeLength = length
    for section in object.sections where !section.isExecutable { place(section) }
    length = (length + page - 1) & -page
    guard length <= Self.largest else { throw ObjectFile.damage("it has too much code") }
  }

  private mutating func place(_ section: ObjectFile.Section) {
    length = (length + section.alignment - 1) & -section.alignment
    offsets[section.number] = length
    sizes[section.number] = section.range.count
    length += section.range.count
  }

  /// Whether a symbol is a place in code.
  func isCode(_ symbol: ObjectFile.Symbol) -> Bool {
    guard let section = symbol.section, let offset = offsets[section], let size = sizes[section] else { return false }
    return offset < codeLength && symbol.value < UInt64(size)
  }

  /// The bytes from a relocation's place to the end of its section.
  func room(_ relocation: ObjectFile.Relocation) -> Int { (sizes[relocation.section] ?? 0) - relocation.offset }
}

/// A jump to a function anywhere in memory.
private enum JumpEntry {
  static let byteCount = 16
  /// Where in the entry the function's address is.
  static let addressOffset = 8

  static func write(to target: UInt64, at place: UnsafeMutableRawPointer, _ machine: ObjectFile.Machine) {
    let code: UInt64 =
      switch machine {
      case .x86: 0x9090_0000_0002_25FF  // jmp *2(%rip); nop; nop
      case .arm: 0xD61F_0200_5800_0050  // ldr x16, #8; br x16
      }
    place.storeBytes(of: code.littleEndian, as: UInt64.self)
    place.storeBytes(of: target.littleEndian, toByteOffset: addressOffset, as: UInt64.self)
  }
}
