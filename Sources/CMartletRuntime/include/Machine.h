/// Facts about the machine that choose code and sizes.
#ifndef MARTLET_MACHINE_H
#define MARTLET_MACHINE_H

#include <stdint.h>

typedef struct {
  /// Processors this process may use: the affinity mask, or the control group's quota where that is less.
  int32_t processors;
  /// Bytes of one core's first- and second-level data caches and of the last level; 0 where unknown.
  int64_t l1_bytes;
  int64_t l2_bytes;
  int64_t l3_bytes;
  /// Bytes of memory, and of one page.
  int64_t memory_bytes;
  int64_t page_bytes;
  /// Bits of the widest vector register: 512 (AVX-512 F, CD, BW, DQ, VL), 256 (AVX2 and FMA) or 128.
  int32_t vector_bits;
  int32_t has_avx2_fma;
  int32_t has_avx512;
  int32_t has_avx512_bf16;
  int32_t has_avx512_vnni;
  int32_t has_amx;
  /// Architecture ("x86_64") and the processor's name for itself.
  char architecture[16];
  char name[64];
  /// A number for what the processor and the system offer to code: the same for equal machines, in every process.
  uint64_t code_features;
} martlet_machine;

/// The machine, looked at once.
const martlet_machine *martlet_machine_facts(void);

#endif
