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

  /// Whether the results are what they should be, behind the call: y, or the gradients of the biases.
  func holds(on stream: CUDAStream, _ slots: [UInt64], tolerance: Double) throws(CUDAFailure) -> Bool {
    let isForward = network.role == .forward
    let slot = network.slotPlaces.result + (isForward ? 0 : 3)
    let host = try PinnedMemory(stream.context, byteCount: network.slotBytes[slot])
    // Nothing may be in flight when the memory goes, and it has to be there until it has been read.
    defer { withExtendedLifetime(host) { try? stream.synchronize() } }
    try stream.copy(toHost: host.bytes, from: slots[slot], byteCount: host.byteCount)
    try stream.synchronize()
    let found = UnsafeRawBufferPointer(start: host.bytes, count: host.byteCount).bindMemory(to: Float.self)
    let expected = isForward ? sequence() : biasGradients()
    // What is the same for all cells, and for y for all elements of the batch.
    let repeats = isForward ? network.batch : 1
    for (i, wanted) in expected.enumerated() where Swift.abs(wanted) < 1e30 {
      let row = isForward ? i / network.directions : i
      let part = isForward ? i % network.directions : 0
      let width = isForward ? network.directions * network.hidden : network.hidden
      for element in 0..<repeats {
        let begin = (row * repeats + element) * width + part * network.hidden
        for value in found[begin..<begin + network.hidden]
        where !(Swift.abs(Double(value) - wanted) <= tolerance * Swift.max(1, Swift.abs(wanted))) { return false }
      }
    }
    return true
  }

  /// y for each step and direction.
  private func sequence() -> [Double] {
    let runs = (0..<network.directions).map { run(direction: $0).y }
    return (0..<network.steps).flatMap { t in runs.enumerated().map { $1[$0 == 0 ? t : network.steps - 1 - t] } }
  }

  /// For each direction, side and gate, by differences: all cells' biases are moved at once, and have the same part in what comes
  /// of it.
  private func biasGradients() -> [Double] {
    var result: [Double] = []
    for direction in 0..<network.directions {
      for side in 0..<2 {
        for gate in 0..<network.cell.gateCount {
          let values = [1e-5, -1e-5].map { step in
            let run = run(direction: direction, moving: (side, gate), by: step)
            return (run.y + run.last).reduce(0, +) * Self.number(Self.upstream)
          }
          result.append(Double(network.batch) * (values[0] - values[1]) / 2e-5)
        }
      }
    }
    return result
  }

  /// A cell's results, by the definition of `RecurrentCell`.
  private func run(
    direction: Int, moving: (side: Int, gate: Int)? = nil, by step: Double = 0
  ) -> (y: [Double], last: [Double]) {
    func biases(_ side: Int) -> [Double] {
      (0..<network.cell.gateCount).map { gate in
        Self.number(bias(direction, side, gate)) + (moving.map { $0 == (side, gate) } == true ? step : 0)
      }
    }
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    let input = Double(network.inputs) * Self.number(Self.weight) * Self.number(Self.weight)
    let factor = Double(network.hidden) * Self.number(Self.recurrentWeight)
    let (own, back) = (biases(0), biases(1))
    var (h, c) = (Self.number(Self.states[0]), Self.number(Self.states[1]))
    var y: [Double] = []
    for _ in 0..<network.steps {
      func sum(_ gate: Int) -> Double { input + own[gate] + factor * h + back[gate] }
      switch network.cell {
      case .lstm:
        let next = sigmoid(sum(1)) * c + sigmoid(sum(0)) * tanh(sum(2))
        h = sigmoid(sum(3)) * tanh(next)
        c = next
      case .gru:
        let (r, z) = (sigmoid(sum(0)), sigmoid(sum(1)))
        let n = tanh(input + own[2] + r * (factor * h + back[2]))
        h = (1 - z) * n + z * h
      case .gruResetBefore:
        let (r, z) = (sigmoid(sum(0)), sigmoid(sum(1)))
        let n = tanh(input + own[2] + factor * r * h + back[2])
        h = (1 - z) * n + z * h
      case .tanh: h = tanh(sum(0))
      case .relu: h = Swift.max(0, sum(0))
      }
      y.append(h)
    }
    return (y, network.cell.stateCount == 2 ? [h, c] : [h])
  }
}
