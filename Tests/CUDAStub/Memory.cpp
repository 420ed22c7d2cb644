// Device and pinned memory, with guards around it, and copies.
#include "Stub.h"

#include <cstdlib>
#include <cstring>

namespace stub {

namespace {
constexpr size_t guard_bytes = 256, alignment = 256;
constexpr unsigned char guard_byte = 0xA7;
// Not a number, as f32 and as f64, and an unlikely integer.
constexpr uint32_t pattern = 0xFFFB5A5D;

void fill(void *memory, size_t bytes) {
  unsigned char *to = static_cast<unsigned char *>(memory);
  for (size_t i = 0; i < bytes; i++) to[i] = reinterpret_cast<const unsigned char *>(&pattern)[i % 4];
}
}  // namespace

const Allocation *find(const std::map<uint64_t, Allocation> &memory, uint64_t address) {
  auto after = memory.upper_bound(address);
  if (after == memory.begin()) return nullptr;
  const Allocation &allocation = std::prev(after)->second;
  return address < allocation.base + allocation.bytes || address == allocation.base ? &allocation : nullptr;
}

void *pointer(uint64_t address) { return reinterpret_cast<void *>(address); }

bool check_guards(const Allocation &allocation, const std::string &what) {
  unsigned char *before = reinterpret_cast<unsigned char *>(allocation.base) - guard_bytes;
  unsigned char *behind = reinterpret_cast<unsigned char *>(allocation.base) + allocation.bytes;
  for (size_t i = 0; i < guard_bytes; i++) {
    if (before[i] == guard_byte && behind[i] == guard_byte) continue;
    report(what + (before[i] != guard_byte ? ": it wrote before" : ": it wrote behind") + " the memory that it was given");
    memset(before, guard_byte, guard_bytes);
    memset(behind, guard_byte, guard_bytes);
    return false;
  }
  return true;
}

bool Call::device_range(uint64_t address, size_t bytes, const char *role) {
  State &s = state();
  const Allocation *allocation = find(s.device, address);
  if (!allocation) allocation = find(s.pinned, address);
  if (!allocation) {
    if (find(s.freed_device, address)) {
      misuse(illegal_address, "%s is memory that was freed", role);
    } else {
      misuse(invalid_value, "%s is no device memory: 0x%llx", role, (unsigned long long)address);
    }
  } else if (address + bytes > allocation->base + allocation->bytes) {
    misuse(
      invalid_value, "%s goes %llu bytes beyond the end of its memory of %zu", role,
      (unsigned long long)(address + bytes - allocation->base - allocation->bytes), allocation->bytes);
  } else if (allocation->context != current()) {
    misuse(invalid_context, "%s is memory of device %d", role, allocation->context->device);
  }
  return !error;
}

size_t unwritten_words(const void *bytes, size_t count) {
  size_t words = 0;
  for (size_t i = 0; i + 4 <= count; i += 4) {
    uint32_t word;
    memcpy(&word, static_cast<const char *>(bytes) + i, 4);
    if (word == pattern) words++;
  }
  return words;
}

static Allocation allocate(std::map<uint64_t, Allocation> &memory, size_t bytes) {
  char *block = static_cast<char *>(aligned_alloc(alignment, (bytes + 2 * guard_bytes + alignment - 1) / alignment * alignment));
  Allocation allocation{reinterpret_cast<uint64_t>(block) + guard_bytes, bytes, current(), block};
  memset(block, guard_byte, guard_bytes);
  fill(block + guard_bytes, bytes);
  memset(block + guard_bytes + bytes, guard_byte, guard_bytes);
  memory[allocation.base] = allocation;
  return allocation;
}

static int release(
  Call &call, std::map<uint64_t, Allocation> &memory, std::map<uint64_t, Allocation> &freed, uint64_t address,
  bool is_pinned) {
  auto found = memory.find(address);
  if (found == memory.end()) {
    if (freed.count(address)) return call.misuse(invalid_value, "the memory was freed before");
    return call.misuse(invalid_value, "0x%llx is no memory to free", (unsigned long long)address);
  }
  Allocation allocation = found->second;
  if (allocation.context != current()) {
    return call.misuse(invalid_context, "the memory is of device %d", allocation.context->device);
  }
  // A driver waits for all work here, which would hide that a program did not.
  check_uses(call, "freed", allocation.base, allocation.bytes, is_pinned);
  complete_all(current());
  check_guards(allocation, call.name);
  memory.erase(found);
  fill(pointer(allocation.base), allocation.bytes);
  // What was freed is not given out again soon, so that its use is found.
  freed[allocation.base] = allocation;
  size_t kept = 0;
  for (auto &entry : freed) kept += entry.second.bytes;
  while (kept > (size_t(64) << 20) && freed.size() > 1) {
    auto oldest = freed.begin();
    if (oldest->first == allocation.base) ++oldest;
    kept -= oldest->second.bytes;
    free(oldest->second.block);
    freed.erase(oldest);
  }
  return call.error;
}

}  // namespace stub

