import CMartletRuntime
import Glibc
import MartletDiagnostics
import MartletExecution
import MartletScheduling
import MartletTensors

/// The memory, streams and recorded graphs of one run of a plan at a time.
final class CUDAInstance: @unchecked Sendable {
  /// It keeps the instance, and runs it.
  private unowned let bound: CUDAPlan
  let streams: [CUDAStream]
  private let memory: DeviceMemory
  private let staging: PinnedMemory
  private let context = RunContext()
  /// Where the run's parameters and the status of each kernel that checks indices lie, in both memories.
  private let parameterOffset: (device: Int, host: Int)
  private let statusOffset: (device: Int, host: Int)
  private let fork: CUDAEvent
  private var events: [CUDAEvent] = []
  private var variables: [UInt64] = []
  private var graphs: [SegmentPlace: CUDAGraph] = [:]
  /// The segments that have been carried out step by step: libraries prepare themselves at their first calls, which they
  /// cannot do while they are recorded.
  private var prepared: Set<SegmentPlace> = []
  /// Those that cannot be recorded.
  private var unrecordable: Set<SegmentPlace> = []
  private var isRunning = false
  /// Whether a segment has left status that nobody has looked at.
  private var hasStatus = false
  /// Whether parameters are being copied to the device.
  private var hasPendingParameters = false
  /// The run's feeds.
  private var arguments: [Tensor] = []
  /// What fetches are being copied to.
  private var fetched: [Int: PinnedMemory] = [:]
  private var timer: CUDATimer?

  private struct SegmentPlace: Hashable {
    var block: Int
    var part: Int
  }

  private static let parameterBytes = RunState.parameterCount * MemoryLayout<Int64>.stride
  private static let isSynchronous: Bool = {
    let value = getenv("MARTLET_CUDA_SYNCHRONOUS").map { String(cString: $0) } ?? ""
    return value != "" && value != "0"
  }()

  private var plan: ExecutionPlan { bound.plan }
  private var work: DevicePlan { bound.work }
  private var statusBytes: Int { (work.statusNumbers.count + 1) * MemoryLayout<martlet_status>.stride }

  init(_ bound: CUDAPlan) throws(CUDAFailure) {
    self.bound = bound
    let device = bound.backend.context
    let (deviceBytes, hostBytes) = (bound.work.deviceMemory.byteCount, bound.work.hostMemory.byteCount)
    parameterOffset = (deviceBytes, hostBytes)
    let unit = RangeLayout.alignment
    statusOffset = (deviceBytes + unit, hostBytes + unit)
    let rest = unit + (bound.work.statusNumbers.count + 1) * MemoryLayout<martlet_status>.stride
    memory = try DeviceMemory(device, byteCount: deviceBytes + rest)
    staging = try PinnedMemory(device, byteCount: hostBytes + rest)
    var streams: [CUDAStream] = []
    for _ in 0..<bound.work.streamCount { streams.append(try CUDAStream(device)) }
    self.streams = streams
    fork = try CUDAEvent(device)
  }

  // MARK: Addresses

  private func address(_ range: DeviceRange) -> UInt64 {
    switch range.space {
    case .constant(let number):
      guard let constant = bound.constants[number] else { preconditionFailure("constant \(number) was given back") }
      return constant.address + UInt64(range.bytes.lowerBound)
    case .variable(let number): return variables[number] + UInt64(range.bytes.lowerBound)
    case .arena, .argument, .result, .staging:
      guard !range.bytes.isEmpty else { return memory.address }
      guard let offset = work.deviceMemory.offset(of: range) else {
        preconditionFailure("\(range) has no device memory")
      }
      return memory.address + UInt64(offset)
    }
  }

