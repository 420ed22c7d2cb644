import MartletTensors

extension Tensor {
  /// Whether each element lies at a multiple of its size, as kernels assume.
  var isAligned: Bool { Int(bitPattern: storage.bytes) % elementType.byteWidth == 0 }

  /// The tensor itself if it is aligned, else a copy that is.
  package var aligned: Tensor {
    if isAligned { return self }
    var copy = Tensor(uninitialized: elementType, shape: shape)
    copy.withUnsafeMutableBytes { target in
      withUnsafeBytes { source in target.copyMemory(from: source) }
    }
    return copy
  }
}
