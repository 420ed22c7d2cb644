import CMartletRuntime
import Testing

@testable import MartletCUDA

/// That the stand-in finds what it is there to find.
struct StubTests {
  private func expectReport(
    _ machine: StubMachine, _ line: String, sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) {
    #expect(
      machine.stub.report.contains { $0.contains(line) }, "\(machine.stub.report)", sourceLocation: sourceLocation)
  }

  @Test func useAfterFree() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let stream = try CUDAStream(context)
    let address = try DeviceMemory(context, byteCount: 64).address
    let failure = try #require(throws: CUDAFailure.self) { try stream.fill(address, byte: 0, byteCount: 8) }
    #expect(failure.name == "CUDA_ERROR_ILLEGAL_ADDRESS")
    expectReport(machine, "cuMemsetD8Async: the destination is memory that was freed")
  }

  @Test func freeingTwiceAndWhatWasNeverGiven() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let address = try DeviceMemory(context, byteCount: 64).address
    #expect(context.driver.pointee.MemFree(address) != 0)
    #expect(context.driver.pointee.MemFree(address + 8) != 0)
    expectReport(machine, "cuMemFree_v2: the memory was freed before")
    expectReport(machine, "is no memory to free")
  }

  @Test func leaks() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let (memory, stream) = (try DeviceMemory(context, byteCount: 64), try CUDAStream(context))
    withExtendedLifetime((memory, stream)) {
      #expect(machine.stub.leaks == ["64 bytes of device memory", "context", "stream"])
    }
  }

  @Test func freeingWhatIsStillNeeded() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let stream = try CUDAStream(context)
    do {
      let memory = try DeviceMemory(context, byteCount: 64)
      try stream.fill(memory.address, byte: 0, byteCount: 64)
    }
    expectReport(machine, "cuMemFree_v2: memory is freed that a fill uses, which is still to come")
  }

  @Test func copiesOutOfRange() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let stream = try CUDAStream(context)
    let memory = try DeviceMemory(context, byteCount: 64)
    let pinned = try PinnedMemory(context, byteCount: 32)
    #expect(throws: CUDAFailure.self) {
      try stream.copy(to: memory.address + 60, fromHost: pinned.bytes, byteCount: 8)
    }
    expectReport(machine, "the destination goes 4 bytes beyond the end of its memory of 64")
    #expect(throws: CUDAFailure.self) {
      try stream.copy(toHost: pinned.bytes, from: memory.address, byteCount: 40)
    }
    expectReport(machine, "the copy goes beyond the end of its pinned memory of 32 bytes")
    #expect(throws: CUDAFailure.self) {
      try stream.copy(
        toHost: UnsafeMutableRawPointer(bitPattern: UInt(memory.address))!, from: memory.address, byteCount: 8)
    }
    expectReport(machine, "the host's memory is memory of the device")
    #expect(throws: CUDAFailure.self) { try stream.fill(12345, byte: 0, byteCount: 1) }
    expectReport(machine, "the destination is no device memory: 0x3039")
  }

  @Test func readingWhatNobodyWrote() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let stream = try CUDAStream(context)
    let memory = try DeviceMemory(context, byteCount: 64)
    let pinned = try PinnedMemory(context, byteCount: 64)
    try stream.fill(memory.address, byte: 0, byteCount: 56)
    try stream.copy(toHost: pinned.bytes, from: memory.address, byteCount: 64)
    try stream.synchronize()
    expectReport(machine, "reads 2 words of 64 bytes that nobody wrote")
  }

  /// Whatever the order in which a machine happens to carry it out, some seed shows that a wait is missing.
  @Test(arguments: [false, true])
  func missingWaits(isReader: Bool) throws {
    func result(seed: UInt64, waits: Bool) throws -> Float {
      let machine = try StubMachine(seed: seed)
      let context = try machine.context()
      let add = try machine.module(context).function("add")
      let (first, second) = (try CUDAStream(context), try CUDAStream(context))
      let event = try CUDAEvent(context)
      let (a, b) = (try DeviceMemory(context, byteCount: 4), try DeviceMemory(context, byteCount: 4))
      let pinned = try PinnedMemory(context, byteCount: 4)
      try first.fill(a.address, byte: 0, byteCount: 4)
      try first.fill(b.address, byte: 0, byteCount: 4)
      try first.synchronize()
      try first.add(add, a.address, isReader ? b.address : a.address, 1, 1)
      try event.record(on: first)
      if waits { try second.wait(for: event) }
      if isReader {
        // The second stream writes over what the first reads.
        try second.add(add, a.address, a.address, 50, 1)
        try second.synchronize()
        try first.copy(toHost: pinned.bytes, from: b.address, byteCount: 4)
        try first.synchronize()
      } else {
        try second.copy(toHost: pinned.bytes, from: a.address, byteCount: 4)
        try second.synchronize()
        try first.synchronize()
      }
      return pinned.floats(1)[0]
    }
    #expect(try result(seed: 0, waits: false) != 1)
    for seed in 0..<6 { #expect(try result(seed: UInt64(seed), waits: true) == 1) }
  }

  @Test func changingAFeedTooEarly() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let stream = try CUDAStream(context)
    let memory = try DeviceMemory(context, byteCount: 4)
    let pinned = try PinnedMemory(context, byteCount: 4)
    pinned.set([1])
    try stream.copy(to: memory.address, fromHost: pinned.bytes, byteCount: 4)
    pinned.set([2])
    try stream.copy(toHost: pinned.bytes, from: memory.address, byteCount: 4)
    try stream.synchronize()
    #expect(pinned.floats(1) == [2])
    // Memory that is not pinned is taken at once.
    var value: Float = 3
    try stream.copy(to: memory.address, fromHost: &value, byteCount: 4)
    value = 4
    try stream.copy(toHost: &value, from: memory.address, byteCount: 4)
    #expect(value == 3)
    #expect(machine.stub.count("pageable copies") == 2)
  }

  @Test func wrongContexts() throws {
    let machine = try StubMachine()
    let (zero, one) = (try machine.context(0), try machine.context(1))
    let stream = try CUDAStream(zero)
    let memory = try DeviceMemory(one, byteCount: 64)
    #expect(throws: CUDAFailure.self) { try stream.fill(memory.address, byte: 0, byteCount: 64) }
    expectReport(machine, "the destination is memory of device 1")
    try one.makeCurrent()
    #expect(one.driver.pointee.StreamSynchronize(stream.handle) == 201)
    expectReport(machine, "the stream is of device 0, this thread's context of device 1")
  }

  @Test func kernelsThatWriteBehindTheirMemory() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let spill = try machine.module(context).function("spill")
    let stream = try CUDAStream(context)
    let memory = try DeviceMemory(context, byteCount: 64)
    var (address, count) = (memory.address, Int32(16))
    try withUnsafeMutablePointer(to: &address) { address in
      try withUnsafeMutablePointer(to: &count) { count in
        var arguments: [UnsafeMutableRawPointer?] = [.init(address), .init(count)]
        try stream.launch(spill, blocks: 1, threads: 1, sharedBytes: 0, arguments: &arguments)
      }
    }
    try stream.synchronize()
    expectReport(machine, "kernel spill: it wrote behind the memory that it was given")
  }

  @Test func wrongLaunches() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let module = try machine.module(context)
    let add = try module.function("add")
    let stream = try CUDAStream(context)
    #expect(throws: CUDAFailure.self) { try stream.add(add, 4096, 4096, 0, 1) }
    expectReport(machine, "argument 0 of add is no device memory: 0x1000")
    var none: [UnsafeMutableRawPointer?] = [nil, nil, nil, nil]
    #expect(throws: CUDAFailure.self) {
      try stream.launch(add, blocks: 1, threads: 2000, sharedBytes: 0, arguments: &none)
    }
    expectReport(machine, "add: 1 blocks of 2000 threads")
    #expect(throws: CUDAFailure.self) {
      try stream.launch(add, blocks: 1, threads: 1, sharedBytes: 100_000, arguments: &none)
    }
    try add.allow(sharedBytes: 100_000)
    #expect(throws: CUDAFailure.self) {
      try stream.launch(add, blocks: 1, threads: 1, sharedBytes: 100_000, arguments: &none)
    }
    #expect(machine.stub.report.last == "cuLaunchKernel: add: no argument 0")
    let failure = try #require(throws: CUDAFailure.self) { try module.function("nothing") }
    #expect(failure.name == "CUDA_ERROR_NOT_FOUND")
    #expect(throws: CUDAFailure.self) { try CUDAModule(context, image: [UInt8](repeating: 0, count: 100)) }
  }

  enum Misuse: CaseIterable { case synchronize, allocate, pageable, unjoined, uncaptured, otherStream, twice }

  @Test(arguments: Misuse.allCases)
  func captures(misuse: Misuse) throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let (stream, side) = (try CUDAStream(context), try CUDAStream(context))
    let event = try CUDAEvent(context)
    let memory = try DeviceMemory(context, byteCount: 64)
    try event.record(on: side)
    try stream.beginCapture()
    try stream.fill(memory.address, byte: 0, byteCount: 4)
    switch misuse {
    case .synchronize: #expect(throws: CUDAFailure.self) { try stream.synchronize() }
    case .allocate: #expect(throws: CUDAFailure.self) { try DeviceMemory(context, byteCount: 64) }
    case .pageable:
      #expect(throws: CUDAFailure.self) { try stream.copy(to: memory.address, fromHost: [Float(1)], byteCount: 4) }
    case .unjoined:
      try event.record(on: stream)
      try side.wait(for: event)
      try side.fill(memory.address, byte: 0, byteCount: 4)
    case .uncaptured: #expect(throws: CUDAFailure.self) { try stream.wait(for: event) }
    case .otherStream:
      try event.record(on: stream)
      try side.wait(for: event)
      #expect(throws: CUDAFailure.self) { try side.endCapture() }
    case .twice: #expect(throws: CUDAFailure.self) { try stream.beginCapture() }
    }
    let failure = try #require(throws: CUDAFailure.self) { try stream.endCapture() }
    #expect(
      failure.name
        == (misuse == .unjoined
          ? "CUDA_ERROR_STREAM_CAPTURE_UNJOINED" : "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"))
    #expect(machine.stub.report.count == 1)
    // The streams are of use again.
    try side.fill(memory.address, byte: 0, byteCount: 4)
    try side.synchronize()
    try stream.synchronize()
  }

  @Test func graphsWhoseMemoryIsGone() throws {
    let machine = try StubMachine()
    let context = try machine.context()
    let stream = try CUDAStream(context)
    let graph: CUDAGraph
    do {
      let memory = try DeviceMemory(context, byteCount: 64)
      try stream.beginCapture()
      try stream.fill(memory.address, byte: 0, byteCount: 64)
      graph = try stream.endCapture()
    }
    #expect(throws: CUDAFailure.self) { try graph.launch(on: stream) }
    expectReport(machine, "cuGraphLaunch: a fill is memory that was freed")
  }
}