  private func hostAddress(_ range: DeviceRange) -> UnsafeMutablePointer<UInt8> {
    if case .constant(let number) = range.space {
      return (bound.hostConstants[number].storage.bytes + range.bytes.lowerBound).assumingMemoryBound(to: UInt8.self)
    }
    let base = staging.bytes.assumingMemoryBound(to: UInt8.self)
    guard !range.bytes.isEmpty else { return base }
    guard let offset = work.hostMemory.offset(of: range) else { preconditionFailure("\(range) has no host memory") }
    return base + offset
  }

  // MARK: Runs

  func run(_ arguments: [Tensor], variables: [UInt64], number: Int, trace: RunTrace?) throws -> [Tensor] {
    if variables != self.variables {
      self.variables = variables
      graphs = [:]
    }
    hasStatus = false
    hasPendingParameters = false
    self.arguments = arguments
    defer { self.arguments = [] }
    context.reset(run: number)
    for (i, argument) in arguments.enumerated() {
      argument.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        for (range, offset) in work.hostMemory.stretches(of: .argument(i)) {
          let used = range.clamped(to: 0..<bytes.count)
          (staging.bytes + offset + used.lowerBound - range.lowerBound).copyMemory(
            from: base + used.lowerBound, byteCount: used.count)
        }
      }
    }
    timer = try trace.map { _ in try CUDATimer(streams[0]) }
    defer { timer = nil }
    isRunning = true
    try run(block: 0)
    for number in work.directFetches {
      let range = DeviceRange(plan.slots[plan.results[number].slot])
      let block = try bound.backend.pinned.block(range.bytes.count)
      fetched[number] = block
      try streams[0].copy(toHost: block.bytes, from: address(range), byteCount: range.bytes.count)
    }
    try wait()
    isRunning = false
    if let trace, let timer { trace.add(try timer.events(of: plan)) }
    return plan.results.indices.map { result($0) }
  }

  /// A fetch, as it is handed out.
  private func result(_ number: Int) -> Tensor {
    let port = plan.results[number]
    let (type, shape) = (port.type.elementType, port.type.shape.known ?? [])
    if let block = fetched.removeValue(forKey: number) { return bound.backend.pinned.tensor(block, type, shape) }
    var tensor = Tensor(uninitialized: type, shape: shape)
    tensor.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
      base.copyMemory(from: hostAddress(DeviceRange(plan.slots[port.slot])), byteCount: bytes.count)
    }
    return tensor
  }

  private func run(block number: Int) throws {
    for (place, part) in work.blocks[number].parts.enumerated() {
      switch part {
      case .segment(let segment):
        // What a segment has found must be known before the next one begins.
        if hasStatus { try wait() }
        try run(segment, at: SegmentPlace(block: number, part: place))
      case .host(let index):
        try wait()
        try runOnHost(plan.blocks[number].instructions[index])
      case .conditional(let predicate, let then, let otherwise):
        try wait()
        try run(block: hostAddress(predicate).pointee != 0 ? then : otherwise)
      case .loop(let predicate, let condition, let body, let count):
        let parameters = context.state.pointee.parameters
        let around = parameters[1]
        let known = count?.iterations(arguments)
        var iteration = 0
        func goesOn() throws -> Bool {
          if let known { return iteration < known }
          try run(block: condition)
          try wait()
          return hostAddress(predicate).pointee != 0
        }
        while try goesOn() {
          iteration += 1
          parameters[1] = RunState.number(ofIteration: Int64(iteration), around: around)
          try run(block: body)
        }
        parameters[1] = around
      }
    }
  }

  private func runOnHost(_ instruction: PlanInstruction) throws {
    let slots = instruction.operands + instruction.results + instruction.scratch
    let begin = timer?.now()
    try withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<UInt8>?.self, capacity: max(slots.count, 1)) {
      pointers in
      for (i, slot) in slots.enumerated() {
        pointers.initializeElement(at: i, to: hostAddress(DeviceRange(plan.slots[slot])))
      }
      guard let base = pointers.baseAddress else { return }
      try bound.hostInstructions.run(
        instruction, slots: base, context: context, origin: plan.origins[instruction.origin])
    }
    if let begin { timer?.add(instruction, begin: begin) }
  }

  /// Waits for the device, and looks for what its kernels have found.
  private func wait() throws {
    try streams[0].synchronize()
    hasPendingParameters = false
    guard hasStatus else { return }
    hasStatus = false
    let status = (staging.bytes + statusOffset.host).assumingMemoryBound(to: martlet_status.self)
    let found = work.statusNumbers.filter { status[$0.value].code != 0 }.min {
      ($0.key.block, $0.key.index) < ($1.key.block, $1.key.index)
    }
    guard let (place, number) = found else { return }
    let instruction = plan.blocks[place.block].instructions[place.index]
    throw RunContext.badIndex(Int(status[number].index), at: plan.origins[instruction.origin])
  }

  // MARK: Segments

  private func run(_ segment: DeviceSegment, at place: SegmentPlace) throws {
    if segment.needsParameters {
      // What was there is still to be copied where the host has not waited since.
      if hasPendingParameters { try wait() }
      hasPendingParameters = true
      (staging.bytes + parameterOffset.host).copyMemory(
        from: context.state.pointee.parameters, byteCount: Self.parameterBytes)
    }
    if segment.checksIndices { hasStatus = true }
    guard bound.backend.options.usesGraphs, timer == nil, !Self.isSynchronous, !unrecordable.contains(place),
      !prepared.insert(place).inserted
    else {
      return try give(segment, of: place.block)
    }
    if let graph = graphs[place] { return try graph.launch(on: streams[0]) }
    guard let graph = try record(segment, at: place) else { return try give(segment, of: place.block) }
    graphs[place] = graph
    try graph.launch(on: streams[0])
  }

  /// The segment as a graph; nil if something in it does not bear to be recorded.
  private func record(_ segment: DeviceSegment, at place: SegmentPlace) throws -> CUDAGraph? {
    try bound.backend.context.exclusively {
      do {
        try streams[0].beginCapture()
        try give(segment, of: place.block)
        return try streams[0].endCapture()
      } catch {
        // Nothing else works on a stream that is still capturing.
        streams[0].abandonCapture()
        guard (error as? CUDAFailure)?.isOfRecording == true else { throw error }
        unrecordable.insert(place)
        return nil
      }
    }
  }

  /// Waits for all that was begun; false if the device has a fault.
  func drain() -> Bool {
    defer {
      for block in fetched.values { bound.backend.pinned.giveBack(block) }
      fetched = [:]
    }
    guard isRunning else { return true }
    isRunning = false
    return streams.reduce(true) { isSound, stream in
      do throws(CUDAFailure) {
        try stream.synchronize()
        return isSound
      } catch { return false }
    }
  }

  /// Gives a segment's steps to the streams. The first stream begins before and ends behind all others.
  private func give(_ segment: DeviceSegment, of block: Int) throws {
    let first = streams[0]
    if segment.needsParameters {
      try first.copy(
        to: memory.address + UInt64(parameterOffset.device), fromHost: staging.bytes + parameterOffset.host,
        byteCount: Self.parameterBytes)
    }
    if segment.checksIndices {
      try first.fill(memory.address + UInt64(statusOffset.device), byte: 0, byteCount: statusBytes)
    }
    var last = [Int?](repeating: nil, count: segment.streamCount)
    var isWaitedFor = [Bool](repeating: false, count: segment.steps.count)
    for (i, step) in segment.steps.enumerated() {
      last[step.stream] = i
      for other in step.waits { isWaitedFor[other] = true }
    }
    let ends = last.dropFirst().compactMap { $0 }
    for end in ends { isWaitedFor[end] = true }
    if segment.streamCount > 1 {
      try fork.record(on: first)
      for stream in streams[1..<segment.streamCount] { try stream.wait(for: fork) }
    }
    var recorded: [Int: CUDAEvent] = [:]
    for (i, step) in segment.steps.enumerated() {
      let stream = streams[step.stream]
      for other in step.waits { if let event = recorded[other] { try stream.wait(for: event) } }
      try give(step, of: block, to: stream)
      if isWaitedFor[i] {
        let event = try event(recorded.count)
        try event.record(on: stream)
        recorded[i] = event
      }
    }
    for end in ends { if let event = recorded[end] { try first.wait(for: event) } }
    if segment.checksIndices {
      try first.copy(
        toHost: staging.bytes + statusOffset.host, from: memory.address + UInt64(statusOffset.device),
        byteCount: statusBytes)
    }
  }

  private func event(_ number: Int) throws(CUDAFailure) -> CUDAEvent {
    while events.count <= number { events.append(try CUDAEvent(bound.backend.context)) }
    return events[number]
  }

  private func give(_ step: DeviceStep, of block: Int, to stream: CUDAStream) throws {
    let instruction = step.instruction.map { plan.blocks[block].instructions[$0] }
    do {
      let begin = try timer?.mark(stream)
      switch step.action {
      case .upload(let range):
        try stream.copy(to: address(range), fromHost: hostAddress(range), byteCount: range.bytes.count)
      case .download(let range):
        try stream.copy(toHost: hostAddress(range), from: address(range), byteCount: range.bytes.count)
      case .copy(let source, let target):
        try stream.copy(to: address(target), from: address(source), byteCount: source.bytes.count)
      case .kernel(let number):
        let status = step.instruction.flatMap { work.statusNumbers[.init(block: block, index: $0)] } ?? 0
        guard let kernel = bound.kernels[number] else { preconditionFailure("kernel \(number) is not on the device") }
        try launch(kernel, step.slots.map(address), status: status, on: stream)
      case .joined(let number):
        try launch(bound.joinedKernels[number], step.slots.map(address), status: 0, on: stream)
      case .library(let number):
        let place = step.instruction.map { DevicePlan.InstructionPlace(block: block, index: $0) }
        guard let call = place.flatMap({ bound.libraries[$0] }) else {
          preconditionFailure("contract \(number) has no library")
        }
        // What the call has laid out anew it does not read here, and it may be gone.
        let unread = call.unreadOperands
        try call.enqueue(on: stream, step.slots.enumerated().map { unread.contains($0) ? 0 : address($1) })
      }
      if let begin { try timer?.add(step, instruction, begin: begin, stream, number: step.stream) }
      if Self.isSynchronous { try stream.synchronize() }
    } catch {
      guard let instruction, !error.isOfRecording else { throw error }
      let origin = plan.origins[instruction.origin]
      let company = step.others.isEmpty ? "" : ", in one launch with \(step.others.count) other kernels"
      throw origin.diagnostic(
        "\(error.call) failed\(company)", found: "\(error.name) (\(error.code)): \(error.text)")
    }
  }

  private func launch(
    _ kernel: LoadedKernel, _ slots: [UInt64], status: Int, on stream: CUDAStream
  ) throws(CUDAFailure) {
    var values = slots
    values.append(memory.address + UInt64(parameterOffset.device))
    values.append(memory.address + UInt64(statusOffset.device + status * MemoryLayout<martlet_status>.stride))
    let failure: CUDAFailure? = values.withUnsafeMutableBufferPointer { values in
      withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: values.count) { arguments in
        for i in values.indices {
          arguments.initializeElement(at: i, to: values.baseAddress.map { UnsafeMutableRawPointer($0 + i) })
        }
        guard let base = arguments.baseAddress else { return nil }
        for launch in kernel.launches {
          do throws(CUDAFailure) {
            try stream.launch(
              launch.function, blocks: launch.blocks, threads: launch.threads, sharedBytes: launch.sharedBytes,
              arguments: base)
          } catch { return error }
        }
        return nil
      }
    }
    if let failure { throw failure }
  }
}
