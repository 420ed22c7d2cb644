import MartletDiagnostics
import Testing

@testable import MartletCUDA

/// The wrappers of the driver, over the stand-in.
struct DriverTests {
  @Test func tellsOfDevices() throws {
    let machine = try StubMachine()
    #expect(try CUDAContext.deviceCount(machine.libraries) == 2)
    let context = try machine.context(1)
    #expect(context.name == "Stub GPU 1")
    #expect(context.memoryBytes == 1 << 30)
    #expect(context.device == CUDADevice.h100)
    #expect(context.driverVersion == CUDAVersion(major: 13, minor: 0))
    let memory = try DeviceMemory(context, byteCount: 1000)
    #expect(try context.freeBytes() == 1 << 30 - 1000)
    #expect(memory.address % 256 == 0)
    let error = try #require(throws: Diagnostic.self) { try machine.context(2) }
    #expect(error.message == "there is no device cuda:2")
    #expect(error.found == "2 GPUs, cuda:0 to cuda:1")
  }

  @Test func aDriverWithoutDevicesSaysSo() throws {
    let machine = try StubMachine()
    machine.stub.setDeviceCount(0)
    let error = try #require(throws: Diagnostic.self) { try machine.context() }
    #expect(error.message == "cuInit failed")
    #expect(error.found == "CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected")
  }

  @Test(arguments: 0..<4)
  func kernelsComputeBetweenCopies(seed: Int) throws {
    let machine = try StubMachine(seed: UInt64(seed))
    do {
      let context = try machine.context()
      let module = try machine.module(context)
      let add = try module.function("add")
      let stream = try CUDAStream(context)
      let values = (0..<100).map { Float($0) }
      let (source, result) = (
        try PinnedMemory(context, byteCount: 400), try PinnedMemory(context, byteCount: 400)
      )
      let (a, b) = (try DeviceMemory(context, byteCount: 400), try DeviceMemory(context, byteCount: 400))
      source.set(values)
      try stream.copy(to: a.address, fromHost: source.bytes, byteCount: 400)
      try stream.fill(b.address, byte: 0, byteCount: 400)
      try stream.add(add, a.address, b.address, 0.5, 99)
      try stream.copy(to: a.address, from: b.address, byteCount: 400)
      try stream.copy(toHost: result.bytes, from: a.address, byteCount: 400)
      #expect(result.floats(100) != values.map { $0 == 99 ? 0 : $0 + 0.5 })
      try stream.synchronize()
      #expect(result.floats(100) == values.map { $0 == 99 ? 0 : $0 + 0.5 })
    }
    machine.expectClean()
  }

  /// What one stream makes for another, which waits for it.
  @Test(arguments: 0..<8)
  func eventsOrderStreams(seed: Int) throws {
    let machine = try StubMachine(seed: UInt64(seed))
    do {
      let context = try machine.context()
      let add = try machine.module(context).function("add")
      let (first, second) = (try CUDAStream(context), try CUDAStream(context))
      let (made, used) = (try CUDAEvent(context), try CUDAEvent(context))
      let memory = try DeviceMemory(context, byteCount: 256)
      let other = try DeviceMemory(context, byteCount: 256)
      let result = try PinnedMemory(context, byteCount: 256)
      try first.fill(memory.address, byte: 0, byteCount: 256)
      for step in 1...5 {
        try first.add(add, memory.address, memory.address, 1, 64)
        try made.record(on: first)
        try second.wait(for: made)
        try second.add(add, memory.address, other.address, 10, 64)
        try used.record(on: second)
        // Without this the first stream writes what the second still reads.
        try first.wait(for: used)
        if step == 5 { try second.copy(toHost: result.bytes, from: other.address, byteCount: 256) }
      }
      try second.synchronize()
      #expect(result.floats(64) == [Float](repeating: 15, count: 64))
      try first.synchronize()
    }
    machine.expectClean()
  }

