import MartletTensors

/// Arrays on which expressions and programs are run before and after they are rewritten. They depend on the kind, the
/// type and a key alone.
enum ProofFeeds: String, CaseIterable {
  /// Between −2 and 2; small integers.
  case ordinary
  /// Between 0 and 1, without 0; integers 0 and 1.
  case positive
  /// Whole numbers from −3 to 3, so that many are equal; zeros of both signs.
  case whole
  /// Up to the square root of the type's greatest number, of either sign.
  case large
  /// Down to the type's smallest numbers, of either sign; integers at the ends of their type.
  case extreme
  /// All of these, infinities and NaN.
  case special

  /// The kinds on which a promise is tested.
  static func kinds(finite: Bool) -> [ProofFeeds] { allCases.filter { !finite || $0 != .special } }

  /// An array of this kind.
  ///
  /// - Parameter key: tells arrays of one type apart.
  func array(_ type: ElementType, _ shape: [Int], key: UInt32) -> Tensor {
    let count = shape.reduce(1, *)
    var random = RandomNumbers(key: key &* 31 &+ kindNumber)
    switch type {
    case .float32: return Tensor((0..<count).map { _ in float32(&random) }, shape: shape)
    case .float64: return Tensor((0..<count).map { _ in float64(&random) }, shape: shape)
    case .float16, .bfloat16:
      return Tensor(rounding: (0..<count).map { _ in half(&random, type) }, shape: shape, as: type)
    case .int32:
      return Tensor((0..<count).map { _ in Int32(truncatingIfNeeded: integer(&random, bits: 32)) }, shape: shape)
    case .int64: return Tensor((0..<count).map { _ in Int64(integer(&random, bits: 64)) }, shape: shape)
    case .uint8:
      return Tensor((0..<count).map { _ in UInt8(truncatingIfNeeded: integer(&random, bits: 8)) }, shape: shape)
    case .bool: return Tensor((0..<count).map { _ in random.below(2) == 1 }, shape: shape)
    default: return Tensor(zeros: type, shape: shape)
    }
  }

  private var kindNumber: UInt32 { UInt32(Self.allCases.firstIndex(of: self) ?? 0) }

  private func float32(_ random: inout RandomNumbers) -> Float {
    let sign: Float = random.below(2) == 0 ? 1 : -1
    switch self {
    case .ordinary, .positive, .whole: return Float(benign(&random))
    case .large: return sign * Float(1 + random.unit()) * Float(sign: .plus, exponent: random.below(63), significand: 1)
    case .extreme:
      return sign * Float(1 + random.unit()) * Float(sign: .plus, exponent: -100, significand: 1)
        * Float(sign: .plus, exponent: -random.below(49), significand: 1)
    case .special:
      let specials: [Float] = [.infinity, -.infinity, .nan, 0, -0.0, 1, -1, .greatestFiniteMagnitude]
      return random.below(2) == 0 ? specials[random.below(specials.count)] : Float(4 * random.unit() - 2)
    }
  }

  private func float64(_ random: inout RandomNumbers) -> Double {
    let sign: Double = random.below(2) == 0 ? 1 : -1
    switch self {
    case .ordinary, .positive, .whole: return benign(&random)
    case .large: return sign * (1 + random.unit()) * Double(sign: .plus, exponent: random.below(510), significand: 1)
    case .extreme:
      return sign * (1 + random.unit()) * Double(sign: .plus, exponent: -random.below(1074), significand: 1)
    case .special:
      let specials: [Double] = [.infinity, -.infinity, .nan, 0, -0.0, 1, -1, .greatestFiniteMagnitude]
      return random.below(2) == 0 ? specials[random.below(specials.count)] : 4 * random.unit() - 2
    }
  }

  private func half(_ random: inout RandomNumbers, _ type: ElementType) -> Double {
    let magnitude = (random.below(2) == 0 ? 1 : -1) * (1 + random.unit())
    switch self {
    case .ordinary, .positive, .whole: return benign(&random)
    case .large:
      let exponent = random.below(type == .float16 ? 7 : 63)
      return magnitude * Double(sign: .plus, exponent: exponent, significand: 1)
    case .extreme:
      return magnitude * type.leastNonzeroMagnitude * Double(sign: .plus, exponent: random.below(12), significand: 1)
    case .special:
      let specials = [.infinity, -.infinity, .nan, 0, -0.0, 1, -1, type.greatestFiniteMagnitude]
      return random.below(2) == 0 ? specials[random.below(specials.count)] : 4 * random.unit() - 2
    }
  }

  private func benign(_ random: inout RandomNumbers) -> Double {
    switch self {
    case .positive: return 1 - random.unit()
    case .whole:
      let value = Double(random.below(7) - 3)
      return value == 0 && random.below(2) == 0 ? -0.0 : value
    default: return 4 * random.unit() - 2
    }
  }

  private func integer(_ random: inout RandomNumbers, bits: Int) -> Int {
    switch self {
    case .ordinary: return random.below(4)
    case .positive: return random.below(2)
    case .whole: return random.below(7) - 3
    case .large: return random.below(1 << 20) - (1 << 19)
    case .extreme, .special:
      let highest = Int.max >> (64 - bits)
      let choices = [highest, -highest - 1, 0, 1, -1, highest - 1]
      return choices[random.below(choices.count)]
    }
  }
}

/// Numbers from a counter and a key.
struct RandomNumbers {
  private let key: UInt32
  private var position: UInt32 = 0

  init(key: UInt32) { self.key = key }

  private mutating func next() -> UInt32 {
    position &+= 1
    return Philox.block(counter: (position, 0, 0, 0), key: (key, 0x70726F66)).0
  }

  /// From 0 to 1, without 1.
  mutating func unit() -> Double { Double(next()) / 4_294_967_296 }

  mutating func below(_ count: Int) -> Int { Int(unit() * Double(count)) }
}

extension Tensor {
  /// The array in double precision, if it is one of `float32`.
  var widened: Tensor { elementType == .float32 ? Tensor(doubles(), shape: shape) : self }

  /// The array in double precision with each element moved by half a unit in its last place in `float32`, up or down;
  /// integers as they are.
  func moved(key: UInt32) -> Tensor {
    guard elementType == .float32 else { return self }
    var random = RandomNumbers(key: key)
    let elements = doubles().map { x in x + (random.below(2) == 0 ? 0x1p-24 : -0x1p-24) * x }
    return Tensor(elements, shape: shape)
  }

  /// The array with each finite float moved up or down by a part of itself, and rounded to its type.
  func moved(byParts part: Double, key: UInt32) -> Tensor {
    guard elementType.isFloatingPoint else { return self }
    var random = RandomNumbers(key: key)
    let elements = doubles().map { x in
      let moved = x + (random.below(2) == 0 ? part : -part) * x
      return x.isFinite ? moved : x
    }
    return Tensor(rounding: elements, shape: shape, as: elementType)
  }

  /// The position of an element by its number: `[0, 3]`.
  func position(of element: Int) -> String {
    var rest = element
    var indices: [Int] = []
    for extent in shape.reversed() {
      indices.insert(rest % Swift.max(extent, 1), at: 0)
      rest /= Swift.max(extent, 1)
    }
    return "[\(indices.map(String.init).joined(separator: ", "))]"
  }
}
