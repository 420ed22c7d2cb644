import MartletGraph

/// What library calls on a GPU may do.
struct CUDALibraryOptions: Hashable, Sendable {
  /// Whether factors of f32 products and convolutions may be rounded to TF32 (10 bits behind the point).
  var allowsTF32 = false
  /// Whether factors of f32 products may be rounded to bfloat16 (7 bits behind the point).
  var allowsBFloat16 = false
  /// Whether the gradient of maximum pooling may go to any of equal maxima.
  var allowsAnyMaximum = false
  /// Whether calls must compute what the operations would by themselves: no transforms that round more, no ReLU that hides
  /// NaN.
  var isExact = false
  /// Whether the same call must give the same bits in every process on the same device: nothing is chosen by time.
  var isDeterministic = false
  /// The most scratch memory of a call.
  var scratchLimit = 64 << 20
  /// Whether what is fastest is found by running it, when a call is first prepared.
  var measures = true
}

extension Epilogue {
  /// Whether cuBLASLt has it: a scale, a bias, a residual, a ReLU, or behind a bias a GELU with a tangent, or without these the
  /// gradient of one of the two.
  func isDoneByCublasLt(exactly isExact: Bool) -> Bool {
    var plain = self
    (plain.scale, plain.hasMask, plain.hasGELUInput) = (1, false, false)
    // It may multiply by 0, which infinity survives.
    if isGradient, isExact || hasBias || activation != nil || hasMask && hasGELUInput { return false }
    return (abs(scale) == 1 || !isExact)
      && (activation == .geluByTanh ? hasBias && !isExact : plain.isDoneByCuDNN(exactly: isExact))
  }

  /// Whether cuDNN has it: a bias, a residual, a ReLU.
  func isDoneByCuDNN(exactly isExact: Bool) -> Bool {
    scale == 1 && !isGradient && (activation == nil || activation == .relu(slope: 0) && !isExact)
  }
}

/// Pieces of a call's scratch memory, each at a multiple of 256 bytes, as libraries want their workspaces.
struct CUDAScratchLayout {
  private var end = 0

  /// With what it may take to come to a multiple of 256; scratch memory begins at one of 64.
  var byteCount: Int { end > 0 ? end + 192 : 0 }

  /// The offset of the next piece.
  mutating func add(_ bytes: Int) -> Int {
    defer { end += (bytes + 255) / 256 * 256 }
    return end
  }

  /// Where the pieces begin in scratch memory.
  static func begin(_ address: UInt64) -> UInt64 { (address + 255) & ~255 }
}
