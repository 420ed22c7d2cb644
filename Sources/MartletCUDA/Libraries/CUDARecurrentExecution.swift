import CMartletRuntime
import MartletGraph
import Synchronization

/// A layer of a recurrent network by cuDNN, or its gradient, which makes the forward steps again: what cuDNN's forward call
/// leaves for its backward calls stays within one call of ours.
final class CUDARecurrentExecution: CUDALibraryExecution, @unchecked Sendable {
  private let network: RecurrentNetwork
  private let owner: CuDNNHandle
  private let options: CUDALibraryOptions
  private let choices: CUDAChoices?
  /// The weight space, where all that goes into it is the same in every run.
  private let packed: DeviceMemory?
  private let choice: Mutex<Choice>

  private struct Choice {
    /// The ways that work, of which the first is taken.
    var ways: [CuDNNRecurrentLayer]
    var isFinal: Bool
  }

  /// Nil where cuDNN does not do it. Its layers may use approximations, and in some versions add in varying order: an exact and
  /// a deterministic session do without.
  init?(
    _ network: RecurrentNetwork, _ owner: CuDNNHandle, _ options: CUDALibraryOptions, _ choices: CUDAChoices?
  ) {
    guard let cell = network.cell.cudnnNumber, network.elementType == .float32, !options.isExact,
      !options.isDeterministic, !network.isEmpty,
      (network.operandCounts + network.resultCounts).allSatisfy({ CuDNNDescriptors.holds($0) }),
      (try? owner.context.makeCurrent()) != nil
    else { return nil }
    (self.network, self.owner, self.options, self.choices) = (network, owner, options, choices)
    packed = nil
    var ways: [CuDNNRecurrentLayer] = []
    for algorithm in CuDNNRecurrentLayer.algorithms {
      // Only what can be timed is worth a try beside the plain one.
      if algorithm != CuDNNRecurrentLayer.algorithms[0], !options.measures { continue }
      guard
        let way = try? CuDNNRecurrentLayer(network, cell: cell, algorithm: algorithm, owner, options),
        Pieces(way, network, isPacked: false).byteCount <= options.scratchLimit,
        Self.isRight(way, network, owner, tolerance: options.allowsTF32 ? 5e-3 : 1e-4)
      else { continue }
      ways.append(way)
    }
    if ways.isEmpty { return nil }
    choice = Mutex(Choice(ways: ways, isFinal: ways.count == 1))
  }

  private init(_ other: CUDARecurrentExecution, _ way: CuDNNRecurrentLayer, packed: DeviceMemory) {
    (network, owner, options, choices) = (other.network, other.owner, other.options, other.choices)
    self.packed = packed
    choice = Mutex(Choice(ways: [way], isFinal: true))
  }

  // MARK: Choosing

  /// Whether cuDNN carries a way out, to numbers that are known: which gate is which, and how its activations are computed, is
  /// not said in full. What cannot be tried for want of memory is not taken.
  private static func isRight(
    _ way: CuDNNRecurrentLayer, _ network: RecurrentNetwork, _ owner: CuDNNHandle, tolerance: Double
  ) -> Bool {
    let trial = CUDARecurrentTrial(network)
    let pieces = Pieces(way, network, isPacked: false)
    var isRight = false
    try? CUDATrial.run(owner.context, network.slotBytes + [pieces.byteCount]) {
      (stream, slots) throws(CUDAFailure) in
      try trial.fill(on: stream, slots)
      try enqueue(way, network, packed: nil, on: stream, slots)
      isRight = try trial.holds(on: stream, slots, tolerance: tolerance)
    }
    return isRight
  }

  /// - Parameter isMeasured: Whether ways may be timed.
  private func chosen(isMeasured: Bool = true) -> CuDNNRecurrentLayer {
    // Captures take the locks in this order.
    owner.context.exclusively {
      choice.withLock { choice in
        if choice.isFinal { return choice.ways[0] }
        choice.isFinal = true
        if isMeasured, let best = fastest(choice.ways) { choice.ways = [best] }
        return choice.ways[0]
      }
    }
  }

  /// The fastest in this process, or in one before.
  private func fastest(_ ways: [CuDNNRecurrentLayer]) -> CuDNNRecurrentLayer? {
    let contract = LibraryContract.recurrent(network)
    if let kept = choices?.kept("recurrent", contract) {
      if let known = ways.first(where: { [UInt8($0.algorithm)] == kept }) { return known }
      choices?.forget("recurrent", contract)
    }
    var best: (way: CuDNNRecurrentLayer, time: Double)?
    for way in ways {
      guard let time = milliseconds(way) else { return nil }
      if time < best?.time ?? .infinity { best = (way, time) }
    }
    if let best { choices?.keep([UInt8(best.way.algorithm)], "recurrent", contract) }
    return best?.way
  }

  /// The time of a call; nil where memory to find it out is short.
  private func milliseconds(_ way: CuDNNRecurrentLayer) -> Double? {
    var found: Double?
    try? CUDATrial.run(owner.context, network.slotBytes + [Pieces(way, network, isPacked: false).byteCount]) {
      (stream, slots) throws(CUDAFailure) in
      found = try stream.milliseconds { () throws(CUDAFailure) in
        try Self.enqueue(way, network, packed: nil, on: stream, slots)
      }
    }
    return found
  }

