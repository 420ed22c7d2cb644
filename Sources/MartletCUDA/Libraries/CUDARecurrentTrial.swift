import Foundation
import MartletGraph

/// A recurrent layer with operands for which all its cells do the same, so that a recurrence of numbers tells what comes out.
/// Each gate's biases are others.
struct CUDARecurrentTrial {
  private let network: RecurrentNetwork

  init(_ network: RecurrentNetwork) { self.network = network }

  // Floats of four equal bytes.
  private static let weight: UInt8 = 0x3C
  private static let recurrentWeight: UInt8 = 0x3A
  private static let states: [UInt8] = [0x3D, 0xBE]
  private static let upstream: UInt8 = 0x3D
  private static let biases: [UInt8] = [0x3F, 0x3E, 0xBE, 0x3D, 0xBD, 0xBF, 0x3C, 0xBC]

  private static func number(_ byte: UInt8) -> Double { Double(Float(bitPattern: UInt32(byte) * 0x0101_0101)) }

  /// The byte of the biases of a gate, of the input (0) or of the state (1).
  private func bias(_ direction: Int, _ side: Int, _ gate: Int) -> UInt8 {
    Self.biases[(5 * direction + side * network.cell.gateCount + gate) % Self.biases.count]
  }

  /// Fills the operands.
  func fill(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    let sizes = network.slotBytes
    for (i, byte) in [Self.weight, Self.weight, Self.recurrentWeight].enumerated() {
      try stream.fill(slots[i], byte: byte, byteCount: sizes[i])
    }
    let (gates, places) = (network.cell.gateCount, network.slotPlaces)
    for direction in 0..<network.directions {
      for side in 0..<2 {
        for gate in 0..<gates {
          let place = (direction * 2 + side) * gates + gate
          try stream.fill(
            slots[3] + UInt64(4 * place * network.hidden), byte: bias(direction, side, gate),
            byteCount: 4 * network.hidden)
        }
      }
    }
    for i in places.initial {
      try stream.fill(slots[i], byte: Self.states[i - places.initial.lowerBound], byteCount: sizes[i])
    }
    guard network.role == .backward else { return }
    for i in [4] + Array(places.initial.upperBound..<places.result) {
      try stream.fill(slots[i], byte: Self.upstream, byteCount: sizes[i])
    }
  }

  /// Whether all results are what they should be, behind the call.
  func holds(on stream: CUDAStream, _ slots: [UInt64], tolerance: Double) throws(CUDAFailure) -> Bool {
    for (i, blocks) in (network.role == .forward ? results() : gradients()).enumerated() {
      let slot = network.slotPlaces.result + i
      let host = try PinnedMemory(stream.context, byteCount: network.slotBytes[slot])
      // Nothing may be in flight when the memory goes, and it has to be there until it has been read.
      defer { withExtendedLifetime(host) { try? stream.synchronize() } }
      try stream.copy(toHost: host.bytes, from: slots[slot], byteCount: host.byteCount)
      try stream.synchronize()
      let found = UnsafeRawBufferPointer(start: host.bytes, count: host.byteCount).bindMemory(to: Float.self)
      if !Self.agree(found, blocks, tolerance: tolerance) { return false }
    }
    return true
  }

  /// Numbers that are all the same.
  private struct Block {
    var value: Double
    var count: Int
    /// What is too large for float32 is not compared.
    var isComparable: Bool { Swift.abs(value) < 1e30 }
  }

  private static func agree(_ found: UnsafeBufferPointer<Float>, _ blocks: [Block], tolerance: Double) -> Bool {
    // Gradients may fade away; what is off by little beside the largest is a matter of rounding.
    let scale = blocks.reduce(0.01) { $1.isComparable ? Swift.max($0, Swift.abs($1.value)) : $0 }
    var begin = 0
    for block in blocks {
      defer { begin += block.count }
      guard block.isComparable else { continue }
      for value in found[begin..<begin + block.count]
      where !(Swift.abs(Double(value) - block.value) <= tolerance * scale) { return false }
    }
    return begin == found.count
  }

  // MARK: What should come out

  private var directions: Range<Int> { 0..<network.directions }
  private var cellsOfBatch: Int { network.batch * network.hidden }

  /// y and the last states.
  private func results() -> [[Block]] {
    let runs = directions.map { run(direction: $0) }
    var y: [Block] = []
    for t in 0..<network.steps {
      for _ in 0..<network.batch {
        y += runs.enumerated().map {
          Block(value: $1.y[$0 == 0 ? t : network.steps - 1 - t], count: network.hidden)
        }
      }
    }
    let last = (0..<network.cell.stateCount).map { i in
      runs.map { Block(value: $0.last[i], count: cellsOfBatch) }
    }
    return [y] + last
  }

