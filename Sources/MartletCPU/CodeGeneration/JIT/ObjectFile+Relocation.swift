import MartletDiagnostics

extension ObjectFile.Relocation {
  /// Whether it wants the place of its symbol's address rather than the symbol.
  func needsSlot(_ machine: ObjectFile.Machine) -> Bool {
    switch machine {
    case .x86:
      X86(rawValue: type).map { [.gotRelative, .relaxableGotRelative, .relaxableGotRelativeREX].contains($0) } ?? false
    case .arm: ARM(rawValue: type).map { [.gotPage, .gotLow64].contains($0) } ?? false
    }
  }

  /// Changes the instruction or number at `place`.
  ///
  /// - Parameters:
  ///   - position: the address of `place` when the code runs.
  ///   - room: the bytes at `place`.
  ///   - symbol: the symbol's address, or that of the jump to it.
  ///   - slot: where the symbol's address is in memory.
  /// - Throws: a diagnostic for a kind of relocation that code generated here has none of, and for a symbol out of reach.
  func apply(
    _ machine: ObjectFile.Machine, at place: UnsafeMutableRawPointer, position: UInt64, room: Int, symbol: UInt64,
    slot: UInt64?
  ) throws(Diagnostic) {
    let addend = UInt64(bitPattern: addend)
    func write<T: FixedWidthInteger>(_ value: T) throws(Diagnostic) {
      guard room >= MemoryLayout<T>.size else { throw ObjectFile.damage("a relocation is out of bounds") }
      place.storeBytes(of: value.littleEndian, as: T.self)
    }
    func relative(to target: UInt64) -> Int64 { Int64(bitPattern: target &+ addend &- position) }
    func write32(_ value: Int64) throws(Diagnostic) {
      guard let short = Int32(exactly: value) else { throw ObjectFile.damage("a symbol is out of reach") }
      try write(short)
    }
    func slotAddress() throws(Diagnostic) -> UInt64 {
      guard let slot else { throw ObjectFile.damage("a symbol has no entry") }
      return slot
    }

    switch machine {
    case .x86:
      switch X86(rawValue: type) {
      case .absolute64: try write(symbol &+ addend)
      case .relative32, .procedureRelative32: try write32(relative(to: symbol))
      case .relative64: try write(relative(to: symbol))
      case .gotRelative, .relaxableGotRelative, .relaxableGotRelativeREX:
        try write32(relative(to: slotAddress()))
      case nil: throw ObjectFile.damage("it has a relocation of kind \(type)")
      }
    case .arm:
      /// Replaces the bits of an instruction that `mask` has.
      func patch(_ bits: UInt32, _ mask: UInt32) throws(Diagnostic) {
        guard room >= 4 else { throw ObjectFile.damage("a relocation is out of bounds") }
        try write(UInt32(littleEndian: place.load(as: UInt32.self)) & ~mask | bits & mask)
      }
      func page(_ target: UInt64) throws(Diagnostic) {
        let pages = Int64(bitPattern: ((target &+ addend) & ~0xFFF) &- (position & ~0xFFF)) >> 12
        guard pages >= -(1 << 20), pages < 1 << 20 else { throw ObjectFile.damage("a symbol is out of reach") }
        let bits = UInt32(truncatingIfNeeded: pages)
        try patch((bits & 3) << 29 | (bits >> 2) << 5, 0x60FF_FFE0)
      }
      func low(_ target: UInt64, scale: Int) throws(Diagnostic) {
        let bits = UInt32((target &+ addend) & 0xFFF)
        guard bits & ((1 << UInt32(scale)) - 1) == 0 else { throw ObjectFile.damage("a symbol is misaligned") }
        try patch((bits >> UInt32(scale)) << 10, 0x003F_FC00)
      }
      guard position % 4 == 0 else { throw ObjectFile.damage("a relocation is misplaced") }
      switch ARM(rawValue: type) {
      case .absolute64: try write(symbol &+ addend)
      case .relative32: try write32(relative(to: symbol))
      case .relative64: try write(relative(to: symbol))
      case .page: try page(symbol)
      case .gotPage: try page(slotAddress())
      case .low8, .add: try low(symbol, scale: 0)
      case .low16: try low(symbol, scale: 1)
      case .low32: try low(symbol, scale: 2)
      case .low64: try low(symbol, scale: 3)
      case .low128: try low(symbol, scale: 4)
      case .gotLow64: try low(slotAddress(), scale: 3)
      case .jump, .call:
        let distance = relative(to: symbol)
        guard distance % 4 == 0, distance >= -(1 << 27), distance < 1 << 27 else {
          throw ObjectFile.damage("a symbol is out of reach")
        }
        try patch(UInt32(truncatingIfNeeded: distance >> 2), 0x03FF_FFFF)
      case nil: throw ObjectFile.damage("it has a relocation of kind \(type)")
      }
    }
  }

  /// Source: System V ABI, AMD64 supplement, table 4.9.
  private enum X86: UInt32 {
    case absolute64 = 1
    case relative32 = 2
    case procedureRelative32 = 4
    case gotRelative = 9
    case relative64 = 24
    case relaxableGotRelative = 41
    case relaxableGotRelativeREX = 42
  }

  /// Source: ELF for the Arm 64-bit Architecture, section 5.7.
  private enum ARM: UInt32 {
    case absolute64 = 257
    case relative64 = 260
    case relative32 = 261
    case page = 275
    case add = 277
    case low8 = 278
    case jump = 282
    case call = 283
    case low16 = 284
    case low32 = 285
    case low64 = 286
    case low128 = 299
    case gotPage = 311
    case gotLow64 = 312
  }
}