using namespace stub;

STUB int cuMemGetInfo_v2(size_t *available, size_t *total) {
  CALL(cuMemGetInfo_v2);
  size_t used = 0;
  for (auto &entry : state().device) used += entry.second.context == current() ? entry.second.bytes : 0;
  *available = state().device_bytes - used;
  *total = state().device_bytes;
  return success;
}

STUB int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  CALL(cuMemAlloc_v2);
  if (!call.allows_capture()) return call.error;
  if (bytes == 0) return call.misuse(invalid_value, "0 bytes");
  size_t used = 0;
  for (auto &entry : state().device) used += entry.second.context == current() ? entry.second.bytes : 0;
  if (bytes > state().device_bytes - used) return out_of_memory;
  *address = allocate(state().device, bytes).base;
  return success;
}

STUB int cuMemFree_v2(uint64_t address) {
  CALL(cuMemFree_v2);
  if (!call.allows_capture()) return call.error;
  return release(call, state().device, state().freed_device, address, false);
}

STUB int cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
  CALL(cuMemHostAlloc);
  if (!call.allows_capture()) return call.error;
  if (bytes == 0 || flags > 7) return call.misuse(invalid_value, "%zu bytes, flags %u", bytes, flags);
  *memory = pointer(allocate(state().pinned, bytes).base);
  return success;
}

STUB int cuMemFreeHost(void *memory) {
  CALL(cuMemFreeHost);
  if (!call.allows_capture()) return call.error;
  return release(call, state().pinned, state().freed_pinned, reinterpret_cast<uint64_t>(memory), true);
}

// MARK: Copies

namespace {
struct Host {
  const Allocation *pinned = nullptr;
  bool is_wrong = false;
};

// What host memory of a copy is; memory that is neither pinned nor known to have been is pageable.
Host host_range(Call &call, const void *bytes, size_t count) {
  State &s = state();
  const uint64_t address = reinterpret_cast<uint64_t>(bytes);
  Host host;
  if (find(s.device, address) || find(s.freed_device, address)) {
    call.misuse(invalid_value, "the host's memory is memory of the device");
  } else if (find(s.freed_pinned, address)) {
    call.misuse(invalid_value, "the host's memory is pinned memory that was freed");
  } else if ((host.pinned = find(s.pinned, address)) && address + count > host.pinned->base + host.pinned->bytes) {
    call.misuse(invalid_value, "the copy goes beyond the end of its pinned memory of %zu bytes", host.pinned->bytes);
  } else if (!host.pinned && !bytes) {
    call.misuse(invalid_value, "the host's memory is null");
  }
  host.is_wrong = call.error != 0;
  return host;
}

// A copy that is only carried out later must find the device's memory alive then, too.
std::shared_ptr<Action> action(std::string what, std::vector<Use> device, std::vector<Use> pinned, std::function<int()> run) {
  auto made = std::make_shared<Action>();
  *made = {std::move(what), std::move(device), std::move(pinned), std::move(run)};
  return made;
}
}  // namespace

STUB int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *handle) {
  CALL(cuMemcpyHtoDAsync_v2);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (!stream || !call.device_range(to, bytes, "the destination")) return call.error;
  const Host host = host_range(call, from, bytes);
  if (host.is_wrong) return call.error;
  if (host.pinned) {
    return enqueue(
      call, stream, action("a copy to the device", {{to, bytes}}, {{reinterpret_cast<uint64_t>(from), bytes}}, [=] {
        memcpy(pointer(to), from, bytes);
        return 0;
      }));
  }
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.misuse(capture_unsupported, "a copy from memory that is not pinned cannot be captured");
  }
  state().counts["pageable copies"]++;
  // A driver takes a copy of such memory before it returns.
  auto copy = std::make_shared<std::vector<char>>(static_cast<const char *>(from), static_cast<const char *>(from) + bytes);
  return enqueue(call, stream, action("a copy to the device", {{to, bytes}}, {}, [=] {
                   memcpy(pointer(to), copy->data(), bytes);
                   return 0;
                 }));
}

