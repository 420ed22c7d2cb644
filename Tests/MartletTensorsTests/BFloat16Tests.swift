import MartletTensors
import Testing

@Suite struct BFloat16Tests {
  @Test func everyPatternIsTheUpperHalfOfAFloat() {
    for pattern in UInt16.min...UInt16.max {
      let x = BFloat16(bitPattern: pattern)
      #expect(x.float.bitPattern == UInt32(pattern) << 16)
      let back = BFloat16(x.float)
      #expect(back.bitPattern == (x.float.isNaN ? pattern | 0x40 : pattern))
      #expect(BFloat16(Double(x.float)).float.isNaN == x.float.isNaN)
      if !x.float.isNaN { #expect(BFloat16(Double(x.float)).bitPattern == pattern) }
    }
  }

  /// The neighbours of a number, found by distance in exact arithmetic; of two as near, that with the even pattern.
  private func nearest(_ x: Double) -> UInt16 {
    let sign: UInt16 = x.sign == .minus ? 0x8000 : 0
    var (low, high): (UInt16, UInt16) = (0, 0x7F80)
    func value(_ pattern: UInt16) -> Double {
      // Infinity stands where the next number would be.
      pattern == 0x7F80 ? 0x1p128 : Double(Float(bitPattern: UInt32(pattern) << 16))
    }
    while low + 1 < high {
      let middle = (low + high) / 2
      if value(middle) <= x.magnitude { low = middle } else { high = middle }
    }
    let (below, above) = (x.magnitude - value(low), value(high) - x.magnitude)
    return sign | (below < above || (below == above && low % 2 == 0) ? low : high)
  }

  @Test func floatsGoToTheNearest() {
    // Each pattern's neighbourhood: ties, and a last digit to either side of them.
    for pattern in stride(from: UInt32(0), through: 0x7F7F, by: 37) {
      for low: UInt32 in [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
        let x = Float(bitPattern: pattern << 16 | low)
        #expect(BFloat16(x).bitPattern == nearest(Double(x)), "\(x)")
        #expect(BFloat16(-x).bitPattern == nearest(-Double(x)), "\(-x)")
      }
    }
    #expect(BFloat16(Float.greatestFiniteMagnitude).bitPattern == 0x7F80)
    #expect(BFloat16(-Float.infinity).bitPattern == 0xFF80)
    #expect(BFloat16(Float(bitPattern: 0xFF80_0001)).bitPattern == 0xFFC0)
  }

  /// By way of a float, these would be rounded to a tie and then to the wrong side.
  @Test(arguments: [
    1 + 0x1p-8 + 0x1p-40, 1 + 0x3p-8 - 0x1p-40, 0x1p-134 + 0x1p-160, 0x1.FFp127, 0x1.FEFFFFFFFFp127, 1e300,
  ])
  func doublesAreRoundedOnce(_ x: Double) {
    if x < 0x1p128 { #expect(BFloat16(x).bitPattern == nearest(x)) } else { #expect(BFloat16(x).float == .infinity) }
    if x < 0x1p128 { #expect(BFloat16(-x).bitPattern == nearest(-x)) }
  }

  @Test func tensors() {
    let tensor = Tensor([1, -0.5, 3.140625, .infinity] as [BFloat16], shape: [2, 2])
    #expect(tensor.byteCount == 8)
    #expect(tensor.doubles() == [1, -0.5, 3.140625, .infinity])
    #expect("\(tensor)" == "bfloat16[2, 2] [[1.0, -0.5], [3.140625, inf]]")
    #expect(Tensor(rounding: [1.01, 1e-8], shape: [2], as: .bfloat16).doubles() == [1.0078125, 0x1.58p-27])
    #expect(Tensor(rounding: [65519, 65520], shape: [2], as: .float16).doubles() == [65504, .infinity])
    #expect(Tensor([0.1, -2] as [Float16]).doubles() == [0.0999755859375, -2])
  }
}
