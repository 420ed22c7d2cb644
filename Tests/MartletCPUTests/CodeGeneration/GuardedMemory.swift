import Glibc

/// Memory that a kernel can be given, and that lasts while it runs.
protocol KernelMemory: AnyObject {
  var address: UnsafeMutableRawPointer { get }
}

/// Elements between two pages that no one may touch, flush with one of them.
final class GuardedMemory<Element: BitwiseCopyable>: KernelMemory {
  enum Edge: CaseIterable, Sendable { case start, end }

  let elements: UnsafeMutableBufferPointer<Element>
  private let mapping: UnsafeMutableRawPointer
  private let byteCount: Int

  init(_ values: [Element], at edge: Edge) {
    let page = sysconf(Int32(_SC_PAGESIZE))
    let bytes = values.count * MemoryLayout<Element>.stride
    let inner = (bytes + page - 1) / page * page
    byteCount = inner + 2 * page
    mapping = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    precondition(mapping != MAP_FAILED)
    precondition(mprotect(mapping, page, PROT_NONE) == 0)
    precondition(mprotect(mapping + page + inner, page, PROT_NONE) == 0)
    let first = mapping + page + (edge == .start ? 0 : inner - bytes)
    elements = UnsafeMutableBufferPointer(
      start: first.bindMemory(to: Element.self, capacity: values.count), count: values.count)
    _ = elements.initialize(from: values)
  }

  deinit { munmap(mapping, byteCount) }

  var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(elements.baseAddress!) }
  var values: [Element] { Array(elements) }
}
