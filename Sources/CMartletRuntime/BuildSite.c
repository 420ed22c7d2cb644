#define _GNU_SOURCE
#include "BuildSite.h"

#include <link.h>
#include <pthread.h>

// Swift sets this bit of a saved frame pointer in the frames of asynchronous functions.
static const uintptr_t asyncFrameBit = (uintptr_t)1 << 60;

static _Thread_local uintptr_t stackEnd = 0;

// The end of the calling thread's stack; reading it costs a system call or more, so it is kept. A thread that cannot
// tell gets 1, which ends every walk at once.
static uintptr_t findStackEnd(void) {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 1;
  void *base = 0;
  size_t size = 0;
  uintptr_t end = 1;
  if (pthread_attr_getstack(&attributes, &base, &size) == 0) end = (uintptr_t)base + size;
  pthread_attr_destroy(&attributes);
  return end;
}

__attribute__((noinline, no_sanitize("address"))) MartletFrames martlet_capture_frames(int skip) {
  MartletFrames frames = {{0}};
  if (stackEnd == 0) stackEnd = findStackEnd();
  uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
  int count = -1 - skip;
  while (count < MARTLET_FRAME_CAPACITY && frame % sizeof(uintptr_t) == 0 && frame < stackEnd &&
         stackEnd - frame >= 2 * sizeof(uintptr_t)) {
    const uintptr_t *record = (const uintptr_t *)frame;
    const uintptr_t caller = record[0] & ~asyncFrameBit;
    const uintptr_t returnAddress = record[1];
    if (returnAddress == 0) break;
    if (count >= 0) frames.address[count] = returnAddress;
    count += 1;
    // Stacks grow downwards, so a frame that does not lie above its callee is not a frame.
    if (caller <= frame) break;
    frame = caller;
  }
  return frames;
}

typedef struct {
  uintptr_t address;
  uintptr_t bias;
  const char *path;
} ModuleSearch;

static int inspectModule(struct dl_phdr_info *module, size_t size, void *context) {
  (void)size;
  ModuleSearch *search = context;
  for (int i = 0; i < module->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &module->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD) continue;
    if (search->address - module->dlpi_addr - segment->p_vaddr >= segment->p_memsz) continue;
    search->bias = module->dlpi_addr;
    search->path = module->dlpi_name != 0 && module->dlpi_name[0] != 0 ? module->dlpi_name : "/proc/self/exe";
    return 1;
  }
  return 0;
}

const char *martlet_module_at(uintptr_t address, uintptr_t *bias) {
  ModuleSearch search = {address, 0, 0};
  dl_iterate_phdr(inspectModule, &search);
  *bias = search.bias;
  return search.path;
}
