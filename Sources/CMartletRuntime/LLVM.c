#define _GNU_SOURCE
#include "LLVM.h"

#include "Library.h"

#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static martlet_library library;
static martlet_llvm llvm;

// Both of Debian's names for a version; the second is the one that the library gives itself since LLVM 18.
static const char *const candidates[] = {
  "libLLVM-19.so", "libLLVM.so.19.1", "libLLVM-18.so",   "libLLVM.so.18.1", "libLLVM-17.so",   "libLLVM-16.so",
  "libLLVM-15.so", "libLLVM-20.so",   "libLLVM.so.20.1", "libLLVM-21.so",   "libLLVM.so.21.1", NULL};

#if defined(__x86_64__)
#define TARGET "X86"
#elif defined(__aarch64__)
#define TARGET "AArch64"
#else
#define TARGET "Native"
#endif

static const char *const initializers[] = {
  "LLVMInitialize" TARGET "TargetInfo", "LLVMInitialize" TARGET "Target", "LLVMInitialize" TARGET "TargetMC",
  "LLVMInitialize" TARGET "AsmPrinter", "LLVMInitialize" TARGET "AsmParser"};

static void find_version(void) {
  if (llvm.GetVersion) {
    unsigned major = 0, minor = 0, patch = 0;
    llvm.GetVersion(&major, &minor, &patch);
    llvm.major = (int32_t)major;
    return;
  }
  const char *name = strstr(library.path, "libLLVM-");
  if (name) sscanf(name, "libLLVM-%d", &llvm.major);
}

static int find_functions(void) {
  int missing = 0;
#define F(result, name, parameters) \
  if (!(llvm.name = (result(*) parameters)martlet_library_symbol(&library, "LLVM" #name))) missing++;
  MARTLET_LLVM_FUNCTIONS(F)
#undef F
#define F(result, name, parameters) \
  llvm.name = (result(*) parameters)martlet_library_find(&library, "LLVM" #name);
  MARTLET_LLVM_OPTIONAL_FUNCTIONS(F)
#undef F
  return missing == 0;
}

static int initialize_target(void) {
  for (size_t i = 0; i < sizeof initializers / sizeof *initializers; i++) {
    void (*initialize)(void) = (void (*)(void))martlet_library_symbol(&library, initializers[i]);
    if (!initialize) return 0;
    initialize();
  }
  return 1;
}

// Held while code is generated in the background.
static pthread_mutex_t background = PTHREAD_MUTEX_INITIALIZER;
static int is_ending;

static void end_background(void) {
  pthread_mutex_lock(&background);
  is_ending = 1;
  pthread_mutex_unlock(&background);
}

// The part of LLVM's file that is mapped and never written to: code, and constants without addresses. Another thread may
// ask for it while LLVM is being loaded: there is one when there is an end.
static struct {
  uintptr_t begin;
  _Atomic uintptr_t end;
} code;

static int find_code(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  uintptr_t known = (uintptr_t)context, page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    uintptr_t begin = info->dlpi_addr + segment->p_vaddr, end = begin + segment->p_filesz;
    if (segment->p_type != PT_LOAD || segment->p_flags & PF_W || known < begin || known >= end) continue;
    code.begin = begin & ~(page - 1);
    atomic_store_explicit(&code.end, end & ~(page - 1), memory_order_release);
    return 1;
  }
  return 0;
}

static void load(void) {
  martlet_library_open(&library, "code generation by LLVM", "MARTLET_LLVM", candidates);
  if (library.handle && find_functions() && initialize_target()) {
    find_version();
    llvm.triple = llvm.GetDefaultTargetTriple();
    llvm.cpu = llvm.GetHostCPUName();
    llvm.features = llvm.GetHostCPUFeatures();
    dl_iterate_phdr(find_code, (void *)(uintptr_t)llvm.GetDefaultTargetTriple);
    llvm.available = 1;
    atexit(end_background);
  }
  llvm.message = library.message;
  llvm.path = library.path;
}

void martlet_llvm_release_pages(void) {
  uintptr_t end = atomic_load_explicit(&code.end, memory_order_acquire);
  if (end > code.begin) madvise((void *)code.begin, end - code.begin, MADV_DONTNEED);
}

int32_t martlet_llvm_background_begin(void) {
  pthread_mutex_lock(&background);
  if (!is_ending) return 1;
  pthread_mutex_unlock(&background);
  return 0;
}

void martlet_llvm_background_end(void) {
  // What LLVM made when it was first used is destroyed before what was there then, so the first time is too early to tell.
  static int times;
  if (times < 2) {
    times++;
    atexit(end_background);
  }
  pthread_mutex_unlock(&background);
}

const martlet_llvm *martlet_llvm_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return &llvm;
}