  @Test(arguments: 0..<6)
  func graphsAreReplayed(seed: Int) throws {
    let machine = try StubMachine(seed: UInt64(seed))
    do {
      let context = try machine.context()
      let add = try machine.module(context).function("add")
      let (main, side) = (try CUDAStream(context), try CUDAStream(context))
      let (fork, join) = (try CUDAEvent(context), try CUDAEvent(context))
      let feed = try PinnedMemory(context, byteCount: 256)
      let result = try PinnedMemory(context, byteCount: 256)
      let memory = try (0..<3).map { _ in try DeviceMemory(context, byteCount: 256) }
      defer { withExtendedLifetime(memory) {} }
      try main.beginCapture()
      try main.copy(to: memory[0].address, fromHost: feed.bytes, byteCount: 256)
      try fork.record(on: main)
      try side.wait(for: fork)
      try side.add(add, memory[0].address, memory[1].address, 100, 64)
      try join.record(on: side)
      try main.add(add, memory[0].address, memory[2].address, 1, 64)
      try main.wait(for: join)
      try main.add(add, memory[1].address, memory[1].address, 1000, 64)
      try main.copy(toHost: result.bytes, from: memory[1].address, byteCount: 256)
      let graph = try main.endCapture()
      #expect(machine.stub.count("cuGraphLaunch") == 0)
      for round in 0..<3 {
        feed.set([Float](repeating: Float(round), count: 64))
        try graph.launch(on: main)
        try main.synchronize()
        #expect(result.floats(64) == [Float](repeating: 1100 + Float(round), count: 64))
      }
    }
    machine.expectClean()
  }

  @Test func boxesAreCopied() throws {
    let machine = try StubMachine()
    do {
      let context = try machine.context()
      let stream = try CUDAStream(context)
      // Two planes of 2 × 3 in the middle of two planes of 4 × 5.
      let (small, large) = (try DeviceMemory(context, byteCount: 48), try DeviceMemory(context, byteCount: 160))
      let (source, result) = (try PinnedMemory(context, byteCount: 48), try PinnedMemory(context, byteCount: 160))
      source.set((1...12).map { Float($0) })
      try stream.copy(to: small.address, fromHost: source.bytes, byteCount: 48)
      try stream.fill(large.address, byte: 0, byteCount: 160)
      try stream.copy(
        to: large.address + 4 * (5 + 1), layout: (pitch: 20, height: 4), from: small.address,
        layout: (pitch: 12, height: 2), width: 12, height: 2, depth: 2)
      try stream.copy(toHost: result.bytes, from: large.address, byteCount: 160)
      try stream.synchronize()
      let expected: [Float] = [
        0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 7, 8, 9, 0, 0, 10, 11, 12, 0, 0, 0, 0, 0, 0,
      ]
      #expect(result.floats(40) == expected)
    }
    machine.expectClean()
  }

  @Test func eventsTakeTimes() throws {
    let machine = try StubMachine()
    do {
      let context = try machine.context()
      let stream = try CUDAStream(context)
      let memory = try DeviceMemory(context, byteCount: 4)
      let (begin, end) = (try CUDAEvent(context, timing: true), try CUDAEvent(context, timing: true))
      try begin.record(on: stream)
      try stream.fill(memory.address, byte: 0, byteCount: 4)
      try end.record(on: stream)
      try end.synchronize()
      #expect(try end.milliseconds(since: begin) > 0)
    }
    machine.expectClean()
  }

  /// Each call that makes something fails once: the failure names it, and nothing stays behind.
  @Test(arguments: [
    "cuMemAlloc_v2", "cuMemHostAlloc", "cuStreamCreate", "cuEventCreate", "cuModuleLoadData", "cuModuleGetFunction",
    "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch", "cuLaunchKernel",
    "cuMemcpyHtoDAsync_v2", "cuStreamSynchronize", "cuEventRecord", "cuStreamWaitEvent",
  ])
  func failuresNameTheCall(call: String) throws {
    let machine = try StubMachine()
    func work() throws {
      let context = try machine.context()
      machine.stub.fail(call, code: 2)
      let add = try machine.module(context).function("add")
      let stream = try CUDAStream(context)
      let event = try CUDAEvent(context)
      let pinned = try PinnedMemory(context, byteCount: 256)
      let memory = try DeviceMemory(context, byteCount: 256)
      pinned.set([Float](repeating: 1, count: 64))
      try stream.copy(to: memory.address, fromHost: pinned.bytes, byteCount: 256)
      try event.record(on: stream)
      try stream.wait(for: event)
      try stream.synchronize()
      try stream.beginCapture()
      let graph: CUDAGraph
      do {
        try stream.add(add, memory.address, memory.address, 1, 64)
        graph = try stream.endCapture()
      } catch {
        stream.abandonCapture()
        throw error
      }
      try graph.launch(on: stream)
      try stream.synchronize()
    }
    let failure = try #require(throws: CUDAFailure.self) { try work() }
    #expect(failure.call == call)
    #expect(failure.name == "CUDA_ERROR_OUT_OF_MEMORY")
    #expect(failure.isOutOfMemory)
    #expect(failure.diagnostic(operation: "MatMul 'y'").description.contains("out of memory"))
    #expect(machine.stub.report.filter { !$0.contains("still to come") } == [])
    #expect(machine.stub.leaks == [])
  }
}