  // MARK: Memory

  /// The parts of the scratch memory.
  private struct Pieces {
    var weights = 0
    var workspace = 0
    var reserve = 0
    var y = 0
    var gradients = 0
    var byteCount = 0

    init(_ way: CuDNNRecurrentLayer, _ network: RecurrentNetwork, isPacked: Bool) {
      var scratch = CUDAScratchLayout()
      if !isPacked { weights = scratch.add(way.weightBytes) }
      workspace = scratch.add(way.workspaceBytes)
      if network.role == .backward {
        reserve = scratch.add(way.reserveBytes)
        y = scratch.add(4 * network.resultCounts[0])
        gradients = scratch.add(way.weightBytes)
      }
      byteCount = scratch.byteCount
    }
  }

  var scratchBytes: Int { Pieces(chosen(), network, isPacked: packed != nil).byteCount }

  var unreadOperands: Set<Int> { packed == nil ? [] : [1, 2, 3] }

  func binding(_ constants: [Int: UInt64], on stream: CUDAStream) throws(CUDAFailure) -> any CUDALibraryExecution {
    guard let weights = constants[1], let recurrent = constants[2], let biases = constants[3] else { return self }
    let way = chosen()
    let packed = try DeviceMemory(owner.context, byteCount: way.weightBytes)
    do throws(CUDAFailure) {
      try stream.fill(packed.address, byte: 0, byteCount: way.weightBytes)
      try way.pack(on: stream, from: [0, weights, recurrent, biases], to: packed.address)
    } catch {
      // Nothing may be in flight when the memory goes.
      withExtendedLifetime(packed) { try? stream.synchronize() }
      throw error
    }
    return CUDARecurrentExecution(self, way, packed: packed)
  }

  // MARK: Running

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    // What is recorded cannot be timed.
    try Self.enqueue(chosen(isMeasured: !stream.isCapturing), network, packed: packed, on: stream, slots)
  }

  private static func enqueue(
    _ way: CuDNNRecurrentLayer, _ network: RecurrentNetwork, packed: DeviceMemory?, on stream: CUDAStream,
    _ slots: [UInt64]
  ) throws(CUDAFailure) {
    let pieces = Pieces(way, network, isPacked: packed != nil)
    let places = network.slotPlaces
    let scratch = CUDAScratchLayout.begin(slots[network.slotBytes.count])
    func piece(_ offset: Int) -> UInt64 { scratch + UInt64(offset) }
    let spaces = CuDNNRecurrentLayer.Spaces(
      weights: packed?.address ?? piece(pieces.weights), workspace: piece(pieces.workspace),
      reserve: piece(pieces.reserve))
    if packed == nil { try way.pack(on: stream, from: slots, to: spaces.weights) }
    let initial = Array(slots[places.initial])
    switch network.role {
    case .forward:
      try way.forward(
        on: stream, x: slots[0], initial: initial, y: slots[places.result],
        last: Array(
          slots[(places.result + 1)...]
            .prefix(initial.count)), spaces)
    case .backward:
      let y = piece(pieces.y)
      try way.forward(on: stream, x: slots[0], initial: initial, y: y, last: [], spaces)
      let results = Array(slots[places.result...])
      let gradient = CuDNNRecurrentLayer.Gradient(
        x: slots[0], y: y, dy: slots[4], initial: initial,
        dlast: Array(slots[places.initial.upperBound...].prefix(initial.count)), dx: results[0],
        dinitial: Array(results[4...].prefix(initial.count)), dweights: piece(pieces.gradients))
      try way.backward(on: stream, gradient, spaces)
      try way.unpack(on: stream, from: gradient.dweights, to: results)
    }
  }
}

extension RecurrentNetwork {
  /// The bytes of operands and results.
  var slotBytes: [Int] {
    var counts = operandCounts
    switch role {
    case .forward: counts += resultCounts
    case .backward:
      counts.insert(resultCounts[0], at: 4)
      counts += resultCounts.dropFirst()
      counts += operandCounts
    }
    return counts.map { $0 * elementType.byteWidth }
  }

  /// The initial states among the slots, and the first result.
  var slotPlaces: (initial: Range<Int>, result: Int) {
    let states = cell.stateCount
    return role == .forward ? (4..<4 + states, 4 + states) : (5..<5 + states, 5 + 2 * states)
  }
}

extension RecurrentCell {
  /// cuDNN's number for the cell; nil if it has none such.
  fileprivate var cudnnNumber: Int? {
    switch self {
    case .lstm: Int(martlet_cudnn_recurrent_lstm)
    case .gru: Int(martlet_cudnn_recurrent_gru)
    case .tanh: Int(martlet_cudnn_recurrent_tanh)
    case .relu: Int(martlet_cudnn_recurrent_relu)
    case .gruResetBefore: nil
    }
  }
}