STUB int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *handle) {
  CALL(cuMemcpyDtoHAsync_v2);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (!stream || !call.device_range(from, bytes, "the source")) return call.error;
  const Host host = host_range(call, to, bytes);
  if (host.is_wrong) return call.error;
  if (!host.pinned && stream->capture) {
    stream->capture->invalid = true;
    return call.misuse(capture_unsupported, "a copy to memory that is not pinned cannot be captured");
  }
  std::vector<Use> pinned;
  if (host.pinned) pinned.push_back({reinterpret_cast<uint64_t>(to), bytes});
  const int error = enqueue(call, stream, action("a copy to the host", {{from, bytes}}, pinned, [=] {
                              if (const size_t words = unwritten_words(pointer(from), bytes)) {
                                report(text("a copy to the host reads %zu words of %zu bytes that nobody wrote", words, bytes));
                              }
                              memcpy(to, pointer(from), bytes);
                              return 0;
                            }));
  if (error || host.pinned) return error;
  state().counts["pageable copies"]++;
  return complete(stream->tail);
}

STUB int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *handle) {
  CALL(cuMemcpyDtoDAsync_v2);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (!stream || !call.device_range(to, bytes, "the destination") || !call.device_range(from, bytes, "the source")) {
    return call.error;
  }
  if (to < from + bytes && from < to + bytes) return call.misuse(invalid_value, "source and destination overlap");
  auto copy = action("a copy on the device", {{to, bytes}, {from, bytes}}, {}, [=] {
    memcpy(pointer(to), pointer(from), bytes);
    return 0;
  });
  // Memory has a rate.
  copy->cost = 1 + bytes / 1024;
  return enqueue(call, stream, copy);
}

STUB int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void *handle) {
  CALL(cuMemsetD8Async);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (!stream || !call.device_range(to, bytes, "the destination")) return call.error;
  return enqueue(call, stream, action("a fill", {{to, bytes}}, {}, [=] {
                   memset(pointer(to), value, bytes);
                   return 0;
                 }));
}

namespace {
struct Side {
  size_t x_bytes, y, z, level;
  int32_t memory_kind;
  const void *host;
  uint64_t device;
  void *array, *reserved;
  size_t pitch, height;
};
struct Box {
  Side source, destination;
  size_t width_bytes, height, depth;
};

// The bytes from the first to behind the last of a box.
size_t extent(const Side &side, const Box &box) {
  return ((box.depth - 1) * side.height + box.height - 1) * side.pitch + box.width_bytes;
}
uint64_t begin(const Side &side) { return side.device + (side.z * side.height + side.y) * side.pitch + side.x_bytes; }
}  // namespace

STUB int cuMemcpy3DAsync_v2(const void *argument, void *handle) {
  CALL(cuMemcpy3DAsync_v2);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (!stream) return call.error;
  const Box box = *static_cast<const Box *>(argument);
  if (box.source.memory_kind != 2 || box.destination.memory_kind != 2 || box.source.array || box.destination.array ||
      box.source.reserved || box.destination.reserved || box.source.level || box.destination.level) {
    return call.misuse(invalid_value, "the stub copies boxes from device to device only");
  }
  if (!box.width_bytes || !box.height || !box.depth) return call.misuse(invalid_value, "the box is empty");
  for (const Side &side : {box.source, box.destination}) {
    if (side.pitch < side.x_bytes + box.width_bytes || (box.depth > 1 && side.height < side.y + box.height)) {
      return call.misuse(invalid_value, "rows or planes of the box overlap");
    }
  }
  const uint64_t from = begin(box.source), to = begin(box.destination);
  const size_t read = extent(box.source, box), written = extent(box.destination, box);
  if (!call.device_range(to, written, "the destination") || !call.device_range(from, read, "the source")) return call.error;
  return enqueue(call, stream, action("a copy of a box", {{to, written}, {from, read}}, {}, [=] {
                   for (size_t z = 0; z < box.depth; z++) {
                     for (size_t y = 0; y < box.height; y++) {
                       memcpy(
                         pointer(to + (z * box.destination.height + y) * box.destination.pitch),
                         pointer(from + (z * box.source.height + y) * box.source.pitch), box.width_bytes);
                     }
                   }
                   return 0;
                 }));
}