  /// The gradients of x, both weights, the biases and the initial states.
  ///
  /// All cells' sums of a gate are moved at once, by the same. What a cell makes of that is what all elements of the batch add to
  /// the gradient of one cell's bias. It is an input's part of the gradient of a weight times that input, and where all gates'
  /// sums of one step are moved, the gradient of an input if all cells add to it.
  private func gradients() -> [[Block]] {
    let (hidden, batch, gates) = (network.hidden, Double(network.batch), 0..<network.cell.gateCount)
    let inputs = (0..<network.steps).map { t in
      let moved = directions.map { slope($0, .input(step: $0 == 0 ? t : network.steps - 1 - t)) }.reduce(0, +)
      return Block(
        value: Double(hidden) * Self.number(Self.weight) * moved, count: network.batch * network.inputs)
    }
    var (weights, recurrent, biases): ([Block], [Block], [Block]) = ([], [], [])
    for direction in directions {
      for gate in gates {
        let value = batch * slope(direction, .bias(side: 0, gate: gate))
        weights.append(Block(value: value * Self.number(Self.weight), count: hidden * network.inputs))
        recurrent.append(Block(value: batch * slope(direction, .recurrent(gate: gate)), count: hidden * hidden))
      }
      for side in 0..<2 {
        biases += gates.map { Block(value: batch * slope(direction, .bias(side: side, gate: $0)), count: hidden) }
      }
    }
    let states = (0..<network.cell.stateCount).map { i in
      directions.map { Block(value: slope($0, .state(i)), count: cellsOfBatch) }
    }
    return [inputs, weights, recurrent, biases] + states
  }

  /// What is moved to find out how much results change.
  private enum Moved: Equatable {
    case bias(side: Int, gate: Int)
    /// The sum of a row of recurrent weights.
    case recurrent(gate: Int)
    /// What comes of one step's input, for all gates.
    case input(step: Int)
    case state(Int)
  }

  /// How much a cell's results, times their gradients, change with what is moved: by differences.
  private func slope(_ direction: Int, _ moved: Moved) -> Double {
    let values = [1e-5, -1e-5].map { step in
      let run = run(direction: direction, moving: moved, by: step)
      return (run.y + run.last).reduce(0, +) * Self.number(Self.upstream)
    }
    return (values[0] - values[1]) / 2e-5
  }

  /// A cell's results, by the definition of `RecurrentCell`.
  private func run(
    direction: Int, moving moved: Moved? = nil, by step: Double = 0
  ) -> (y: [Double], last: [Double]) {
    func biases(_ side: Int) -> [Double] {
      (0..<network.cell.gateCount).map { gate in
        Self.number(bias(direction, side, gate)) + (moved == .bias(side: side, gate: gate) ? step : 0)
      }
    }
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    let constantInput = Double(network.inputs) * Self.number(Self.weight) * Self.number(Self.weight)
    let factors = (0..<network.cell.gateCount).map { gate in
      Double(network.hidden) * Self.number(Self.recurrentWeight) + (moved == .recurrent(gate: gate) ? step : 0)
    }
    let (own, back) = (biases(0), biases(1))
    let initial = Self.states.indices.map { Self.number(Self.states[$0]) + (moved == .state($0) ? step : 0) }
    var (h, c) = (initial[0], initial[1])
    var y: [Double] = []
    for t in 0..<network.steps {
      let input = constantInput + (moved == .input(step: t) ? step : 0)
      func sum(_ gate: Int) -> Double { input + own[gate] + factors[gate] * h + back[gate] }
      switch network.cell {
      case .lstm:
        let next = sigmoid(sum(1)) * c + sigmoid(sum(0)) * tanh(sum(2))
        h = sigmoid(sum(3)) * tanh(next)
        c = next
      case .gru:
        let (r, z) = (sigmoid(sum(0)), sigmoid(sum(1)))
        let n = tanh(input + own[2] + r * (factors[2] * h + back[2]))
        h = (1 - z) * n + z * h
      case .gruResetBefore:
        let (r, z) = (sigmoid(sum(0)), sigmoid(sum(1)))
        let n = tanh(input + own[2] + factors[2] * r * h + back[2])
        h = (1 - z) * n + z * h
      case .tanh: h = tanh(sum(0))
      case .relu: h = Swift.max(0, sum(0))
      }
      y.append(h)
    }
    return (y, network.cell.stateCount == 2 ? [h, c] : [h])
  }
}
