import MartletGraph
import MartletTensors

/// A batch normalization of images with two values, the same in all channels, whose results are known in double precision. Scales
/// and offsets differ among channels, and the moments of a gradient are not those of the images.
struct CUDANormalizationTrial {
  private let n: BatchNormalization

  init(_ normalization: BatchNormalization) { n = normalization }

  /// A vector, or the images in the order of their pixels: one byte up to some place, and another from there on.
  private struct Halves {
    var first: UInt8
    var second: UInt8
    var end: Int

    func numbers(_ type: ElementType) -> (first: Double, second: Double) {
      (CUDANormalizationTrial.number(first, type), CUDANormalizationTrial.number(second, type))
    }
    func number(at i: Int, _ type: ElementType) -> Double {
      i < end ? numbers(type).first : numbers(type).second
    }
  }

  private var x: Halves { Halves(first: 0x3F, second: 0xBE, end: n.count / 2) }
  private var upstream: Halves { Halves(first: 0x3E, second: 0xBD, end: max(1, n.count / 4)) }
  private var scale: Halves { Halves(first: 0x3F, second: 0x3E, end: n.channels / 2) }
  private var offset: Halves { Halves(first: 0x3D, second: 0xBE, end: n.channels / 3) }
  private static let mean: UInt8 = 0x3D
  private static let variance: UInt8 = 0x3E
  /// So many elements at each end of the images are looked at.
  private static let looked = 4096

  /// The number that has this byte in all its places.
  private static func number(_ byte: UInt8, _ type: ElementType) -> Double {
    let bits = UInt32(byte) * 0x0101_0101
    return switch type {
    case .float16: Double(Float16(bitPattern: UInt16(truncatingIfNeeded: bits)))
    case .bfloat16: Double(Float(bitPattern: bits & 0xFFFF_0000))
    default: Double(Float(bitPattern: bits))
    }
  }

  // MARK: Operands

  func fill(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    switch n.role {
    case .forward:
      try fillImages(x, on: stream, slots[0])
      try fillVector(scale, on: stream, slots[1])
      try fillVector(offset, on: stream, slots[2])
    case .backward:
      try fillImages(upstream, on: stream, slots[0])
      try fillImages(x, on: stream, slots[1])
      try fillVector(scale, on: stream, slots[2])
      try stream.fill(slots[3], byte: Self.mean, byteCount: n.vectorBytes)
      try stream.fill(slots[4], byte: Self.variance, byteCount: n.vectorBytes)
    }
  }

  private func fillVector(_ halves: Halves, on stream: CUDAStream, _ address: UInt64) throws(CUDAFailure) {
    try stream.fill(address, byte: halves.second, byteCount: n.vectorBytes)
    if halves.end > 0 { try stream.fill(address, byte: halves.first, byteCount: 4 * halves.end) }
  }

  private func fillImages(_ halves: Halves, on stream: CUDAStream, _ address: UInt64) throws(CUDAFailure) {
    try stream.fill(address, byte: halves.second, byteCount: n.imageBytes)
    let width = n.elementType.byteWidth
    let pixels = n.isChannelsFirst ? n.height * n.width : n.count
    let (whole, rest) = n.isChannelsFirst ? (halves.end / pixels, halves.end % pixels) : (0, halves.end)
    let imageBytes = pixels * n.channels * width
    if whole > 0 { try stream.fill(address, byte: halves.first, byteCount: whole * imageBytes) }
    guard rest > 0 else { return }
    let begin = address + UInt64(whole * imageBytes)
    if !n.isChannelsFirst { return try stream.fill(begin, byte: halves.first, byteCount: rest * n.channels * width) }
    for channel in 0..<n.channels {
      try stream.fill(
        begin + UInt64(channel * pixels * width), byte: halves.first, byteCount: rest * width)
    }
  }

  // MARK: Results

  /// Whether the results are what they should be, behind the call.
  func holds(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) -> Bool {
    let single = 1e-4
    let type = n.elementType
    let tolerance = type.isHalf ? 4 / Double(1 << type.significandWidth) : single
    let total = n.count * n.channels
    let looked = min(total, Self.looked)
    let image = slots[n.operandCount]
    for begin in [0, total - looked] {
      let found = try numbers(image + UInt64(begin * type.byteWidth), looked, type, on: stream)
      for (i, number) in found.enumerated() {
        let (pixel, channel) = place(begin + i)
        let expected = expectedImage(pixel, channel)
        guard abs(number - expected) <= tolerance * (1 + abs(expected)) else { return false }
      }
    }
    for (i, wanted) in expectedVectors.enumerated() {
      let found = try numbers(slots[n.operandCount + 1 + i], n.channels, .float32, on: stream)
      // Sums over a channel round as much more.
      let sum = n.role == .forward ? 1 : Double(n.count)
      guard found.allSatisfy({ abs($0 - wanted) <= single * (sum + abs(wanted)) }) else { return false }
    }
    return true
  }

  private func numbers(
    _ address: UInt64, _ count: Int, _ type: ElementType, on stream: CUDAStream
  ) throws(CUDAFailure) -> [Double] {
    let host = try PinnedMemory(stream.context, byteCount: count * type.byteWidth)
    defer { withExtendedLifetime(host) { try? stream.synchronize() } }
    try stream.copy(toHost: host.bytes, from: address, byteCount: host.byteCount)
    try stream.synchronize()
    let storage = TensorStorage(
      adopting: host.bytes.assumingMemoryBound(to: UInt8.self), byteCount: host.byteCount
    ) { _ in }
    return Tensor(elementType: type, shape: [count], storage: storage).doubles()
  }

  private func place(_ element: Int) -> (pixel: Int, channel: Int) {
    guard n.isChannelsFirst else { return (element / n.channels, element % n.channels) }
    let plane = n.height * n.width
    let row = element / plane
    return (row / n.channels * plane + element % plane, row % n.channels)
  }

  // MARK: Definitions

  private var moments: (mean: Double, variance: Double) {
    if n.role == .backward { return (Self.number(Self.mean, .float32), Self.number(Self.variance, .float32)) }
    let (a, b) = x.numbers(n.elementType)
    let share = Double(x.end) / Double(n.count)
    return (share * a + (1 - share) * b, share * (1 - share) * (a - b) * (a - b))
  }

  private var inverseDeviation: Double { 1 / (moments.variance + Double(n.epsilon)).squareRoot() }

  private func normal(_ pixel: Int) -> Double {
    (x.number(at: pixel, n.elementType) - moments.mean) * inverseDeviation
  }

  /// The gradients of scale and offset.
  private var sums: (scale: Double, offset: Double) {
    let (first, second) = upstream.numbers(n.elementType)
    let (low, middle, all) = (Double(upstream.end), Double(x.end), Double(n.count))
    let (a, b) = (normal(0), normal(n.count - 1))
    return (
      low * first * a + (middle - low) * second * a + (all - middle) * second * b, low * first + (all - low) * second
    )
  }

  private func expectedImage(_ pixel: Int, _ channel: Int) -> Double {
    let slope = scale.number(at: channel, .float32)
    if n.role == .forward { return slope * normal(pixel) + offset.number(at: channel, .float32) }
    let inner = (sums.offset + normal(pixel) * sums.scale) / Double(n.count)
    return slope * inverseDeviation * (upstream.number(at: pixel, n.elementType) - inner)
  }

  /// The results behind the first.
  private var expectedVectors: [Double] {
    if n.role == .backward { return [sums.scale, sums.offset] }
    let (mean, variance) = moments
    return [mean, variance * Double(n.count) / Double(n.count - 1), mean, variance]
  }
}
